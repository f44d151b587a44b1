/**
 * The handshake pattern IKpsk2 (Noise revision 34, sections 7.5 and 9): the initiator knows the responder's static key,
 * one message goes each way, and a pre-shared key counts in the second.
 *
 *   <- s
 *   ...
 *   -> e, es, s, ss
 *   <- e, ee, se, psk
 */
import type { Cryptography } from "../Cryptography.ts"
import { keyLength, tagLength } from "./CipherState.ts"
import { SymmetricState } from "./SymmetricState.ts"

export const protocolName = "Noise_IKpsk2_25519_ChaChaPoly_SHA256"

/** The two directions' keys, as the side that holds them uses them. */
export interface Keys {
  readonly send: Uint8Array
  readonly receive: Uint8Array
  /** Of the whole handshake; equal on both sides. */
  readonly hash: Uint8Array
}

export interface Ephemeral {
  readonly ephemeral: Uint8Array
  readonly prologue: Uint8Array
}

const begin = (
  cryptography: Cryptography["Service"],
  prologue: Uint8Array,
  responderPublic: Uint8Array
): SymmetricState => {
  const symmetric = new SymmetricState(cryptography, protocolName)
  symmetric.mixHash(prologue)
  symmetric.mixHash(responderPublic)
  return symmetric
}

/** In a pattern with a pre-shared key an ephemeral key counts as key material too (section 9.2). */
const mixEphemeral = (symmetric: SymmetricState, publicKey: Uint8Array) => {
  symmetric.mixHash(publicKey)
  symmetric.mixKey(publicKey)
}

/** False where the peer's key is of low order: such a handshake is refused. */
const mixShared = (
  cryptography: Cryptography["Service"],
  symmetric: SymmetricState,
  own: Uint8Array,
  peer: Uint8Array
): boolean => {
  const shared = cryptography.x25519(own, peer)
  if (shared === undefined) return false
  symmetric.mixKey(shared)
  return true
}

export interface Initiation {
  readonly message: Uint8Array
  /** Reads the answer under one pre-shared key; undefined when it is not the responder's. Can be asked again. */
  readonly read: (
    message: Uint8Array,
    psk: Uint8Array
  ) => { readonly payload: Uint8Array; readonly keys: Keys } | undefined
}

/** The initiator's side; undefined where `responderPublic` is not a usable key. */
export const initiate = (
  cryptography: Cryptography["Service"],
  options: Ephemeral & {
    readonly privateKey: Uint8Array
    readonly responderPublic: Uint8Array
    readonly payload: Uint8Array
  }
): Initiation | undefined => {
  const { ephemeral, privateKey, responderPublic } = options
  const symmetric = begin(cryptography, options.prologue, responderPublic)
  const ephemeralPublic = cryptography.x25519Public(ephemeral)
  mixEphemeral(symmetric, ephemeralPublic)
  if (!mixShared(cryptography, symmetric, ephemeral, responderPublic)) return undefined
  const sealedStatic = symmetric.encryptAndHash(cryptography.x25519Public(privateKey))
  if (!mixShared(cryptography, symmetric, privateKey, responderPublic)) return undefined
  const sealedPayload = symmetric.encryptAndHash(options.payload)

  const message = new Uint8Array(ephemeralPublic.length + sealedStatic.length + sealedPayload.length)
  message.set(ephemeralPublic)
  message.set(sealedStatic, ephemeralPublic.length)
  message.set(sealedPayload, ephemeralPublic.length + sealedStatic.length)

  return {
    message,
    read: (answer, psk) => {
      if (answer.length < keyLength + tagLength) return undefined
      const state = symmetric.copy()
      const peer = answer.subarray(0, keyLength)
      mixEphemeral(state, peer)
      if (!mixShared(cryptography, state, ephemeral, peer)) return undefined
      if (!mixShared(cryptography, state, privateKey, peer)) return undefined
      state.mixKeyAndHash(psk)
      const payload = state.decryptAndHash(answer.subarray(keyLength))
      if (payload === undefined) return undefined
      const [send, receive] = state.split()
      return { payload, keys: { send, receive, hash: state.hash } }
    }
  }
}

export interface Response {
  /** The initiator's static key. That it holds the private half is certain only once it used the answer. */
  readonly publicKey: Uint8Array
  readonly payload: Uint8Array
  /** Undefined where the initiator's keys are of low order. Can be asked again. */
  readonly write: (
    psk: Uint8Array,
    payload: Uint8Array
  ) => { readonly message: Uint8Array; readonly keys: Keys } | undefined
}

/** The responder's side; undefined when the message is not a first message to this key. */
export const respond = (
  cryptography: Cryptography["Service"],
  options: Ephemeral & {
    readonly privateKey: Uint8Array
    readonly message: Uint8Array
  }
): Response | undefined => {
  const { ephemeral, message, privateKey } = options
  const staticEnd = 2 * keyLength + tagLength
  if (message.length < staticEnd + tagLength) return undefined
  const symmetric = begin(cryptography, options.prologue, cryptography.x25519Public(privateKey))
  const peerEphemeral = message.subarray(0, keyLength)
  mixEphemeral(symmetric, peerEphemeral)
  if (!mixShared(cryptography, symmetric, privateKey, peerEphemeral)) return undefined
  const peerStatic = symmetric.decryptAndHash(message.subarray(keyLength, staticEnd))
  if (peerStatic === undefined) return undefined
  if (!mixShared(cryptography, symmetric, privateKey, peerStatic)) return undefined
  const payload = symmetric.decryptAndHash(message.subarray(staticEnd))
  if (payload === undefined) return undefined

  return {
    publicKey: peerStatic,
    payload,
    write: (psk, answer) => {
      const state = symmetric.copy()
      const ephemeralPublic = cryptography.x25519Public(ephemeral)
      mixEphemeral(state, ephemeralPublic)
      if (!mixShared(cryptography, state, ephemeral, peerEphemeral)) return undefined
      if (!mixShared(cryptography, state, ephemeral, peerStatic)) return undefined
      state.mixKeyAndHash(psk)
      const sealed = state.encryptAndHash(answer)
      const written = new Uint8Array(keyLength + sealed.length)
      written.set(ephemeralPublic)
      written.set(sealed, keyLength)
      const [receive, send] = state.split()
      return { message: written, keys: { send, receive, hash: state.hash } }
    }
  }
}
