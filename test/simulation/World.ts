/**
 * A whole system in one process under virtual time: the in-memory control plane with its controllers, the operator over the
 * shipped Kubernetes client, and devices, each with link, journal, files and runtime of its own. The programs are the shipped ones.
 */
import { Cause, Clock, Context, Effect, Exit, Layer, References, Schema, Scope } from "effect"
import { Base64 } from "effect/encoding"
import { NodeCryptography } from "../../adapters/crypto/NodeCryptography.ts"
import { KubeClient } from "../../adapters/kube/client/KubeClient.ts"
import { KubeClientConfig } from "../../adapters/kube/client/KubeClientConfig.ts"
import { TokenSigner } from "../../adapters/kube/plane/authority/TokenSigner.ts"
import { layerControllers } from "../../adapters/kube/plane/controller/controllers.ts"
import { ControlPlane } from "../../adapters/kube/plane/ControlPlane.ts"
import { Faults } from "../../adapters/kube/plane/memory/Faults.ts"
import { layerMemoryClient } from "../../adapters/kube/plane/memory/layerMemoryClient.ts"
import { agent, mailLayer } from "../../core/agent/Agent.ts"
import { AgentSettings } from "../../core/agent/AgentSettings.ts"
import { deviceMemory } from "../../core/agent/deviceMemory.ts"
import { Journal, type Table } from "../../core/agent/Journal.ts"
import { customResourceDefinition } from "../../core/device/customResourceDefinition.ts"
import { type EdgeDeviceObject, EdgeDevices } from "../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../core/kube/KubeApi.ts"
import type { KubeResource } from "../../core/kube/KubeResource.ts"
import type { KubeObject } from "../../core/kube/ObjectMeta.ts"
import type { KubeletBackend } from "../../core/kubelet/KubeletBackend.ts"
import { Cryptography } from "../../core/link/Cryptography.ts"
import { SecureRandom } from "../../core/link/SecureRandom.ts"
import { Acceptors, Dialers } from "../../core/link/Transport.ts"
import { Brokers } from "../../core/operator/Brokers.ts"
import type { Fleet } from "../../core/operator/Fleet.ts"
import { NamedIdentities } from "../../core/operator/NamedIdentities.ts"
import { operator, operatorLayer } from "../../core/operator/Operator.ts"
import { OperatorIdentity } from "../../core/operator/OperatorIdentity.ts"
import { ContainerRuntime } from "../../core/pod/ContainerRuntime.ts"
import { PodMachine } from "../../core/pod/machine/PodMachine.ts"
import { type FilesError, PodFiles } from "../../core/pod/PodFiles.ts"
import { PodRuntime } from "../../core/pod/PodRuntime.ts"
import type { BrokerLine } from "../fakes/MemoryBroker.ts"
import { MemoryFiles } from "../fakes/MemoryFiles.ts"
import { MemoryHost } from "../fakes/MemoryHost.ts"
import { MemoryJournal } from "../fakes/MemoryJournal.ts"
import { MemoryRuntime } from "../fakes/MemoryRuntime.ts"
import { MemoryTransport, type MemoryTransportControls } from "../fakes/MemoryTransport.ts"
import { QuickCryptography } from "../fakes/QuickCryptography.ts"
import { SeededSecureRandom } from "../fakes/SeededSecureRandom.ts"
import { worldMillis } from "../fakes/worldClock.ts"
import { type Footprint, makeFootprint } from "./footprint.ts"
import { directly, openBrokerOver, type Reach } from "./ways.ts"

/** A program that can be started, and killed at any instant: its scope is closed and what it had in memory is gone. */
export interface Program {
  readonly start: Effect.Effect<void>
  readonly kill: Effect.Effect<void>
  /** Starts it unless it is up: one that lives keeps what it has, also what it is stuck with. */
  readonly up: Effect.Effect<void>
  readonly footprint: Footprint
}

/** What a service manager does: a program that ends by itself is started again after a while, and `died` is told why. */
const restartAfter = "5 seconds"

/** What a program that is killed leaves to be ended on the side, such as a session of which it lets go, ends within. */
const endsWithin = "10 seconds"

const program = Effect.fnUntraced(function*(
  run: Effect.Effect<unknown, unknown>,
  died: (why: string) => Effect.Effect<void>
) {
  const parent = yield* Effect.scope
  let life: { readonly scope: Scope.Closeable; readonly footprint: Footprint } | undefined
  /** Whoever was killed has no fibers any more, once those that were about to end have ended. */
  const leftBehind = ({ fibers }: Footprint) =>
    Effect.sleep(endsWithin).pipe(
      Effect.andThen(
        Effect.suspend(() =>
          fibers() === 0 ? Effect.void : died(`it was killed, and ${fibers()} of its fibers live on`)
        )
      ),
      Effect.forkIn(parent)
    )
  const kill = Effect.suspend(() => {
    const ending = life
    life = undefined
    return ending === undefined
      ? Effect.void
      : Effect.andThen(Scope.close(ending.scope, Exit.void), leftBehind(ending.footprint))
  })
  const start = Effect.gen(function*() {
    yield* kill
    const { footprint, watch } = makeFootprint()
    const scope = yield* Scope.fork(parent)
    life = { scope, footprint }
    yield* watch(run).pipe(
      Effect.exit,
      Effect.flatMap((exit) => died(Exit.isSuccess(exit) ? "it came to its end" : Cause.pretty(exit.cause))),
      Effect.andThen(Effect.sleep(restartAfter)),
      Effect.forever,
      Effect.forkIn(scope)
    )
  })
  return {
    start,
    kill,
    up: Effect.suspend(() => life === undefined ? start : Effect.void),
    footprint: {
      fibers: () => life?.footprint.fibers() ?? 0,
      defects: () => life?.footprint.defects() ?? [],
      links: () => life?.footprint.links() ?? { sessions: 0, streams: 0, over: [] }
    }
  } satisfies Program
})

const silently = () => Effect.void

/** Primitives of either kind, with keys and nonces drawn from the seed. */
const ciphers = {
  real: Layer.mergeAll(NodeCryptography.layer, SeededSecureRandom.layer),
  quick: Layer.mergeAll(QuickCryptography.layer, SeededSecureRandom.layer)
} as const

export type Ciphers = keyof typeof ciphers

export const operatorPrivate = new Uint8Array(32).fill(7)

const inProcess = Layer.succeed(KubeClientConfig, {
  server: "http://plane",
  identity: Effect.succeed({}),
  identityRefused: () => Effect.void
})

const administrator = { username: "admin", groups: ["system:masters"] }

/** A second client onto the cluster, whose requests meet these faults. */
export const clientWithFaults = (faults: Context.Service.Shape<typeof Faults>) =>
  Layer.fresh(KubeClient.layer).pipe(
    Layer.provide(inProcess),
    Layer.provide(Layer.fresh(layerMemoryClient(administrator))),
    Layer.provide(Layer.succeed(Faults, faults))
  )

const definition = customResourceDefinition() as unknown as KubeObject

/** The cluster: control plane, controllers, and a client as its administrator. */
export const cluster = Layer.effectDiscard(Effect.gen(function*() {
  const api = yield* KubeApi
  yield* api.create(Definitions, definition)
})).pipe(
  Layer.provideMerge(layerControllers()),
  Layer.provideMerge(KubeClient.layer),
  Layer.provideMerge(inProcess),
  Layer.provideMerge(layerMemoryClient(administrator)),
  Layer.provideMerge(ControlPlane.layer()),
  Layer.provideMerge(TokenSigner.layerMemory)
)

const Definitions: KubeResource<KubeObject> = {
  group: "apiextensions.k8s.io",
  version: "v1",
  kind: "CustomResourceDefinition",
  plural: "customresourcedefinitions",
  namespaced: false,
  schema: Schema.Any as unknown as KubeResource<KubeObject>["schema"]
}

interface Row {
  readonly key: string
  readonly value: Uint8Array
}

export interface Obeyed {
  readonly epoch: number
  readonly what: string
  /** Milliseconds of the world's clock. */
  readonly at: number
  /** Of a pod that is to go, in milliseconds. */
  readonly grace?: number
}

/** What stands among the commands where the journal was wiped: nothing is remembered of those before it. */
export const wiped = "wipe"

/** A journal that writes its wipes down among the commands, in whose order they matter. */
const wipesTold = (journal: Journal["Service"], obeyed: Array<Obeyed>): Journal["Service"] => ({
  ...journal,
  wipe: Effect.andThen(
    journal.wipe,
    Effect.map(worldMillis, (at) => void obeyed.push({ epoch: 0, what: wiped, at }))
  )
})

/** Writes down under which epoch each command came to the pods: the agent says it with each of its log lines. */
const witnessed = (journal: MemoryJournal["Service"], obeyed: Array<Obeyed>) =>
  Layer.effect(
    PodRuntime,
    Effect.map(PodRuntime, (runtime) => {
      const under = <A>(what: string, command: Effect.Effect<A>, rest: Pick<Obeyed, "grace"> = {}): Effect.Effect<A> =>
        Effect.withFiber((fiber) => {
          const epoch = fiber.getRef(References.CurrentLogAnnotations)["epoch"]
          if (typeof epoch !== "number") return command
          return Effect.flatMap(worldMillis, (at) => {
            obeyed.push({ epoch, what, at, ...rest })
            return command
          })
        })
      return PodRuntime.of({
        ...runtime,
        ensure: (assignment) => under(`assign ${assignment.uid}`, runtime.ensure(assignment)),
        rotate: (uid, volume, files) => under(`rotate ${uid}`, runtime.rotate(uid, volume, files)),
        remove: (uid, grace) => under(`remove ${uid}`, runtime.remove(uid, grace), { grace: grace * 1000 }),
        // A report that is acknowledged after a wipe has nothing more to forget.
        forget: (uid) =>
          Effect.flatMap(
            journal.has("pods", uid),
            (known) => known ? under(`forget ${uid}`, runtime.forget(uid)) : runtime.forget(uid)
          )
      })
    })
  )

export interface SimulatedDevice {
  readonly name: string
  readonly agent: Program
  /** All ways it has to its operators. */
  readonly transport: MemoryTransportControls
  readonly reach: Reach
  readonly runtime: MemoryRuntime["Service"]
  readonly journal: MemoryJournal["Service"]
  readonly files: MemoryFiles["Service"]
  readonly host: MemoryHost["Service"]
  readonly engine: ContainerRuntime["Service"]
  readonly volumes: PodFiles["Service"]
  readonly publicKey: string
  /** Commands of operators that had an effect on its pods, and wipes, in order. */
  readonly obeyed: Effect.Effect<ReadonlyArray<Obeyed>>
  /** What its disk remembers, for worlds in which a device lies. */
  readonly rows: (table: Table) => Effect.Effect<ReadonlyArray<Row>>
  readonly putRows: (table: Table, rows: ReadonlyArray<Row>) => Effect.Effect<void>
  /** The EdgeDevice of this device. */
  readonly object: (spec?: object) => EdgeDeviceObject
}

export const makeDevice = Effect.fnUntraced(function*(
  name: string,
  number: number,
  died: (why: string) => Effect.Effect<void> = silently,
  /** Where pods' volumes lie in place of memory; it must do its work without waiting for the real world. */
  podFiles?: Layer.Layer<PodFiles, FilesError>,
  /** The host's own, of agent and runtime; neither cluster nor link know of it. */
  clock?: Clock.Clock,
  /** Its ways to its operators; only the direct one unless given. */
  reaching: (direct: MemoryTransportControls) => Reach = directly,
  /** What it says that it is. */
  version = "0.1.0"
) {
  const crypto = yield* Cryptography
  const randomness = yield* SecureRandom
  const reach = reaching(yield* MemoryTransport.make())
  const { transport } = reach
  const onHost = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    clock === undefined ? work : Effect.provideService(work, Clock.Clock, clock)
  // What outlives the agent: the machine it runs on.
  const memory = yield* onHost(Layer.build(Layer.fresh(
    Layer.mergeAll(
      MemoryRuntime.layerWith({ latency: { least: "5 millis", most: "50 millis" } }),
      MemoryJournal.layer,
      MemoryFiles.layer,
      MemoryHost.layer
    )
  )))
  const hardware = podFiles === undefined
    ? memory
    : Context.merge(memory, yield* Effect.orDie(Layer.build(Layer.fresh(podFiles))))
  const privateKey = new Uint8Array(32).fill(100 + number)
  const publicKey = crypto.x25519Public(privateKey)

  const obeyed: Array<Obeyed> = []
  const software = Layer.fresh(deviceMemory).pipe(
    Layer.provideMerge(Layer.fresh(mailLayer)),
    Layer.provideMerge(witnessed(Context.get(hardware, MemoryJournal), obeyed)),
    Layer.provideMerge(Layer.fresh(PodMachine.layer)),
    Layer.provideMerge(Layer.mergeAll(
      Layer.succeed(Dialers, reach.dialers),
      Layer.succeedContext(Context.add(hardware, Journal, wipesTold(Context.get(hardware, Journal), obeyed))),
      Layer.succeed(Cryptography, crypto),
      Layer.succeed(SecureRandom, randomness)
    ))
  )
  const run = agent({
    privateKey,
    operatorKey: crypto.x25519Public(operatorPrivate),
    enrolment: undefined
  }).pipe(
    Effect.provide(software),
    Effect.provideService(AgentSettings, {
      version,
      namespace: "edge",
      device: name,
      hostPoll: "1 minute",
      reportTimeout: "1 minute",
      reportsAtOnce: 4,
      retireGrace: "10 seconds"
    })
  )
  const device: SimulatedDevice = {
    name,
    agent: yield* program(onHost(Effect.annotateLogs(run, "program", name)), died),
    transport,
    reach,
    runtime: Context.get(hardware, MemoryRuntime),
    journal: Context.get(hardware, MemoryJournal),
    files: Context.get(hardware, MemoryFiles),
    host: Context.get(hardware, MemoryHost),
    engine: Context.get(hardware, ContainerRuntime),
    volumes: Context.get(hardware, PodFiles),
    publicKey: Base64.encode(publicKey),
    obeyed: Effect.sync(() => [...obeyed]),
    rows: (table) => Effect.orDie(Context.get(hardware, Journal).rows(table)),
    putRows: (table, rows) =>
      Effect.orDie(
        Context.get(hardware, Journal).commit(rows.map((row) => ({ _tag: "Put", table, secret: false, ...row })))
      ),
    object: (spec = {}) => ({
      apiVersion: "aranya.arhat.dev/v1alpha1",
      kind: "EdgeDevice",
      metadata: { namespace: "edge", name },
      spec: {
        connectivity: reach.connectivity,
        identity: { publicKey: Base64.encode(publicKey) },
        ...spec
      }
    })
  }
  return device
})

/** An operator process that accepts all these devices' connections; where there are several, a device comes to any of them. */
export const makeOperator = Effect.fnUntraced(function*(
  devices: ReadonlyArray<SimulatedDevice>,
  died: (why: string) => Effect.Effect<void> = silently,
  /** What else the process does once it is built, such as serving the kubelet API. */
  beside: Effect.Effect<void, never, KubeletBackend | Fleet> = Effect.void,
  /** Of the host; each start of the process is a holder of its own. */
  name = "operator",
  /** The host's own, of which the cluster and the devices know nothing. */
  clock?: Clock.Clock,
  /** What the host has to the broker, where devices come through one. */
  line?: BrokerLine
) {
  const api = yield* KubeApi
  const crypto = yield* Cryptography
  const randomness = yield* SecureRandom
  let starts = 0
  const direct = devices.map(({ transport }) => transport.acceptor)
  /** Each process has brokers of its own. */
  const doors = Layer.effect(
    Acceptors,
    Effect.map(
      Brokers,
      (brokers) =>
        line === undefined ? direct : [...direct, brokers.acceptor(openBrokerOver(line, `${name}-${starts}`))]
    )
  ).pipe(Layer.provideMerge(Brokers.layer), Layer.fresh)
  const run = Effect.suspend(() =>
    Effect.andThen(beside, operator).pipe(
      Effect.provide(
        Layer.fresh(operatorLayer).pipe(
          Layer.provideMerge(Layer.mergeAll(
            Layer.succeed(KubeApi, api),
            NamedIdentities.layer,
            doors,
            Layer.succeed(OperatorIdentity, {
              holder: `${name}-${++starts}`,
              installation: "aranya",
              version: "0.1.0",
              namespace: "aranya",
              hostNode: "",
              privateKey: operatorPrivate
            }),
            Layer.succeed(Cryptography, crypto),
            Layer.succeed(SecureRandom, randomness)
          ))
        )
      )
    )
  )
  const named = Effect.annotateLogs(run, "program", "operator")
  return yield* program(clock === undefined ? named : Effect.provideService(named, Clock.Clock, clock), died)
})

export const worldLayerWith = (kind: Ciphers) => Layer.mergeAll(cluster, ciphers[kind])
export const worldLayer = worldLayerWith("real")

export const createNamespaces = Effect.gen(function*() {
  const api = yield* KubeApi
  const Namespaces: KubeResource<KubeObject> = { ...Definitions, group: "", kind: "Namespace", plural: "namespaces" }
  for (const name of ["edge", "aranya"]) {
    yield* api.create(Namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name } })
  }
})

export const edgeDevices = EdgeDevices
