/**
 * From a fresh connection to keys both sides have proven: two Noise messages, then each side's hello under the new keys.
 * The first message can be a replay, so nothing is decided before the device has answered with something sealed.
 */
import { create } from "@bufbuild/protobuf"
import { Effect, Schema } from "effect"
import {
  type DeviceHello as WireDeviceHello,
  DeviceHelloSchema,
  type Frame,
  type OperatorHello as WireOperatorHello,
  OperatorHelloSchema,
  type Packet,
  PacketSchema
} from "../gen/aranya/link/v1/link_pb.ts"
import { Cryptography } from "./Cryptography.ts"
import {
  decodeFrame,
  decodeIntroduction,
  decodeRefusal,
  encodeFrame,
  encodeIntroduction,
  encodeRefusal,
  toNumber
} from "./frames.ts"
import { type DeviceHello, type OperatorHello, Refused } from "./Hello.ts"
import { LinkLimits } from "./LinkLimits.ts"
import { LinkTimings } from "./LinkTimings.ts"
import { keyLength, nothing } from "./noise/CipherState.ts"
import { initiate, respond } from "./noise/ikPsk2.ts"
import { Sealing } from "./Sealing.ts"
import { SecureRandom } from "./SecureRandom.ts"
import type { Connection, TransportError } from "./Transport.ts"

/** Highest protocol version this code speaks, and the lowest. */
export const protocolMax = 1
export const protocolMin = 1

/** Binds the handshake to the protocol and its major version. */
export const prologue = new TextEncoder().encode("aranya-link/1")
/** Stands for the pre-shared key once the device's own key is pinned. */
export const noPsk = new Uint8Array(keyLength)

/** What a refusal is sealed with: anybody may read that part; that it comes from the operator its static key proves. */
export const refusalKey = (cryptography: Cryptography["Service"]) =>
  cryptography.sha256(new TextEncoder().encode("aranya-link/1 refusal"))

/**
 * `NoAnswer`: nothing sensible came in time. `WrongOperator`: the answer is not the operator's, or the enrolment key differs.
 * `LowerEpoch`: this operator was replaced by another that the device has already obeyed. `SessionOver`: what the operator goes on
 * with has ended on the device meanwhile. `Malformed`: not our protocol.
 */
export class HandshakeFailed extends Schema.TaggedError<HandshakeFailed>()("HandshakeFailed", {
  reason: Schema.Literals(["NoAnswer", "WrongOperator", "LowerEpoch", "SessionOver", "Malformed"]),
  detail: Schema.String
}) {
  override get message() {
    return `the handshake failed (${this.reason}): ${this.detail}`
  }
}

const codes = Refused.fields.code.literals

const refusedFrom = (refusal: { readonly code: string; readonly detail: string }): Refused =>
  new Refused({
    code: codes.find((code) => code === refusal.code) ?? "Unavailable",
    detail: refusal.detail.slice(0, 1024)
  })

/** Repeats a frame until something answers it, for transports that lose frames. */
const until = <A, E>(
  connection: Connection,
  frame: () => Uint8Array,
  answer: Effect.Effect<A, E>
): Effect.Effect<A, E | TransportError> =>
  Effect.gen(function*() {
    const { handshakeResendMillis } = yield* LinkTimings
    const repeat = Effect.suspend(() => connection.send(frame())).pipe(
      Effect.andThen(Effect.sleep(handshakeResendMillis)),
      Effect.forever
    )
    return yield* Effect.raceFirst(answer, repeat)
  })

const limited = <A, E>(effect: Effect.Effect<A, E>, what: string): Effect.Effect<A, E | HandshakeFailed> =>
  Effect.gen(function*() {
    const { handshakeTimeoutMillis } = yield* LinkTimings
    return yield* Effect.timeoutOrElse(effect, {
      duration: handshakeTimeoutMillis,
      orElse: () =>
        Effect.fail(
          new HandshakeFailed({ reason: "NoAnswer", detail: `${what} within ${handshakeTimeoutMillis / 1000} s` })
        )
    })
  })

// The device's side

export interface Identity {
  readonly namespace: string
  readonly device: string
  /** X25519, 32 bytes. */
  readonly privateKey: Uint8Array
  readonly operatorPublic: Uint8Array
  /** The enrolment key, 32 bytes, while the device's public key may not be pinned yet. */
  readonly psk?: Uint8Array | undefined
}

/** A session to resume, and what was received in it. */
export interface Resume {
  readonly session: Uint8Array
  readonly received: number
}

/** Least that a side may say of the frames it takes: any hello fits. */
const leastFrame = 1024

export interface Welcomed {
  readonly sealing: Sealing
  readonly hello: OperatorHello
  readonly session: Uint8Array
  readonly resumed: boolean
  readonly received: number
  /** Bytes of a frame that the operator takes. */
  readonly maxFrame: number
}

const unanswered = (what: string) =>
  new HandshakeFailed({
    reason: "NoAnswer",
    detail:
      `${what}. An operator whose public key is not connectivity.operatorKey cannot read it: compare that with what `
      + "`aranya key` prints"
  })

export const greet = Effect.fnUntraced(function*(
  connection: Connection,
  identity: Identity,
  hello: DeviceHello,
  resume: Resume | undefined,
  /** Bytes of a frame that the device takes, on this connection and on those that may carry the session after it. */
  maxFrame: number
) {
  const cryptography = yield* Cryptography
  const ephemeral = yield* (yield* SecureRandom).bytes(keyLength)
  const initiation = initiate(cryptography, {
    ephemeral,
    prologue,
    privateKey: identity.privateKey,
    responderPublic: identity.operatorPublic,
    payload: encodeIntroduction({ namespace: identity.namespace, device: identity.device })
  })
  if (initiation === undefined) {
    return yield* new HandshakeFailed({
      reason: "WrongOperator",
      detail: "the operator's public key is not a usable key"
    })
  }

  let unreadable = false
  const keys = Effect.gen(function*() {
    while (true) {
      const frame = decodeFrame(yield* connection.receive)
      if (frame === undefined) continue
      if (frame.refusal.length > 0) {
        const read = initiation.read(frame.refusal, refusalKey(cryptography))
        const refusal = read && decodeRefusal(read.payload)
        if (refusal !== undefined) return yield* refusedFrom(refusal)
      } else if (frame.answer.length > 0) {
        // Pinned or not is the operator's knowledge; both answers prove its static key.
        const read = initiation.read(frame.answer, noPsk) ??
          (identity.psk && initiation.read(frame.answer, identity.psk))
        if (read !== undefined) return read.keys
        // Perhaps it was touched on the way, and the next one is whole.
        unreadable = true
      }
    }
  })
  const first = encodeFrame({ initiation: initiation.message })
  const agreed = yield* limited(until(connection, () => first, keys), "no answer to the first message").pipe(
    Effect.catchTags({
      HandshakeFailed: (failed) =>
        Effect.fail(
          unreadable
            ? new HandshakeFailed({
              reason: "WrongOperator",
              detail: "the answer does not fit the operator's key, or the operator expects another enrolment key"
            })
            : unanswered(failed.detail)
        ),
      // Both sides wait as long: whichever gives up first, it is the same silence.
      TransportError: (lost) => Effect.fail(unanswered(`no answer to the first message, then ${lost.message}`))
    })
  )
  const sealing = new Sealing(cryptography, agreed)

  const welcome = Effect.gen(function*() {
    while (true) {
      const packet = openFrame(sealing, yield* connection.receive)
      if (packet?.refused !== undefined) return yield* refusedFrom(packet.refused)
      if (packet?.closed !== undefined) {
        return yield* new HandshakeFailed({ reason: "NoAnswer", detail: packet.closed.why })
      }
      if (packet?.welcome !== undefined) return packet.welcome
    }
  })
  const packet = create(PacketSchema, { hello: deviceHelloToWire(hello, resume, maxFrame) })
  const answer = yield* limited(until(connection, () => sealing.seal(packet), welcome), "no answer to the hello")
  const read = operatorHelloFromWire(answer)
  if (read === undefined) {
    return yield* new HandshakeFailed({ reason: "Malformed", detail: "the operator's hello makes no sense" })
  }
  return { ...read, sealing } satisfies Welcomed
})

// The operator's side

export interface Greeted {
  readonly sealing: Sealing
  readonly publicKey: Uint8Array
  /** It was asked for the enrolment key, and has it. */
  readonly enrols: boolean
  readonly hello: DeviceHello
  readonly resume: Resume | undefined
  /** Bytes of a frame that the device takes. */
  readonly maxFrame: number
}

/**
 * Reads the frames of a connection that has proven nothing yet: few and small. Where strangers can put frames into it, more are
 * dropped instead, so that they cannot end what is not theirs; only initiations cost enough to be counted then.
 */
const carefully = (connection: Connection) =>
  Effect.gen(function*() {
    const { handshakeFrame, handshakeFrames } = yield* LinkLimits
    let left = handshakeFrames
    return Effect.gen(function*() {
      while (true) {
        const bytes = yield* connection.receive
        if (connection.strangers === true) {
          const frame = bytes.length > handshakeFrame ? undefined : decodeFrame(bytes)
          if (frame === undefined || (frame.initiation.length > 0 && left-- <= 0)) continue
          return frame
        }
        left -= 1
        if (bytes.length > handshakeFrame || left < 0) {
          return yield* new HandshakeFailed({ reason: "Malformed", detail: "too much was sent before the handshake" })
        }
        const frame = decodeFrame(bytes)
        if (frame !== undefined) return frame
      }
    })
  })

export const answer = Effect.fnUntraced(function*(
  connection: Connection,
  privateKey: Uint8Array,
  challenge: (device: {
    readonly namespace: string
    readonly device: string
    readonly publicKey: Uint8Array
  }) => Effect.Effect<{ readonly psk: Uint8Array | undefined }, Refused>
) {
  const cryptography = yield* Cryptography
  const random = yield* SecureRandom
  const receive = yield* carefully(connection)

  const introduced = Effect.gen(function*() {
    while (true) {
      const { initiation } = yield* receive
      if (initiation.length === 0) continue
      const ephemeral = yield* random.bytes(keyLength)
      const read = respond(cryptography, { ephemeral, message: initiation, privateKey, prologue })
      // What does not fit our key is noise; the number of such frames is limited.
      if (read === undefined) continue
      const introduction = decodeIntroduction(read.payload)
      if (introduction === undefined) {
        return yield* new HandshakeFailed({ reason: "Malformed", detail: "the first message names no device" })
      }
      // Not a word to it: a refusal would be the operator's, at a place that is another's.
      if (connection.admits !== undefined && !(yield* connection.admits(introduction))) continue
      return { initiation, response: read, introduction }
    }
  })
  const challenged = Effect.gen(function*() {
    const { initiation, introduction: { device, namespace }, response: { publicKey, write } } = yield* introduced
    const { psk } = yield* challenge({ namespace, device, publicKey }).pipe(
      Effect.tapError((refused) => {
        const written = write(refusalKey(cryptography), encodeRefusal(refused))
        return written === undefined ? Effect.void : connection.send(encodeFrame({ refusal: written.message }))
      })
    )
    const written = write(psk ?? noPsk, nothing)
    if (written === undefined) {
      return yield* new HandshakeFailed({ reason: "Malformed", detail: "the device's key is of low order" })
    }
    return { initiation, namespace, device, publicKey, psk, ...written }
  })
  // Each message has the time of a message: on a far line both would not come within that of one.
  const { device, initiation, keys, message, namespace, psk, publicKey } = yield* limited(challenged, "no handshake")
  const sealing = new Sealing(cryptography, keys)
  const answered = encodeFrame({ answer: message })
  const greeted = Effect.gen(function*() {
    yield* connection.send(answered)
    while (true) {
      const frame = yield* receive
      if (frame.initiation.length > 0 && equal(frame.initiation, initiation)) yield* connection.send(answered)
      const packet = frame.sealed.length > 0 ? sealing.open(frame) : undefined
      if (packet?.hello === undefined) continue
      const read = deviceHelloFromWire(packet.hello)
      if (read === undefined) {
        return yield* new HandshakeFailed({ reason: "Malformed", detail: "the device's hello makes no sense" })
      }
      if (read.hello.namespace !== namespace || read.hello.device !== device) {
        return yield* new HandshakeFailed({
          reason: "Malformed",
          detail: "the hello names another device than the first message"
        })
      }
      if (connection.proven !== undefined) yield* connection.proven
      return { ...read, sealing, publicKey, enrols: psk !== undefined } satisfies Greeted
    }
  })
  return yield* limited(greeted, "no handshake")
})

/**
 * Decides about a device while it waits for that, which it shows by saying its hello again. Decisions about those that have hung up
 * would take the time of those that are there, and hold up the next dial of the same device.
 */
export const attended = <A, E, R>(connection: Connection, decision: Effect.Effect<A, E, R>) =>
  Effect.raceFirst(
    decision,
    Effect.forever(limited(connection.receive, "no word of the device while it was decided about"))
  )

/** Tells the device that it is welcome until it says something in the session: that packet is returned. */
export const welcome = (
  connection: Connection,
  sealing: Sealing,
  hello: OperatorHello,
  session: { readonly id: Uint8Array; readonly resumed: boolean; readonly received: number }
) =>
  Effect.gen(function*() {
    const packet = create(PacketSchema, { welcome: operatorHelloToWire(hello, session, connection.maxFrame) })
    const ready = Effect.gen(function*() {
      while (true) {
        const said = openFrame(sealing, yield* connection.receive)
        if (said !== undefined && said.hello === undefined) return said
      }
    })
    return yield* limited(
      until(connection, () => sealing.seal(packet), ready),
      "the device did not take up its session"
    )
  })

const equal = (one: Uint8Array, other: Uint8Array) =>
  one.length === other.length && one.every((byte, index) => byte === other[index])

const openFrame = (sealing: Sealing, bytes: Uint8Array): Packet | undefined => {
  const frame: Frame | undefined = decodeFrame(bytes)
  return frame === undefined || frame.sealed.length === 0 ? undefined : sealing.open(frame)
}

// Hellos on the wire

/** Undefined where it is too few to be true. */
const frameFromWire = (said: number) => said === 0 ? Infinity : said < leastFrame ? undefined : said

const deviceHelloToWire = (hello: DeviceHello, resume: Resume | undefined, maxFrame: number): WireDeviceHello =>
  create(DeviceHelloSchema, {
    ...hello,
    capabilities: [...hello.capabilities],
    epoch: BigInt(hello.epoch),
    session: resume?.session ?? nothing,
    received: BigInt(resume?.received ?? 0),
    maxFrame
  })

const deviceHelloFromWire = (wire: WireDeviceHello) => {
  const epoch = toNumber(wire.epoch)
  const received = toNumber(wire.received)
  const maxFrame = frameFromWire(wire.maxFrame)
  if (epoch === undefined || received === undefined || maxFrame === undefined) return undefined
  const { $typeName: _, maxFrame: __, received: ___, session, ...rest } = wire
  const hello: DeviceHello = { ...rest, epoch }
  return { hello, resume: session.length === 0 ? undefined : { session, received }, maxFrame }
}

const operatorHelloToWire = (
  hello: OperatorHello,
  session: { readonly id: Uint8Array; readonly resumed: boolean; readonly received: number },
  maxFrame: number
): WireOperatorHello =>
  create(OperatorHelloSchema, {
    ...hello,
    capabilities: [...hello.capabilities],
    epoch: BigInt(hello.epoch),
    now: BigInt(hello.now),
    session: session.id,
    resumed: session.resumed,
    received: BigInt(session.received),
    maxFrame
  })

const operatorHelloFromWire = (wire: WireOperatorHello) => {
  const epoch = toNumber(wire.epoch)
  const now = toNumber(wire.now)
  const received = toNumber(wire.received)
  const maxFrame = frameFromWire(wire.maxFrame)
  if (epoch === undefined || now === undefined || received === undefined || maxFrame === undefined) return undefined
  if (wire.session.length === 0 || wire.session.length > 64 || wire.beatMillis < 1000) return undefined
  const { $typeName: _, maxFrame: __, received: ___, resumed, session, ...rest } = wire
  const hello: OperatorHello = { ...rest, epoch, now }
  return { hello, session, resumed, received, maxFrame }
}
