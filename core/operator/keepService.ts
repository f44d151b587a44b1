/**
 * Keeps the Service that an EdgeDevice asks for, so that an Ingress can route a host name of the device to the operator's gRPC
 * listener: a Service without selector, since the operator's pod lives in another namespace, and one EndpointSlice.
 */
import { Duration, Effect, Queue, Random, Schedule, Stream, SubscriptionRef } from "effect"
import { EndpointSlices, type Service, Services } from "../kube/kinds.ts"
import { KubeApi, type KubeApiError } from "../kube/KubeApi.ts"
import { desiredEndpointSlice, desiredService, ownsService, servicePatch, sliceDiffers } from "./desiredService.ts"
import type { DeviceContext } from "./DeviceContext.ts"
import { EventRecorder } from "./EventRecorder.ts"
import { OperatorSettings } from "./OperatorSettings.ts"
import { ServiceIndex } from "./ServiceIndex.ts"

const again = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("1 minute")]).pipe(Schedule.jittered)

/** What somebody else did to them is put right after so long, give or take half. */
const lookAgainMillis = 5 * 60_000

export interface ServiceKeeper {
  /** Whether this process speaks for the device may have changed. */
  readonly look: () => void
}

export const keepService = Effect.fnUntraced(function*(
  context: DeviceContext,
  options: { readonly holds: () => boolean }
) {
  const api = yield* KubeApi
  const index = yield* ServiceIndex
  const events = yield* EventRecorder
  const settings = yield* OperatorSettings
  const bell = yield* Queue.sliding<void>(1)
  const look = () => void Queue.offerUnsafe(bell, undefined)

  let told = ""
  const complain = (name: string, why: string) =>
    Effect.suspend(() => {
      if (told === why) return Effect.void
      told = why
      return events.record({
        about: {
          apiVersion: "aranya.arhat.dev/v1alpha1",
          kind: "EdgeDevice",
          namespace: context.namespace,
          name: context.name,
          uid: context.uid,
          fieldPath: "spec.connectivity.grpc.service"
        },
        type: "Warning",
        reason: "ServiceUnusable",
        message: `Service ${context.namespace}/${name}: ${why}`
      })
    })

  const at = (name: string) => ({ namespace: context.namespace, name })
  const found = <A>(effect: Effect.Effect<A, KubeApiError>): Effect.Effect<A | undefined, KubeApiError> =>
    Effect.catch(effect, (error) => error.reason === "NotFound" ? Effect.undefined : Effect.fail(error))

  const keepSlice = Effect.fnUntraced(function*(service: Service, endpoint: NonNullable<typeof settings.grpc>) {
    const desired = desiredEndpointSlice(service, endpoint)
    const name = desired.metadata.name ?? ""
    const present = yield* found(api.get(EndpointSlices, at(name)))
    if (present === undefined) return yield* api.create(EndpointSlices, desired)
    // The kind of addresses cannot be changed; nor does one of a former Service of the same name go with this one.
    if (
      present.addressType !== desired.addressType || !ownsService(present.metadata, desired.metadata.ownerReferences)
    ) {
      yield* found(api.delete(EndpointSlices, at(name), { uid: present.metadata.uid ?? "" }))
      return yield* api.create(EndpointSlices, desired)
    }
    if (!sliceDiffers(present, desired)) return present
    const { endpoints, metadata: { labels }, ports } = desired
    return yield* api.patch(EndpointSlices, at(name), {
      type: "merge",
      body: { metadata: { labels }, endpoints, ports }
    })
  })

  const isOurs = (metadata: Service["metadata"]) => ownsService(metadata, [{ uid: context.uid }])
  /** Those that are, or may be, this EdgeDevice's: the watch need not have told yet of what was made here. */
  const names = new Set<string>()

  const step = Effect.gen(function*() {
    if (!options.holds() || context.leaving()) return
    const { spec } = yield* SubscriptionRef.get(context.device)
    const wanted = spec.connectivity.grpc?.service
    const name = wanted === undefined ? undefined : wanted.name ?? context.name
    yield* index.synced
    for (const { metadata } of index.visibleFrom(context.namespace)) {
      if (metadata.namespace === context.namespace && isOurs(metadata)) names.add(metadata.name ?? "")
    }
    for (const former of names) {
      if (former === name) continue
      const present = yield* found(api.get(Services, at(former)))
      if (present !== undefined && isOurs(present.metadata)) {
        yield* found(api.delete(Services, at(former), { uid: present.metadata.uid ?? "" }))
      }
      names.delete(former)
    }
    if (wanted === undefined || name === undefined) return
    const { grpc } = settings
    if (grpc === undefined) {
      return yield* complain(
        name,
        "the operator does not know its own address: set connectivity.grpc.address or $POD_IP"
      )
    }
    const desired = desiredService(context, wanted, grpc)
    names.add(name)
    const present = yield* found(api.get(Services, at(name)))
    if (present !== undefined && !isOurs(present.metadata)) {
      return yield* complain(
        name,
        "there is one that is not of this EdgeDevice: set spec.connectivity.grpc.service.name to another name"
      )
    }
    const patch = present === undefined ? undefined : servicePatch(present, desired)
    const service = present === undefined
      ? yield* api.create(Services, desired)
      : patch === undefined
      ? present
      : yield* api.patch(Services, at(name), { type: "merge", body: patch })
    yield* keepSlice(service, grpc)
    told = ""
  })

  const patientStep = step.pipe(
    Effect.tapError((error) => Effect.logDebug(`Service of EdgeDevice ${context.key}: ${error.message}`)),
    Effect.retry({ schedule: again, while: (error) => error.retryable || error.reason === "Conflict" }),
    // What the API refuses it will refuse again: a person has to know.
    Effect.catch((error) =>
      complain(
        SubscriptionRef.getUnsafe(context.device).spec.connectivity.grpc?.service?.name ?? context.name,
        error.message
      )
    )
  )

  yield* SubscriptionRef.changes(context.device).pipe(
    Stream.map(({ spec }) => JSON.stringify(spec.connectivity.grpc?.service ?? null)),
    Stream.changes,
    Stream.runForEach(() => Effect.sync(look)),
    Effect.forkScoped
  )
  yield* Effect.forever(Effect.gen(function*() {
    const ring = Queue.take(bell)
    // Whoever asks for nothing costs nothing.
    const asked = SubscriptionRef.getUnsafe(context.device).spec.connectivity.grpc?.service !== undefined
    const wait = lookAgainMillis * (0.5 + (yield* Random.next))
    yield* asked ? Effect.timeoutOption(ring, Duration.millis(wait)) : ring
    yield* patientStep
  })).pipe(Effect.forkScoped)
  const keeper: ServiceKeeper = { look }
  return keeper
})
