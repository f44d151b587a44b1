/** Chaining key and transcript hash of a handshake: Noise's SymmetricState (revision 34, section 5.2) with SHA-256. */
import type { Cryptography } from "../Cryptography.ts"
import { CipherState, nothing } from "./CipherState.ts"

const zero = Uint8Array.of(0)
const one = Uint8Array.of(1)

export class SymmetricState {
  private readonly cryptography: Cryptography["Service"]
  private chainingKey: Uint8Array
  private cipher: CipherState | undefined
  private transcript: Uint8Array

  constructor(cryptography: Cryptography["Service"], protocolName: string) {
    this.cryptography = cryptography
    const name = new TextEncoder().encode(protocolName)
    if (name.length > 32) {
      this.transcript = cryptography.sha256(name)
    } else {
      this.transcript = new Uint8Array(32)
      this.transcript.set(name)
    }
    this.chainingKey = this.transcript
  }

  get hash(): Uint8Array {
    return this.transcript
  }

  copy(): SymmetricState {
    return Object.assign(Object.create(SymmetricState.prototype) as SymmetricState, this, {
      cipher: this.cipher?.copy()
    })
  }

  mixHash(data: Uint8Array): void {
    this.transcript = this.cryptography.sha256(this.transcript, data)
  }

  mixKey(material: Uint8Array): void {
    const [chainingKey, key] = this.derive(material, 2)
    this.chainingKey = chainingKey
    this.cipher = new CipherState(this.cryptography, key)
  }

  mixKeyAndHash(material: Uint8Array): void {
    const [chainingKey, mixed, key] = this.derive(material, 3)
    this.chainingKey = chainingKey
    this.mixHash(mixed)
    this.cipher = new CipherState(this.cryptography, key)
  }

  encryptAndHash(plain: Uint8Array): Uint8Array {
    const sealed = this.cipher === undefined ? plain : this.cipher.encrypt(this.transcript, plain)
    this.mixHash(sealed)
    return sealed
  }

  decryptAndHash(sealed: Uint8Array): Uint8Array | undefined {
    const plain = this.cipher === undefined ? sealed : this.cipher.decrypt(this.transcript, sealed)
    if (plain !== undefined) this.mixHash(sealed)
    return plain
  }

  /** The keys of initiator to responder and of responder to initiator. */
  split(): readonly [toResponder: Uint8Array, toInitiator: Uint8Array] {
    const [toResponder, toInitiator] = this.derive(nothing, 2)
    return [toResponder, toInitiator]
  }

  /** HKDF of section 4.3. */
  private derive(material: Uint8Array, outputs: 2 | 3): readonly [Uint8Array, Uint8Array, Uint8Array] {
    const { hmacSha256 } = this.cryptography
    const secret = hmacSha256(this.chainingKey, material)
    const first = hmacSha256(secret, one)
    const second = hmacSha256(secret, first, Uint8Array.of(2))
    return [first, second, outputs === 3 ? hmacSha256(secret, second, Uint8Array.of(3)) : zero]
  }
}
