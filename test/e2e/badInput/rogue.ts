/** A device that speaks the link by hand and keeps what it sent, for sending it a second time. */
import { create } from "@bufbuild/protobuf"
import { Effect } from "effect"
import { makeGrpcDialer } from "../../../adapters/grpc/GrpcDialer.ts"
import { PacketSchema } from "../../../core/gen/aranya/link/v1/link_pb.ts"
import { decodeFrame } from "../../../core/link/frames.ts"
import { greet, protocolMax, protocolMin } from "../../../core/link/handshake.ts"
import type { Connection } from "../../../core/link/Transport.ts"

export interface Door {
  readonly endpoint: string
  /** PEM. */
  readonly ca: Uint8Array
}

export const dial = ({ ca, endpoint }: Door) => makeGrpcDialer({ target: endpoint, tls: { ca } }).connect

const beat = create(PacketSchema, { beat: true })

/** Connects, takes up a session, and answers for it as long as the scope is open. */
export const connectByHand = Effect.fnUntraced(function*(
  door: Door,
  who: { readonly device: string; readonly privateKey: Uint8Array; readonly operatorPublic: Uint8Array }
) {
  const connection = yield* dial(door)
  const sent: Array<Uint8Array> = []
  const recorded: Connection = {
    ...connection,
    send: (frame) => Effect.andThen(Effect.sync(() => sent.push(frame.slice())), connection.send(frame))
  }
  const { sealing } = yield* greet(
    recorded,
    { namespace: "edge", ...who },
    {
      namespace: "edge",
      device: who.device,
      protocolMin,
      protocolMax,
      agentVersion: "by hand",
      journalId: "a journal",
      bootId: "a boot",
      instance: "an instance",
      epoch: 0,
      lineage: new Uint8Array(0),
      method: "grpc",
      digest: new Uint8Array(0),
      capabilities: []
    },
    undefined,
    recorded.maxFrame
  )
  yield* recorded.send(sealing.seal(beat))
  /** Asks the operator for a sign of life in this session, and waits for it. */
  const answers = Effect.gen(function*() {
    yield* recorded.send(sealing.seal(beat))
    while (true) {
      const frame = decodeFrame(yield* connection.receive)
      if (frame !== undefined && sealing.open(frame) !== undefined) return
    }
  }).pipe(Effect.timeout("30 seconds"))
  return { sent, answers }
})
