/** Authenticated encryption of one connection: packets in, frames out, and back; whatever does not open is nobody's. */
import type { Packet } from "../gen/aranya/link/v1/link_pb.ts"
import type { Cryptography } from "./Cryptography.ts"
import { decodePacket, toNumber } from "./frames.ts"
import { nonceOf, nothing } from "./noise/CipherState.ts"
import type { Keys } from "./noise/ikPsk2.ts"
import { encodePacket, encodeSealedFrame } from "./packetBytes.ts"
import { ReplayWindow } from "./ReplayWindow.ts"

export class Sealing {
  private readonly cryptography: Cryptography["Service"]
  private readonly keys: Keys
  private readonly received = new ReplayWindow()
  private counter = 0

  constructor(cryptography: Cryptography["Service"], keys: Keys) {
    this.cryptography = cryptography
    this.keys = keys
  }

  seal(packet: Packet): Uint8Array {
    const counter = this.counter++
    const sealed = this.cryptography.seal(this.keys.send, nonceOf(counter), nothing, encodePacket(packet))
    return encodeSealedFrame(counter, sealed)
  }

  /** Undefined for what is not ours, was touched, or came before. */
  open(frame: { readonly counter: bigint; readonly sealed: Uint8Array }): Packet | undefined {
    const counter = toNumber(frame.counter)
    if (counter === undefined || !this.received.fresh(counter)) return undefined
    const plain = this.cryptography.open(this.keys.receive, nonceOf(counter), nothing, frame.sealed)
    if (plain === undefined) return undefined
    this.received.mark(counter)
    return decodePacket(plain)
  }
}
