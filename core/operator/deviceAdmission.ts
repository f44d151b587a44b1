/** Decides which devices may link: by pinned key or one-time Secret, by lineage, and under which epoch. */
import { Clock, Effect, Layer, Option, Result } from "effect"
import { Base64, Hex } from "effect/encoding"
import { decodeEdgeDevice } from "../device/decodeEdgeDevice.ts"
import { type EdgeDeviceObject, EdgeDevices, type EdgeDeviceStatus } from "../device/EdgeDevice.ts"
import { Secrets } from "../kube/kinds.ts"
import { KubeApi, type KubeApiError } from "../kube/KubeApi.ts"
import { Cryptography } from "../link/Cryptography.ts"
import { Admission, Refused } from "../link/Hello.ts"
import { makeTurns } from "../link/makeTurns.ts"
import { SecureRandom } from "../link/SecureRandom.ts"
import { deviceKey, DeviceRegistry } from "./DeviceRegistry.ts"
import { EventRecorder } from "./EventRecorder.ts"
import { continueLineage } from "./lineage.ts"
import { OperatorIdentity } from "./OperatorIdentity.ts"
import { Revocations } from "./Revocations.ts"

/** Set by an owner on an EdgeDevice whose device was restored from a copy or installed anew; taken off once used. */
export const readmitAnnotation = "aranya.arhat.dev/readmit"

const lineageBytes = 16
const keyBytes = 32
/** An owner hears of wrong keys once in so long per device, of so many devices. */
const wrongKeyMillis = 10 * 60_000
/** The API is asked for an EdgeDevice that a device seems not to belong to once in so long. */
const readMillis = 2000
/** Devices of which is known when they were told of, or asked for. */
const remembered = 10_000

/** Keeps the newest entries. */
const remember = <A>(memory: Map<string, A>, key: string, value: A) => {
  memory.delete(key)
  memory.set(key, value)
  for (const oldest of memory.keys()) {
    if (memory.size <= remembered) return
    memory.delete(oldest)
  }
}

const monotonicMillis = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos / 1_000_000n))

export const deviceAdmission = Layer.effect(
  Admission,
  Effect.gen(function*() {
    const api = yield* KubeApi
    const cryptography = yield* Cryptography
    const random = yield* SecureRandom
    const registry = yield* DeviceRegistry
    const identity = yield* OperatorIdentity
    const revocations = yield* Revocations
    const events = yield* EventRecorder

    const unavailable = (error: { readonly message: string }) =>
      new Refused({ code: "Unavailable", detail: `try again: ${error.message}` })

    /** A device that is told so wipes itself: the API has to say it, for a watch may not have told of the next one of this name. */
    const isDeleted = (namespace: string, name: string) =>
      api.get(EdgeDevices, { namespace, name }).pipe(
        Effect.as(false),
        Effect.catch((error) => error.reason === "NotFound" ? Effect.succeed(true) : Effect.fail(unavailable(error)))
      )

    const find = Effect.fnUntraced(function*(namespace: string, device: string, publicKey: Uint8Array) {
      yield* registry.synced
      const object = registry.get(deviceKey(namespace, device))
      if (object !== undefined) return object
      if (revocations.isRevoked(publicKey)) {
        return yield* (yield* isDeleted(namespace, device))
          ? new Refused({ code: "Deleted", detail: `EdgeDevice ${namespace}/${device} was deleted` })
          : new Refused({ code: "Unavailable", detail: "the EdgeDevice is not served yet: try again" })
      }
      return yield* new Refused({
        code: "UnknownDevice",
        detail:
          `there is no EdgeDevice ${namespace}/${device}: create it, or mend arhat.device in the agent's configuration`
      })
    })

    const enrolmentKey = Effect.fnUntraced(function*(namespace: string, name: string) {
      const secret = yield* api.get(Secrets, { namespace, name }).pipe(
        Effect.mapError((error) =>
          error.reason === "NotFound"
            ? new Refused({ code: "NotEnrolled", detail: `Secret ${namespace}/${name} does not exist` })
            : unavailable(error)
        )
      )
      const token = Option.fromUndefinedOr(secret.data?.["token"]).pipe(
        Option.flatMap((data) => Result.getSuccess(Base64.decodeString(data))),
        Option.flatMap((text) => Result.getSuccess(Base64.decode(text.trim())))
      )
      if (Option.isNone(token) || token.value.length !== keyBytes) {
        return yield* new Refused({
          code: "NotEnrolled",
          detail: `key token of Secret ${namespace}/${name} must be ${keyBytes} bytes in base64`
        })
      }
      return token.value
    })

    /** Monotonic milliseconds by uid. */
    const wrongKeysTold = new Map<string, number>()
    /** Whoever knows a device's name can come here as often as he likes: the owner is told, but not each time. */
    const tellWrongKey = Effect.fnUntraced(function*({ metadata }: EdgeDeviceObject) {
      const uid = metadata.uid ?? ""
      const now = yield* monotonicMillis
      const before = wrongKeysTold.get(uid)
      if (before !== undefined && now - before < wrongKeyMillis) return
      remember(wrongKeysTold, uid, now)
      yield* events.record({
        about: { apiVersion: "aranya.arhat.dev/v1alpha1", kind: "EdgeDevice", ...reference(metadata) },
        type: "Warning",
        reason: "WrongKey",
        message: "a device with another key than this EdgeDevice knows was turned away: if it is the right one, set "
          + "spec.identity.publicKey to what `arhat identity` prints on it"
      })
    })

    const decoded = (object: EdgeDeviceObject) =>
      decodeEdgeDevice(object).pipe(
        Effect.mapError((error) => new Refused({ code: "Unavailable", detail: error.message }))
      )

    const wrongKey = Effect.fnUntraced(function*(object: EdgeDeviceObject) {
      const { name = "", namespace = "" } = object.metadata
      yield* tellWrongKey(object)
      return yield* new Refused({
        code: "WrongKey",
        detail: `the key is not the one EdgeDevice ${namespace}/${name} knows: set its spec.identity.publicKey to what `
          + "`arhat identity` prints on this device"
      })
    })

    const inTurn = makeTurns()
    /** When each was asked for last, by the device's key, and how that failed. */
    const asked = new Map<string, { readonly at: number; readonly failure: KubeApiError | undefined }>()
    /**
     * As the API itself has it. A device that is turned away for good does not come again for minutes, and what speaks for it may be
     * what the watch has not told yet. Whoever knows a device's name can come here as often as he likes: the API is not asked each time.
     */
    const current = (key: string) =>
      inTurn(
        key,
        Effect.gen(function*(): Effect.fn.Return<EdgeDeviceObject, KubeApiError> {
          const before = asked.get(key)
          if (before !== undefined && (yield* monotonicMillis) - before.at < readMillis) {
            if (before.failure !== undefined) return yield* before.failure
            const known = registry.get(key)
            if (known !== undefined) return known
          }
          const answer = yield* Effect.result(registry.read(key))
          const failure = answer._tag === "Failure" ? answer.failure : undefined
          remember(asked, key, { at: yield* monotonicMillis, failure })
          return yield* Effect.fromResult(answer)
        })
      ).pipe(Effect.mapError(unavailable))

    interface Caller {
      readonly namespace: string
      readonly device: string
      readonly publicKey: Uint8Array
    }

    const challenge = Effect.fnUntraced(function*(
      { namespace, device, publicKey }: Caller,
      /** As the API has it; what the watch has told, where it was not asked. */
      read?: EdgeDeviceObject
    ): Effect.fn.Return<{ readonly psk: Uint8Array | undefined }, Refused> {
      const object = read ?? (yield* find(namespace, device, publicKey))
      const { spec, status } = yield* decoded(object)
      const pinned = spec.identity.publicKey ?? status.link?.publicKey
      if (pinned !== undefined) {
        if (pinned === Base64.encode(publicKey)) return { psk: undefined }
        if (read !== undefined) return yield* wrongKey(object)
        return yield* challenge({ namespace, device, publicKey }, yield* current(deviceKey(namespace, device)))
      }
      const enrolment = spec.identity.enrolmentSecretRef?.name
      if (enrolment === undefined) {
        return yield* new Refused({
          code: "NotEnrolled",
          detail:
            `EdgeDevice ${namespace}/${device} has neither spec.identity.publicKey nor spec.identity.enrolmentSecretRef: `
            + "set the first to what `arhat identity` prints on this device"
        })
      }
      return { psk: yield* enrolmentKey(namespace, enrolment) }
    })

    type Admit = Admission["Service"]["admit"]
    const judge = Effect.fnUntraced(function*(
      hello: Parameters<Admit>[0],
      { enrols, publicKey }: Parameters<Admit>[1],
      live: Parameters<Admit>[2],
      /** As the API has it; what the watch has told, where it was not asked. */
      read?: EdgeDeviceObject
    ): Effect.fn.Return<Effect.Success<ReturnType<Admit>>, Refused> {
      const key = deviceKey(hello.namespace, hello.device)
      const object = read ?? (yield* find(hello.namespace, hello.device, publicKey))
      const judgedAnew = Effect.flatMap(current(key), (now) => judge(hello, { enrols, publicKey }, live, now))
      const { metadata } = object
      const ownKey = Base64.encode(publicKey)
      // Its owner may have given it another key since the handshake began.
      const { generation, spec } = yield* decoded(object)
      const pinned = (status: EdgeDeviceStatus = {}) => spec.identity.publicKey ?? status.link?.publicKey
      if ((pinned(object.status) ?? ownKey) !== ownKey) {
        return yield* read === undefined ? judgedAnew : wrongKey(object)
      }
      const duplicate = Effect.fnUntraced(function*(detail: string) {
        yield* events.record({
          about: { apiVersion: "aranya.arhat.dev/v1alpha1", kind: "EdgeDevice", ...reference(metadata) },
          type: "Warning",
          reason: "DuplicateIdentity",
          message: detail
        })
        return yield* new Refused({ code: "DuplicateIdentity", detail })
      })
      if (live !== undefined && live.journalId !== hello.journalId) {
        return yield* duplicate("another device with this identity is connected: give each device its own key")
      }

      const lineage = yield* random.bytes(lineageBytes)
      const readmit = metadata.annotations?.[readmitAnnotation] !== undefined
      const issuedBefore = object.status?.link?.lineageHash
      const shown = hello.lineage.length === 0 ? "" : Hex.encode(cryptography.sha256(hello.lineage))
      let epoch = 0
      let changed = false
      let refused = false
      let enrolled = false
      yield* registry.swapStatus({ key, uid: metadata.uid ?? "" }, (status, now) => {
        changed = (now.metadata.generation ?? 0) !== generation ||
          (pinned(status) ?? (enrols ? ownKey : undefined)) !== ownKey ||
          // While this was under way another operator let the device in: it is there, unless it says so anew.
          (status.link?.lineageHash !== issuedBefore && status.link?.lineageHash !== shown)
        if (changed) return undefined
        const verdict = continueLineage(status.link ?? {}, hello, {
          shown,
          issued: Hex.encode(cryptography.sha256(lineage)),
          holder: identity.holder,
          publicKey: ownKey,
          readmit
        })
        refused = verdict._tag === "Duplicate"
        if (verdict._tag === "Duplicate") return undefined
        enrolled = status.link?.publicKey === undefined
        epoch = verdict.link.epoch ?? 1
        return { ...status, link: verdict.link }
      }).pipe(Effect.mapError(unavailable))
      if (changed) {
        return yield* new Refused({ code: "Unavailable", detail: "try again: the EdgeDevice was changed meanwhile" })
      }
      if (refused && read === undefined) return yield* judgedAnew
      if (refused) {
        return yield* duplicate(
          "the device shows an old lineage: it is a copy, or was restored or installed anew. If it is the right one, run: "
            + `kubectl -n ${hello.namespace} annotate edgedevice ${hello.device} ${readmitAnnotation}=true`
        )
      }
      if (enrolled) yield* revocations.pardon(publicKey)
      if (readmit) {
        yield* api.patch(EdgeDevices, { namespace: hello.namespace, name: hello.device }, {
          type: "merge",
          body: { metadata: { annotations: { [readmitAnnotation]: null } } }
        }).pipe(Effect.catch((error) => Effect.logWarning(`annotation ${readmitAnnotation} stays: ${error.message}`)))
      }
      return { epoch, lineage, by: metadata.uid ?? "" }
    })

    return Admission.of({
      challenge: (caller) => challenge(caller),
      admit: (hello, proven, live) => judge(hello, proven, live)
    })
  })
)

const reference = (meta: { readonly namespace?: string; readonly name?: string; readonly uid?: string }) => ({
  ...(meta.namespace === undefined ? {} : { namespace: meta.namespace }),
  ...(meta.name === undefined ? {} : { name: meta.name }),
  ...(meta.uid === undefined ? {} : { uid: meta.uid })
})
