/** A key with its counter: Noise's CipherState for ChaChaPoly (noiseprotocol.org revision 34, sections 5.1 and 12.3). */
import type { Cryptography } from "../Cryptography.ts"

export const keyLength = 32
export const tagLength = 16
export const nothing = new Uint8Array(0)

/** 32 bits of zeros, then the counter as 64 bits little-endian. */
export const nonceOf = (counter: number): Uint8Array => {
  const nonce = new Uint8Array(12)
  const view = new DataView(nonce.buffer)
  view.setUint32(4, counter >>> 0, true)
  view.setUint32(8, Math.floor(counter / 2 ** 32), true)
  return nonce
}

export class CipherState {
  private readonly cryptography: Cryptography["Service"]
  private readonly key: Uint8Array
  private counter = 0

  constructor(cryptography: Cryptography["Service"], key: Uint8Array) {
    this.cryptography = cryptography
    this.key = key
  }

  copy(): CipherState {
    const copied = new CipherState(this.cryptography, this.key)
    copied.counter = this.counter
    return copied
  }

  encrypt(associated: Uint8Array, plain: Uint8Array): Uint8Array {
    return this.cryptography.seal(this.key, nonceOf(this.counter++), associated, plain)
  }

  /** Undefined when the tag does not fit; the counter stays, as the specification asks. */
  decrypt(associated: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
    const plain = this.cryptography.open(this.key, nonceOf(this.counter), associated, sealed)
    if (plain !== undefined) this.counter += 1
    return plain
  }
}
