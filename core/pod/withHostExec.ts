/**
 * Pods of the bare host beside those of an engine: one runtime to the pod machine, two below. A pod is of the host where all its
 * containers have the image that means it; its ids are marked, so that the engine is never asked for what is not its own.
 */
import { Effect, Stream } from "effect"
import { type Container, type ContainerRuntime, RuntimeError, type Sandbox } from "./ContainerRuntime.ts"

type Runtime = ContainerRuntime["Service"]

const image = "virtualimage.arhat.dev/hostexec"

/** Whatever its tag or digest. */
export const isHostExec = (reference: string): boolean =>
  reference.startsWith(image) && /^(?:[:@].*)?$/.test(reference.slice(image.length))

/** No engine names anything so. */
const mark = "hostexec-"
const isMarked = (id: string) => id.startsWith(mark)
const marked = (id: string) => `${mark}${id}`
const bare = (id: string) => id.slice(mark.length)

const markedSandbox = (sandbox: Sandbox): Sandbox => ({ ...sandbox, id: marked(sandbox.id) })
const markedContainer = (container: Container): Container => ({
  ...container,
  id: marked(container.id),
  sandboxId: marked(container.sandboxId)
})

const switchedOff = new RuntimeError({
  reason: "ImageUnavailable",
  detail:
    `pods of ${image} are switched off on this device: runtime.hostexec.enabled: true in its own configuration allows them`
})
const mixed = new RuntimeError({
  reason: "Invalid",
  detail: `either all containers of a pod have image ${image} or none`
})

type Found<A> = Effect.Effect<ReadonlyArray<A>, RuntimeError>

/** A pod is on one of the two: where that is the host, an engine that does not answer holds nothing up. */
const either = <A>(uid: string | undefined, ours: Found<A>, its: Found<A>): Found<A> =>
  Effect.flatMap(ours, (found) =>
    uid !== undefined && found.length > 0
      ? Effect.succeed(found)
      : Effect.map(its, (others) => [...found, ...others]))

/**
 * Where the owner has not allowed them such pods wait, in sandboxes that nobody has to make: in one of the engine they could not begin
 * on the host once they are allowed.
 */
const withoutHost = (engine: Runtime): Runtime => {
  const waiting = new Map<string, Sandbox>()
  return {
    ...engine,
    image: (reference) =>
      isHostExec(reference)
        ? Effect.fail(new RuntimeError({ reason: "NotFound", detail: switchedOff.detail }))
        : engine.image(reference),
    pull: (reference, credentials) =>
      isHostExec(reference) ? Effect.fail(switchedOff) : engine.pull(reference, credentials),
    ensureSandbox: (spec) =>
      spec.hostExec === true
        ? Effect.sync(() => {
          const { attempt, namespace, pod, uid } = spec
          const sandbox = { id: marked(`${uid}_${attempt}`), uid, namespace, pod, attempt, ready: true, ips: [] }
          waiting.set(sandbox.id, sandbox)
          return sandbox
        })
        : engine.ensureSandbox(spec),
    sandboxes: (uid) =>
      either(
        uid,
        Effect.sync(() => [...waiting.values()].filter((sandbox) => uid === undefined || sandbox.uid === uid)),
        engine.sandboxes(uid)
      ),
    removeSandbox: (id) => isMarked(id) ? Effect.sync(() => void waiting.delete(id)) : engine.removeSandbox(id),
    create: (spec) =>
      isHostExec(spec.image)
        ? Effect.fail(switchedOff)
        : isMarked(spec.sandboxId)
        ? Effect.fail(mixed)
        : engine.create(spec)
  }
}

/** `host` runs commands of the device itself; undefined where its owner has not allowed that. */
export const withHostExec = (engine: Runtime, host: Runtime | undefined): Runtime => {
  if (host === undefined) return withoutHost(engine)
  const at = <A>(id: string, step: (runtime: Runtime, id: string) => A): A =>
    isMarked(id) ? step(host, bare(id)) : step(engine, id)
  return {
    info: engine.info,
    image: (reference) => (isHostExec(reference) ? host : engine).image(reference),
    pull: (reference, credentials) => (isHostExec(reference) ? host : engine).pull(reference, credentials),
    ensureSandbox: (spec) =>
      spec.hostExec === true ? Effect.map(host.ensureSandbox(spec), markedSandbox) : engine.ensureSandbox(spec),
    sandboxes: (uid) =>
      either(uid, Effect.map(host.sandboxes(uid), (ours) => ours.map(markedSandbox)), engine.sandboxes(uid)),
    removeSandbox: (id) => at(id, (runtime, id) => runtime.removeSandbox(id)),
    create: (spec) => {
      if (isHostExec(spec.image) !== isMarked(spec.sandboxId)) return Effect.fail(mixed)
      if (!isMarked(spec.sandboxId)) return engine.create(spec)
      return host.create({ ...spec, sandboxId: bare(spec.sandboxId) }).pipe(
        Effect.map(marked),
        Effect.mapError((error) =>
          error.id === undefined
            ? error
            : new RuntimeError({ reason: error.reason, detail: error.detail, id: marked(error.id) })
        )
      )
    },
    start: (id) => at(id, (runtime, id) => runtime.start(id)),
    stop: (id, graceSeconds) => at(id, (runtime, id) => runtime.stop(id, graceSeconds)),
    remove: (id) => at(id, (runtime, id) => runtime.remove(id)),
    inspect: (id) => isMarked(id) ? Effect.map(host.inspect(bare(id)), markedContainer) : engine.inspect(id),
    containers: (uid) =>
      either(uid, Effect.map(host.containers(uid), (ours) => ours.map(markedContainer)), engine.containers(uid)),
    events: Stream.merge(
      Stream.map(host.events, (event) => ({ ...event, containerId: marked(event.containerId) })),
      engine.events
    ),
    logs: (id, query) => at(id, (runtime, id) => runtime.logs(id, query)),
    exec: (id, spec) => at(id, (runtime, id) => runtime.exec(id, spec)),
    attach: (id, spec) => at(id, (runtime, id) => runtime.attach(id, spec)),
    dial: (sandboxId, port) => at(sandboxId, (runtime, id) => runtime.dial(id, port)),
    usage: Effect.zipWith(host.usage, engine.usage, (ours, its) => [
      ...ours.map((usage) => ({ ...usage, containerId: marked(usage.containerId) })),
      ...its
    ])
  }
}
