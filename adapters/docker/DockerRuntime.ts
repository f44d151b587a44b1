/** Containers by the docker engine: names, labels and namespaces as the kubelet's, no state of its own. */
import { NodeSocket } from "@effect/platform-node"
import { Clock, Duration, Effect, Layer, type Scope, Stream } from "effect"
import type { HttpClient } from "effect/http"
import { readFileSync } from "node:fs"
import {
  ContainerRuntime,
  type ContainerSpec,
  type LogQuery,
  RuntimeError,
  type SandboxSpec
} from "../../core/pod/ContainerRuntime.ts"
import { containerOf, Created, Inspected, Listed, sandboxOf, Stats, usageOf, wasStarted } from "./answers.ts"
import { openConnection } from "./connection.ts"
import { containerBody, isName, LABEL, nameOf, SANDBOX, sandboxBody, type SandboxModes } from "./containerBody.ts"
import { type DockerCall, layerHttp, makeDockerClient, refused, unavailable } from "./DockerClient.ts"
import type { DockerOptions } from "./DockerOptions.ts"
import { makeEvents } from "./events.ts"
import { followedLog, linesIn } from "./followedLog.ts"
import { makeImages } from "./images.ts"
import { makeLogReader } from "./multiplex.ts"
import { makePodNetworks } from "./podNetworks.ts"
import { makeProcesses } from "./processStreams.ts"

/** How many containers are looked at at once. */
const CONCURRENCY = 8
/** Of what docker could not make: another one at each try, as if each time there was something new to tell. */
const anyId = /[0-9a-f]{64}/g
const DIAL_TIMEOUT = "5 seconds"

const defaults = {
  device: "arhat",
  pauseImage: "registry.k8s.io/pause:3.10",
  requestTimeout: Duration.seconds(30),
  pullIdleTimeout: Duration.minutes(2),
  pullTimeout: Duration.hours(2),
  logFileBytes: 10 * 1024 * 1024,
  logFiles: 5
}

/** Where this process cannot have CAP_SYS_RESOURCE (bit 24), an engine beside it usually cannot either. */
const leastOomScoreAdj = (): number => {
  try {
    const bounding = /^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]
    return bounding !== undefined && ((BigInt(`0x${bounding}`) >> 24n) & 1n) === 0n ? 0 : -1000
  } catch {
    return -1000
  }
}

/** All but the socket has a default; `device` must tell apart devices that share one engine. */
export const layer = (
  options: Pick<DockerOptions, "socketPath"> & Partial<DockerOptions>
): Layer.Layer<ContainerRuntime> =>
  Layer.effect(
    ContainerRuntime,
    Effect.suspend(() => make({ ...defaults, leastOomScoreAdj: leastOomScoreAdj(), ...options }))
  ).pipe(Layer.provide(layerHttp(options.socketPath)))

const pathOf = (id: string): string => `/containers/${encodeURIComponent(id)}`

const make = Effect.fnUntraced(function*(
  options: DockerOptions
): Effect.fn.Return<ContainerRuntime["Service"], never, HttpClient.HttpClient | Scope.Scope> {
  const client = yield* makeDockerClient(options)
  const images = makeImages(client, options)
  const processes = makeProcesses(client)
  const inPod = options.dialProgram === undefined ? undefined : yield* makePodNetworks(options.dialProgram)
  const starting = new Set<string>()

  const inspectRaw = (id: string) => client.get({ method: "GET", path: `${pathOf(id)}/json` }, Inspected)

  const listed = (labels: ReadonlyArray<string>) =>
    client.get({
      method: "GET",
      path: "/containers/json",
      query: {
        all: "1",
        filters: JSON.stringify({ label: [`${LABEL.device}=${options.device}`, LABEL.attempt, ...labels] })
      }
    }, Listed)

  /** Those that go away meanwhile are left out. */
  const inspectAll = (ids: ReadonlyArray<string>) =>
    Effect.map(
      Effect.forEach(ids, (id) =>
        Effect.catchIf(inspectRaw(id), ({ reason }) => reason === "NotFound", () => Effect.undefined), {
        concurrency: CONCURRENCY
      }),
      (all) =>
        all.filter((one) =>
          one !== undefined
        )
    )

  const createNamed = Effect.fnUntraced(function*(name: string, json: unknown) {
    if (!isName(name)) {
      return yield* new RuntimeError({ reason: "Invalid", detail: `docker takes no name like ${name}` })
    }
    const call: DockerCall = { method: "POST", path: "/containers/create", query: { name }, json }
    const answer = yield* client.call(call)
    if (answer.status === 409) {
      const { Id } = yield* inspectRaw(name)
      return yield* new RuntimeError({ reason: "NameConflict", detail: `the name ${name} is taken by ${Id}`, id: Id })
    }
    const error = refused(call, answer.status, answer.words)
    // It has answered: who waits for the pod is to see its words, such as those of a full disk.
    if (answer.status >= 500) {
      return yield* new RuntimeError({ reason: "CreateFailed", detail: error.detail.replace(anyId, "…") })
    }
    if (answer.status >= 400) return yield* error
    return (yield* client.get({ method: "GET", path: `${pathOf(name)}/json` }, Created)).Id
  })

  const post = Effect.fnUntraced(
    function*(id: string, what: string, query: Record<string, string>, timeout?: Duration.Duration) {
      const call: DockerCall = {
        method: "POST",
        path: `${pathOf(id)}/${what}`,
        query,
        ...(timeout === undefined ? {} : { timeout })
      }
      return { call, answer: yield* client.call(call) }
    }
  )

  /** Docker would run an ended container a second time, and answers 304 for one that runs. */
  const start = Effect.fnUntraced(function*(id: string) {
    const before = yield* inspectRaw(id)
    const again = new RuntimeError({ reason: "Invalid", detail: `container ${id} was started before` })
    if (wasStarted(before)) return yield* again
    if (starting.has(before.Id)) return yield* unavailable(`a start of container ${id} is under way`)
    starting.add(before.Id)
    const { answer } = yield* Effect.ensuring(
      post(before.Id, "start", {}),
      Effect.sync(() => starting.delete(before.Id))
    )
    if (answer.status === 304) return yield* again
    // The words are the same where only its sandbox is gone: a look at the container itself tells.
    if (answer.status === 404) yield* inspectRaw(before.Id)
    if (answer.status >= 400) return yield* new RuntimeError({ reason: "StartFailed", detail: answer.words })
  })

  const ensureSandbox = Effect.fnUntraced(function*(spec: SandboxSpec) {
    const create = createNamed(nameOf(spec.uid, SANDBOX, spec.attempt), sandboxBody(options, spec))
    const id = yield* create.pipe(
      Effect.catchIf(
        ({ reason }) => reason === "NotFound",
        () => Effect.andThen(images.pull(options.pauseImage, []), create)
      ),
      Effect.catchIf(
        (error) => error.reason === "NameConflict" && error.id !== undefined,
        ({ id }) => Effect.succeed(id!)
      )
    )
    const found = yield* inspectRaw(id)
    // One that ran and ended is handed out as not ready: its addresses are gone, a new attempt is due.
    if (wasStarted(found)) return sandboxOf(found)
    yield* start(id)
    return sandboxOf(yield* inspectRaw(id))
  })

  const modesOf = (sandboxId: string) =>
    Effect.map(inspectRaw(sandboxId), ({ Config, HostConfig, Id }): SandboxModes => ({
      id: Id,
      hostIPC: HostConfig?.IpcMode === "host",
      hostPID: HostConfig?.PidMode === "host",
      shareProcessNamespace: Config.Labels?.[LABEL.sharePid] === "true"
    }))

  /** Docker's one field for user and group; a group alone goes with the image's own user. */
  const userOf = Effect.fnUntraced(function*({ image, imageId, security }: ContainerSpec) {
    const { runAsGroup, runAsUser } = security
    if (runAsGroup === undefined) return runAsUser === undefined ? undefined : `${runAsUser}`
    if (runAsUser !== undefined) return `${runAsUser}:${runAsGroup}`
    const { user = "0" } = yield* images.image(imageId === "" ? image : imageId)
    return `${user.split(":")[0]}:${runAsGroup}`
  })

  const create = Effect.fnUntraced(function*(spec: ContainerSpec) {
    const sandbox = yield* modesOf(spec.sandboxId)
    const body = containerBody(options, spec, sandbox, yield* userOf(spec))
    return yield* createNamed(nameOf(spec.uid, spec.container, spec.attempt), body)
  })

  const stop = Effect.fnUntraced(function*(id: string, graceSeconds: number) {
    const grace = Math.max(0, Math.ceil(graceSeconds))
    const patience = Duration.sum(options.requestTimeout, Duration.seconds(grace))
    const { answer, call } = yield* post(id, "stop", { t: `${grace}` }, patience)
    if (answer.status === 404) return
    if (answer.status >= 400) return yield* refused(call, answer.status, answer.words)
    const after = yield* Effect.catchIf(inspectRaw(id), ({ reason }) => reason === "NotFound", () => Effect.undefined)
    if (after?.State.Running === true) return yield* unavailable(`container ${id} still runs after docker stopped it`)
  })

  const removeWith = Effect.fnUntraced(function*(id: string, query: Record<string, string>) {
    const call: DockerCall = { method: "DELETE", path: pathOf(id), query: { v: "1", ...query } }
    const answer = yield* client.call(call)
    if (answer.status < 400 || answer.status === 404) return
    if (answer.status === 409 && /already in progress/i.test(answer.words)) return yield* unavailable(answer.words)
    return yield* refused(call, answer.status, answer.words)
  })

  const openLog = (id: string, query: Readonly<Record<string, string>>) =>
    Stream.unwrap(Effect.gen(function*() {
      const response = yield* client.open({
        method: "GET",
        path: `${pathOf(id)}/logs`,
        query: { stdout: "1", stderr: "1", ...query }
      })
      if (response.status !== 200) return yield* yield* client.refusal(response)
      return Stream.mapError(response.stream, () => unavailable(`docker broke off the log of ${id}`))
    }))

  const readLog = (id: string, tty: boolean, { since, tail }: Omit<LogQuery, "follow">) =>
    Stream.suspend(() => {
      const reader = makeLogReader(tty)
      const read = (bytes: Uint8Array | undefined) =>
        Effect.try({ try: () => reader(bytes), catch: (error) => unavailable(String(error)) })
      return openLog(id, {
        follow: "0",
        timestamps: "1",
        tail: tail === undefined ? "all" : `${tail}`,
        ...(since === undefined ? {} : { since: (since / 1000).toFixed(3) })
      }).pipe(
        Stream.mapEffect(read),
        Stream.concat(Stream.fromEffect(Effect.suspend(() => read(undefined)))),
        Stream.flattenIterable
      )
    })

  const logs: ContainerRuntime["Service"]["logs"] = (id, { follow, ...query }) =>
    Stream.unwrap(Effect.map(inspectRaw(id), ({ Config, State }) => {
      const tty = Config.Tty ?? false
      if (!follow || !State.Running) return readLog(id, tty, query)
      return followedLog({
        bell: Stream.map(openLog(id, { follow: "1", tail: "0" }), linesIn),
        read: (query) => readLog(id, tty, query),
        runs: Effect.mapBoth(inspectRaw(id), {
          onSuccess: ({ State }) => State.Running,
          onFailure: (error) =>
            error.reason === "NotFound"
              ? new RuntimeError({
                reason: "NotFound",
                detail: "the log cannot be read: the container was removed meanwhile"
              })
              : error
        })
      }, query)
    }))

  const dialHost = (host: string, port: number) =>
    Effect.flatMap(
      NodeSocket.makeNet({ host, port, openTimeout: DIAL_TIMEOUT, chunkSize: 16, allowHalfOpen: true, noDelay: true }),
      (socket) => openConnection(socket, `nobody answers at port ${port}`)
    )

  const dial = Effect.fnUntraced(function*(sandboxId: string, port: number) {
    const found = yield* inspectRaw(sandboxId)
    const onHost = found.HostConfig?.NetworkMode === "host"
    const [first, ...others] = onHost ? ["127.0.0.1", "::1"] : sandboxOf(found).ips
    // What listens on one family alone is found too; who finds nothing hears of the first address.
    const atAddresses = first === undefined
      ? Effect.fail(unavailable(`sandbox ${sandboxId} has no address`))
      : others.reduce(
        (dialled, host) => Effect.catch(dialled, (refused) => Effect.mapError(dialHost(host, port), () => refused)),
        dialHost(first, port)
      )
    if (onHost || inPod === undefined) return yield* atAddresses
    // Most servers listen on all addresses, and are reached without a program in between.
    return yield* Effect.catch(atAddresses, (refused) =>
      Effect.mapError(
        inPod({ id: found.Id, pid: found.State.Pid ?? 0 }, port),
        ({ detail }) => unavailable(`${refused.detail}; ${detail}`)
      ))
  })

  const measure = Effect.fnUntraced(function*(id: string) {
    const stats = yield* client.get(
      { method: "GET", path: `${pathOf(id)}/stats`, query: { stream: "0", "one-shot": "1" } },
      Stats
    )
    return usageOf(id, yield* Clock.currentTimeMillis, stats)
  })

  const ofPod = (uid: string | undefined) => uid === undefined ? [] : [`${LABEL.uid}=${uid}`]
  const isSandbox = ({ Labels }: (typeof Listed.Type)[number]) => Labels?.[LABEL.container] === SANDBOX

  return ContainerRuntime.of({
    info: Effect.map(client.version, ({ Version }) => ({ name: "docker", version: Version })),
    image: images.image,
    pull: images.pull,
    ensureSandbox,
    sandboxes: Effect.fnUntraced(function*(uid) {
      const found = yield* listed([`${LABEL.container}=${SANDBOX}`, ...ofPod(uid)])
      return (yield* inspectAll(found.map(({ Id }) => Id))).map(sandboxOf)
    }),
    removeSandbox: (id) => removeWith(id, { force: "1" }),
    create,
    start,
    stop,
    remove: (id) => removeWith(id, {}),
    inspect: (id) => Effect.map(inspectRaw(id), containerOf),
    containers: Effect.fnUntraced(function*(uid) {
      const found = yield* listed(ofPod(uid))
      return (yield* inspectAll(found.filter((one) => !isSandbox(one)).map(({ Id }) => Id))).map(containerOf)
    }),
    events: makeEvents(client, options.device),
    logs,
    exec: processes.exec,
    attach: processes.attach,
    dial,
    usage: Effect.gen(function*() {
      const found = yield* listed([])
      // Sandboxes too: the network is theirs.
      const running = found.filter((one) => one.State === "running")
      const all = yield* Effect.forEach(
        running,
        ({ Id }) => Effect.catchIf(measure(Id), ({ reason }) => reason === "NotFound", () => Effect.undefined),
        {
          concurrency: CONCURRENCY
        }
      )
      return all.filter((one) => one !== undefined)
    })
  })
})
