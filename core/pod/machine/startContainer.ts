/** Brings one container from nothing, or from where a crash left it, to a started attempt; every step is remembered first. */
import { Effect } from "effect"
import type { JournalError } from "../../agent/Journal.ts"
import type { Container, RuntimeError } from "../ContainerRuntime.ts"
import { type AssignedContainer, assignedContainers, type AssignedEphemeralContainer } from "../PodAssignment.ts"
import { ContainerRefused } from "./ContainerRefused.ts"
import { containerSpec } from "./containerSpec.ts"
import { ensureImage } from "./ensureImage.ts"
import type { Start } from "./planPod.ts"
import { attemptOfSandbox, type ContainerRecord } from "./PodState.ts"
import { podIPs } from "./podStatus.ts"
import { rootRefusal } from "./runAsNonRoot.ts"
import { stateOf, wallMillis, type Workbench } from "./Workbench.ts"

type Failure = RuntimeError | JournalError | ContainerRefused

// A postStart hook is to run at the end of this, before anybody is told that the container started.
export const startContainer = Effect.fnUntraced(
  function*(bench: Workbench, start: Start): Effect.fn.Return<void, Failure> {
    if (start.verdict === "Unsettled" && start.existing !== undefined) {
      yield* Effect.sleep(bench.options.settleMillis)
      const found = yield* bench.runtime.inspect(start.existing.id)
      if (!isFresh(found)) return
      return yield* found.sandboxId === bench.sandbox?.id
        ? begin(bench, start, found.id)
        : makeAnew(bench, start.container.name, found.id)
    }
    const { existing } = start
    if (existing !== undefined) {
      if (existing.specHash === start.container.specHash && existing.sandboxId === bench.sandbox?.id) {
        return yield* begin(bench, start, existing.id)
      }
      // Never started, and not what is wanted any more.
      yield* bench.runtime.remove(existing.id)
    }
    return yield* createAndBegin(bench, start)
  }
)

/**
 * In a sandbox that is gone nothing can start any more, also not by a call that is still on its way. What is made next is decided by
 * another look: a new sandbox may ask for initialisation first.
 */
const makeAnew = Effect.fnUntraced(function*(bench: Workbench, name: string, id: string): Effect.fn.Return<
  void,
  Failure
> {
  const record = (yield* stateOf(bench)).containers.get(name)
  if (record === undefined) return
  yield* bench.store.saveContainer(bench.uid, name, { ...record, step: "Creating", containerId: "" })
  yield* bench.runtime.remove(id)
})

const isFresh = (container: Container): boolean => container.state === "created" && container.startedAt === undefined

const createAndBegin = Effect.fnUntraced(
  function*(bench: Workbench, start: Start): Effect.fn.Return<void, Failure> {
    const { attempt, backOffMillis } = start
    const { name, specHash } = start.container
    const image = yield* ensureImage(bench, name)
    const state = yield* stateOf(bench)
    const { assignment, pod } = state
    // As it is wanted now: what it is made from may have changed while the image was on its way.
    const container = assignedContainers(assignment).find((each) => each.name === name)
    // Another one is wanted: the pod is looked at again.
    if (container?.specHash !== specHash) return
    const refusal = rootRefusal(assignment, container, image.user)
    if (refusal !== undefined) {
      return yield* new ContainerRefused({ reason: "CreateContainerConfigError", detail: refusal })
    }
    const { sandbox, volumes } = bench
    // Lost while the image was on its way: the pod is looked at again.
    if (sandbox?.ready !== true || volumes === undefined) return
    const host = bench.host()
    const addresses = {
      podIPs: podIPs({ state, sandbox, hostIPs: host.addresses }),
      hostIPs: host.addresses
    }
    const processesOf = yield* targetOf(bench, container)
    const spec = yield* containerSpec(bench.files, {
      assignment,
      container,
      attempt,
      image,
      sandboxId: sandbox.id,
      addresses,
      volumes,
      memoryCapacity: host.memoryBytes,
      processesOf
    })

    const before = state.containers.get(container.name)
    const previous = before === undefined || before.attempt === attempt ? before?.previous : before.result
    const record: ContainerRecord = {
      attempt,
      step: "Creating",
      containerId: "",
      specHash: container.specHash,
      image: container.image,
      imageId: image.id,
      bootId: host.bootId,
      sandboxAttempt: pod.sandboxAttempt,
      backOffMillis,
      replacing: false,
      ...(previous === undefined ? {} : { previous })
    }
    yield* bench.store.saveContainer(bench.uid, container.name, record)

    const created = yield* Effect.result(bench.runtime.create(spec))
    if (created._tag === "Success") {
      yield* bench.events.emit({ assignment, container: container.name }, "Normal", "Created", "Container created")
      return yield* begin(bench, start, created.success)
    }
    const error = created.failure
    if (error.reason === "NameConflict" && error.id !== undefined) return yield* adopt(bench, start, error.id)
    return yield* refuseCreation(error)
  }
)

/** The id of the container whose processes an ephemeral one is to see: it has to run. */
const targetOf = (
  bench: Workbench,
  container: AssignedContainer | AssignedEphemeralContainer
): Effect.Effect<string | undefined, ContainerRefused> => {
  if (!("targetContainer" in container) || container.targetContainer === "") return Effect.undefined
  const target = bench.running.get(container.targetContainer)
  return target === undefined
    ? Effect.fail(
      new ContainerRefused({
        reason: "CreateContainerConfigError",
        detail: `unable to find target container "${container.targetContainer}": it does not run`
      })
    )
    : Effect.succeed(target.id)
}

/** What the engine says no to is the container's trouble, for now or for ever; where it does not answer, that is its own. */
const refuseCreation = (error: RuntimeError) =>
  Effect.fail(
    error.reason === "Invalid" || error.reason === "CreateFailed"
      ? new ContainerRefused({ reason: "CreateContainerError", detail: error.message })
      : error
  )

/** The name is taken: by this very attempt, made before a crash, or by something that has to make room. */
const adopt = Effect.fnUntraced(function*(bench: Workbench, start: Start, id: string): Effect.fn.Return<void, Failure> {
  const holder = yield* bench.runtime.inspect(id)
  const { container } = start
  if (holder.uid !== bench.uid || holder.container !== container.name || holder.attempt !== start.attempt) {
    return yield* new ContainerRefused({
      reason: "CreateContainerError",
      detail: `the name of attempt ${start.attempt} is taken by ${id}, which is not it`
    })
  }
  if (isFresh(holder)) {
    if (holder.specHash === container.specHash && holder.sandboxId === bench.sandbox?.id) {
      return yield* begin(bench, start, id)
    }
    yield* bench.runtime.remove(id)
    return yield* createAndBegin(bench, start)
  }
  // It was started: whatever it does or did is what became of this attempt, under the spec it was made from.
  const record = (yield* stateOf(bench)).containers.get(container.name)
  if (record === undefined) return
  yield* bench.store.saveContainer(bench.uid, container.name, {
    ...record,
    step: "Starting",
    containerId: id,
    specHash: holder.specHash,
    sandboxAttempt: attemptOfSandbox(holder.sandboxId, bench.sandbox?.id, record.sandboxAttempt)
  })
})

const begin = Effect.fnUntraced(function*(bench: Workbench, start: Start, id: string): Effect.fn.Return<void, Failure> {
  const state = yield* stateOf(bench)
  const { name } = start.container
  const record = state.containers.get(name)
  if (record === undefined) return
  const starting: ContainerRecord = {
    ...record,
    step: "Starting",
    containerId: id,
    bootId: bench.host().bootId,
    sandboxAttempt: state.pod.sandboxAttempt
  }
  yield* bench.store.saveContainer(bench.uid, name, starting)
  const started = yield* Effect.result(bench.runtime.start(id))
  const subject = { assignment: state.assignment, container: name }
  if (started._tag === "Success") return yield* bench.events.emit(subject, "Normal", "Started", "Container started")

  const error = started.failure
  if (error.reason === "NotFound" && start.verdict !== "Unsettled") {
    // Nobody ever asked for its start: it is made again. What took it may have taken the sandbox, too.
    bench.sandboxStale = true
    return yield* bench.store.saveContainer(bench.uid, name, { ...record, step: "Creating", containerId: "" })
  }
  if (error.reason !== "StartFailed" && error.reason !== "Invalid" && error.reason !== "Unsupported") {
    return yield* error
  }
  // An earlier call, late, may have started it after all: then what it does is its result.
  if (!isFresh(yield* bench.runtime.inspect(id))) return
  const sandboxes = yield* bench.runtime.sandboxes(bench.uid)
  if (!sandboxes.some((sandbox) => sandbox.id === bench.sandbox?.id && sandbox.ready)) {
    // Not the container's fault, and its process never was: it is made anew in the next sandbox.
    bench.sandboxStale = true
    return yield* makeAnew(bench, name, id)
  }
  yield* bench.store.saveContainer(bench.uid, name, {
    ...starting,
    step: "Ended",
    result: {
      exitCode: 128,
      reason: "StartError",
      message: error.message.slice(0, 1024),
      finishedAt: yield* wallMillis,
      containerId: id,
      vanished: false
    }
  })
  yield* bench.events.emit(subject, "Warning", "Failed", `Error: ${error.message}`)
})
