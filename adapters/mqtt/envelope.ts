/**
 * What is published on a namespace's topics: a kind, the connection it belongs to, and a frame of the link or nothing. None of it
 * is authenticated but the end of a connection by the device; the rest are hints that strangers may forge without harm.
 */
import { hash, randomBytes } from "node:crypto"

export const Kind = {
  /** A frame from a device that has not heard from the operator on this connection: may begin one. */
  Open: 1,
  /** A frame of a connection both know. */
  Frame: 2,
  /** The connection is over. A device proves that it is its own by the secret its id was made of. */
  End: 3,
  /** How much was taken from this connection so far, in the measure of `costOf`. */
  Credit: 4,
  /** Device: do you still have this connection? */
  Ask: 5,
  /** Operator: I do. */
  Here: 6,
  /** Operator: whoever has a connection here, ask whether I know it. Has no connection. */
  Doubt: 7
} as const

export type Kind = typeof Kind[keyof typeof Kind]

const known: ReadonlySet<number> = new Set(Object.values(Kind))

const idLength = 8
export const secretLength = 16
/** Of messages that carry a frame. */
export const headerLength = 1 + idLength

export interface Message {
  readonly kind: Kind
  /** Hexadecimal; empty for `Doubt`. */
  readonly id: string
  readonly body: Uint8Array
}

const nothing = new Uint8Array(0)

export const encode = (kind: Kind, id = "", body: Uint8Array = nothing): Buffer =>
  Buffer.concat([Buffer.of(kind), Buffer.from(id, "hex"), body])

/** Undefined for what is nobody's. The body is a copy: payloads are slices of larger reads. */
export const decode = (payload: Uint8Array): Message | undefined => {
  const [kind] = payload
  if (kind === undefined || !known.has(kind)) return undefined
  if (kind === Kind.Doubt) return payload.length === 1 ? { kind, id: "", body: nothing } : undefined
  if (payload.length < headerLength) return undefined
  const body = new Uint8Array(payload.subarray(headerLength))
  if ((kind === Kind.Ask || kind === Kind.Here) && body.length > 0) return undefined
  if (kind === Kind.Credit && body.length !== 8) return undefined
  if (kind === Kind.End && body.length > secretLength) return undefined
  return { kind: kind as Kind, id: Buffer.from(payload.subarray(1, headerLength)).toString("hex"), body }
}

const idOf = (secret: Uint8Array) => hash("sha256", secret, "hex").slice(0, idLength * 2)

/** A connection's name, and what only its device knows until it ends it. */
export const newConnectionId = (
  secret: Uint8Array = randomBytes(secretLength)
): { readonly id: string; readonly secret: Uint8Array } => ({ id: idOf(secret), secret })

export const provesEnd = ({ body, id }: Message): boolean => body.length === secretLength && idOf(body) === id

export const encodeCredit = (id: string, taken: number): Buffer => {
  const body = Buffer.alloc(8)
  body.writeBigUInt64BE(BigInt(taken))
  return encode(Kind.Credit, id, body)
}

export const creditIn = ({ body }: Message): number =>
  Number(Buffer.from(body.buffer, body.byteOffset, body.length).readBigUInt64BE())
