/** The image of a container by its pull policy, with the kubelet's events, texts and back-off per image. */
import { Effect } from "effect"
import type { ImageInfo, RuntimeError } from "../ContainerRuntime.ts"
import { credentialMatches } from "../credentialMatches.ts"
import { type AssignedContainer, assignedContainers, type RegistryCredential } from "../PodAssignment.ts"
import { ContainerRefused } from "./ContainerRefused.ts"
import { goDuration } from "./goDuration.ts"
import { monotonicMillis, stateOf, type Workbench } from "./Workbench.ts"

/** Of one image, since it last could be had. */
export interface ImageBackOff {
  /** Milliseconds of the last wait. */
  readonly wait: number
  /** The error that the status showed. */
  readonly error: string
}

/** Long enough that a watcher sees the error itself before the status turns to the back-off. */
const errorShown = 0.5

export const ensureImage = Effect.fnUntraced(function*(
  bench: Workbench,
  name: string
): Effect.fn.Return<ImageInfo, RuntimeError | ContainerRefused> {
  while (true) {
    const { assignment } = yield* stateOf(bench)
    const container = assignedContainers(assignment).find((each) => each.name === name)
    if (container === undefined) return yield* Effect.interrupt
    const subject = { assignment, container: name }
    const { image } = container
    const result = yield* Effect.result(obtain(bench, container))
    if (result._tag === "Success") {
      bench.imageBackOffs.delete(image)
      bench.waiting.delete(name)
      return result.success
    }
    const error = result.failure
    if (error._tag === "RuntimeError" && error.reason === "Unavailable") return yield* error
    if (error._tag === "ContainerRefused" && error.reason !== "ErrImagePull") return yield* error

    const before = bench.imageBackOffs.get(image)
    const { first, most } = bench.options.imageBackOff
    const wait = before === undefined ? first : Math.min(most, before.wait * 2)
    bench.imageBackOffs.set(image, { wait, error: error.message })
    yield* bench.events.emit(subject, "Warning", "Failed", `Failed to pull image "${image}": ${error.message}`)
    yield* bench.events.emit(subject, "Warning", "Failed", "Error: ErrImagePull")
    const backOff = `Back-off pulling image "${image}"`
    // With the cause, as kubelets since 1.32 have it: whoever looks later sees why without looking for events.
    const backingOff = { reason: "ImagePullBackOff", message: `${backOff}: ErrImagePull: ${error.message}` }
    // The same error again and again is no news: the status stays as it is.
    if (before?.error !== error.message) {
      bench.waiting.set(name, { reason: "ErrImagePull", message: error.message })
      yield* bench.wake.open
      yield* Effect.sleep(wait * errorShown)
      yield* bench.events.emit(subject, "Normal", "BackOff", backOff)
      yield* bench.events.emit(subject, "Warning", "Failed", "Error: ImagePullBackOff")
      bench.waiting.set(name, backingOff)
      yield* bench.wake.open
      yield* Effect.sleep(wait * (1 - errorShown))
    } else {
      bench.waiting.set(name, backingOff)
      yield* bench.wake.open
      yield* Effect.sleep(wait)
    }
  }
})

const obtain = Effect.fnUntraced(function*(
  bench: Workbench,
  { image, imagePullPolicy, name }: AssignedContainer
): Effect.fn.Return<ImageInfo, RuntimeError | ContainerRefused> {
  const { assignment } = yield* stateOf(bench)
  const subject = { assignment, container: name }
  if (imagePullPolicy !== "Always") {
    const present = yield* bench.runtime.image(image).pipe(
      Effect.catchIf(
        (error) => error.reason === "NotFound" || error.reason === "ImageUnavailable",
        () => Effect.undefined
      ),
      Effect.catchIf((error) => error.reason === "InvalidImageName", (error) => invalidName(image, error)),
      Effect.catchIf(
        (error): error is RuntimeError => error._tag === "RuntimeError" && error.reason !== "Unavailable",
        (error) => Effect.fail(new ContainerRefused({ reason: "ImageInspectError", detail: error.message }))
      )
    )
    if (present !== undefined) {
      yield* bench.events.emit(
        subject,
        "Normal",
        "Pulled",
        `Container image "${image}" already present on machine and can be accessed by the pod`
      )
      return present
    }
    if (imagePullPolicy === "Never") {
      return yield* new ContainerRefused({
        reason: "ErrImageNeverPull",
        detail: `Container image "${image}" is not present with pull policy of Never`
      })
    }
  }
  const asked = yield* monotonicMillis
  const pull = Effect.gen(function*() {
    yield* bench.events.emit(subject, "Normal", "Pulling", `Pulling image "${image}"`)
    const began = yield* monotonicMillis
    // A pod may bring credentials for several registries, each for its own.
    const credentials = assignment.pullCredentials.filter(({ registry }) => credentialMatches(registry, image))
    const info = yield* bench.runtime.pull(image, credentials).pipe(
      Effect.catchIf((error) => error.reason === "InvalidImageName", (error) => invalidName(image, error)),
      Effect.catchIf(
        (error): error is RuntimeError => error._tag === "RuntimeError" && error.reason !== "Unavailable",
        (error) =>
          Effect.fail(
            new ContainerRefused({
              reason: "ErrImagePull",
              detail: error.reason === "ImageDenied" ? `${error.message} (${presented(credentials)})` : error.message
            })
          )
      )
    )
    const now = yield* monotonicMillis
    yield* bench.events.emit(
      subject,
      "Normal",
      "Pulled",
      `Successfully pulled image "${image}" in ${goDuration(now - began)} (${
        goDuration(now - asked)
      } including waiting). Image size: ${info.sizeBytes} bytes.`
    )
    return info
  })
  return yield* bench.pulls.withPermit(pull)
})

/** What the registry has turned down: the registry's own words seldom tell. */
const presented = (credentials: ReadonlyArray<RegistryCredential>): string =>
  credentials.length === 0
    ? "no imagePullSecret of the pod is for this image"
    : `with the credentials for ${credentials.map(({ registry }) => registry).join(", ")}`

const invalidName = (image: string, { message }: RuntimeError) =>
  Effect.fail(
    new ContainerRefused({
      reason: "InvalidImageName",
      detail: `Failed to apply default image tag "${image}": ${message}`
    })
  )
