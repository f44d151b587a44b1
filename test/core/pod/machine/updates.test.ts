import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch } from "effect"
import { ContainerRuntime, type ContainerSpec } from "../../../../core/pod/ContainerRuntime.ts"
import { mountPointsBelow } from "../../../../core/pod/machine/ensureVolumes.ts"
import type { AssignedContainer, PodAssignment, VolumeFile } from "../../../../core/pod/PodAssignment.ts"
import { MemoryFiles } from "../../../fakes/MemoryFiles.ts"
import { MemoryJournal } from "../../../fakes/MemoryJournal.ts"
import { MemoryRuntime } from "../../../fakes/MemoryRuntime.ts"
import { Device, pass } from "./Device.ts"
import { container, pod } from "./pods.ts"

const files = (text: string): VolumeFile[] => [{ path: "a.conf", mode: 0o644, content: new TextEncoder().encode(text) }]
const volume = (text: string) => ({ _tag: "Files" as const, name: "conf", secret: false, files: files(text) })

const first = (change: Partial<AssignedContainer> = {}): PodAssignment =>
  pod({ volumes: [volume("one")], containers: [container("app", change), container("b")] })

/** Every part of an assignment that a new version may change, and the runs there are afterwards. */
const changes: ReadonlyArray<readonly [string, Partial<PodAssignment>, ReadonlyArray<string>]> = [
  ["labels", { labels: { a: "b" } }, []],
  ["annotations", { annotations: { a: "b" } }, []],
  ["env", { containers: [container("app", { env: [{ name: "A", value: ["2"] }] }), container("b")] }, []],
  ["volume content", { volumes: [volume("two")] }, []],
  ["pull credentials", { pullCredentials: [{ registry: "r", username: "u", password: "p" }] }, []],
  ["grace", { terminationGracePeriodSeconds: 5 }, []],
  ["deadline", { activeDeadlineSeconds: 100_000 }, []],
  ["the image of one container", { containers: [container("app", { image: "app:2" }), container("b")] }, ["app#1"]],
  [
    "the images of both",
    { containers: [container("app", { image: "app:2" }), container("b", { image: "b:2" })] },
    ["app#1", "b#1"]
  ]
]

describe("a new version of an assignment", () => {
  it.effect.each(changes)(
    "with other %s restarts nothing but what it must",
    ([, change, restarted]) =>
      Effect.gen(function*() {
        const device = yield* Device
        const runtime = yield* MemoryRuntime
        const machine = yield* device.start
        yield* machine.ensure(first())
        yield* pass(2)
        yield* machine.ensure({ ...first(), hash: "02", generation: 2, ...change })
        yield* pass(100)
        const runs = (yield* runtime.runs).map((run) => `${run.container}#${run.attempt}`)
        assert.deepStrictEqual(runs.slice(2).sort(), [...restarted])
        assert.strictEqual(device.newest().status.observedGeneration, 2)
        assert.strictEqual(device.newest().status.phase, "Running")
        assert.deepStrictEqual(yield* machine.held, [{ uid: "u1", hash: "02" }])
      }).pipe(Effect.provide(Device.layer))
  )

  it.effect("takes effect also where whoever told of it gave up while it was written, and told of it again", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const journal = yield* MemoryJournal
      const memory = yield* MemoryFiles
      const machine = yield* device.start
      yield* machine.ensure(first())
      yield* pass(2)
      const second = { ...first(), hash: "02", generation: 2, volumes: [volume("two")] }
      const gate = yield* Latch.make(false)
      yield* journal.intercept(gate.await)
      const told = yield* Effect.forkChild(machine.ensure(second), { startImmediately: true })
      const givenUp = yield* Effect.forkChild(Fiber.interrupt(told), { startImmediately: true })
      yield* journal.intercept(Effect.void)
      yield* gate.open
      yield* Fiber.join(givenUp)
      yield* machine.ensure(second)
      yield* pass(2)
      assert.strictEqual(yield* memory.text("u1", "conf/a.conf"), "two")
    }).pipe(Effect.provide(Device.layer)))

  it.effect("changes what running containers see in their volumes", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const memory = yield* MemoryFiles
      const machine = yield* device.start
      yield* machine.ensure(first())
      yield* pass(2)
      yield* machine.ensure({ ...first(), hash: "02", volumes: [volume("two")] })
      yield* pass(1)
      assert.strictEqual(yield* memory.text("u1", "conf/a.conf"), "two")
    }).pipe(Effect.provide(Device.layer)))

  it.effect("a rotated token is seen at once, and an older one does not come back with the next life of the agent", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const memory = yield* MemoryFiles
      const machine = yield* device.start
      yield* machine.ensure(first())
      yield* pass(2)
      yield* machine.rotate("u1", "conf", files("fresh"))
      yield* machine.rotate("unknown", "conf", files("fresh"))
      yield* pass(1)
      assert.strictEqual(yield* memory.text("u1", "conf/a.conf"), "fresh")
      yield* device.start
      yield* pass(2)
      assert.strictEqual(yield* memory.text("u1", "conf/a.conf"), "fresh")
      assert.deepStrictEqual(yield* machine.held, [{ uid: "u1", hash: "00ff" }])
    }).pipe(Effect.provide(Device.layer)))

  it.effect("with another image restarts without back-off, and under Never too", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      const machine = yield* device.start
      yield* machine.ensure(pod({ restartPolicy: "Never" }))
      yield* pass(2)
      yield* machine.ensure(
        pod({ restartPolicy: "Never", hash: "02", containers: [container("app", { image: "app:2" })] })
      )
      yield* pass(2)
      assert.lengthOf(yield* runtime.runs, 2)
      const status = device.newest().status.containerStatuses?.[0]
      assert.deepInclude(status, { image: "app:2", restartCount: 1 })
      assert.isDefined(status?.state?.running)
      assert.include(
        device.events().map(({ message }) => message),
        "Container app definition changed, will be restarted"
      )
    }).pipe(Effect.provide(Device.layer)))

  it.effect.each([undefined, "hash-2"])(
    "that comes before the image does is what the container is made from (%s)",
    (specHash) =>
      Effect.gen(function*() {
        const runtime = yield* MemoryRuntime
        const made: Array<string> = []
        yield* runtime.script(({ env }) => (made.push(env.map(({ value }) => value).join()), false), {})
        yield* runtime.image("app:1", { pullTakes: "5 seconds" })
        const version = (value: string, change: Partial<AssignedContainer> = {}) =>
          pod({ hash: value, containers: [container("app", { env: [{ name: "A", value: [value] }], ...change })] })
        const machine = yield* (yield* Device).start
        yield* machine.ensure(version("1"))
        yield* pass(1)
        yield* machine.ensure(version("2", specHash === undefined ? {} : { specHash }))
        yield* pass(10)
        assert.deepStrictEqual(made, ["2"])
      }).pipe(Effect.provide(Device.layer))
  )

  it.effect("that is no news is not written", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const journal = yield* MemoryJournal
      const machine = yield* device.start
      yield* machine.ensure(first())
      yield* pass(2)
      const commits = (yield* journal.diary).length
      yield* machine.ensure(first())
      yield* pass(100)
      assert.strictEqual((yield* journal.diary).length, commits)
    }).pipe(Effect.provide(Device.layer)))
})

describe("an assignment", () => {
  it.effect("is durable before ensure returns, or ensure waits", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const journal = yield* MemoryJournal
      const runtime = yield* MemoryRuntime
      const machine = yield* device.start
      yield* journal.fail("Full", 3)
      const ensuring = yield* Effect.forkChild(machine.ensure(pod()))
      yield* pass(0.25)
      assert.isUndefined(ensuring.pollUnsafe())
      assert.lengthOf(yield* runtime.runs, 0)
      yield* pass(20)
      assert.isDefined(ensuring.pollUnsafe())
      assert.strictEqual(device.newest().status.phase, "Running")
    }).pipe(Effect.provide(Device.layer)))

  it.effect("starts nothing that the journal does not know of", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const journal = yield* MemoryJournal
      const runtime = yield* MemoryRuntime
      yield* runtime.image("app:1", { pullTakes: "5 seconds" })
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(2)
      yield* journal.fail("Full")
      yield* pass(60)
      assert.lengthOf(yield* runtime.runs, 0)
      yield* journal.heal
      yield* pass(60)
      assert.lengthOf(yield* runtime.runs, 1)
      assert.strictEqual(device.newest().status.phase, "Running")
    }).pipe(Effect.provide(Device.layer)))

  it.effect("fills in what only the device knows, and mounts the pod's own files", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const memory = yield* MemoryFiles
      const engine = yield* ContainerRuntime
      const specs: Array<Parameters<typeof engine.create>[0]> = []
      yield* (yield* MemoryRuntime).script((spec) => (specs.push(spec), false), {})
      const machine = yield* device.start
      yield* machine.ensure(pod({
        hostDomain: "sub.default.svc.cluster.local",
        hostAliases: [{ ip: "1.2.3.4", hostnames: ["a", "b"] }],
        dns: { inheritHost: false, nameservers: ["10.96.0.10"], searches: ["svc"], options: ["ndots:5"] },
        volumes: [{ _tag: "EmptyDir", name: "data", medium: "" }],
        containers: [
          container("app", {
            env: [{ name: "WHERE", value: ["http://", { field: "podIP" }, "@", { field: "hostIP" }] }],
            args: [["--ip=", { field: "podIPs" }]],
            mounts: [{ volume: "data", mountPath: "/data", subPath: "x/y", readOnly: true }]
          })
        ]
      }))
      yield* pass(2)
      const ip = device.newest().status.podIP ?? ""
      const [spec] = specs
      assert.deepStrictEqual(spec?.env, [{ name: "WHERE", value: `http://${ip}@192.168.7.9` }])
      assert.deepStrictEqual(spec?.args, [`--ip=${ip}`])
      assert.deepStrictEqual(spec?.mounts.map(({ readOnly, source, target }) => `${source} ${target} ${readOnly}`), [
        "/pods/u1/volumes/data/x/y /data true",
        "/pods/u1/files/etc-hosts /etc/hosts false",
        "/pods/u1/files/resolv.conf /etc/resolv.conf false",
        "/pods/u1/files/termination-app /dev/termination-log false"
      ])
      assert.strictEqual(
        yield* memory.text("u1", "resolv.conf"),
        "search svc\nnameserver 10.96.0.10\noptions ndots:5\n"
      )
      const hosts = (yield* memory.text("u1", "etc-hosts")) ?? ""
      assert.include(hosts, "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
      assert.include(hosts, `\n${ip}\tweb.sub.default.svc.cluster.local\tweb\n`)
      assert.isTrue(hosts.endsWith("\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"))
    }).pipe(Effect.provide(Device.layer)))

  it.effect("lets no container write where files are the device's own to write, as a kubelet does", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const specs: Array<ContainerSpec> = []
      yield* (yield* MemoryRuntime).script((spec) => (specs.push(spec), false), {})
      const machine = yield* device.start
      const mounts = [
        { volume: "conf", mountPath: "/etc/app", subPath: "", readOnly: false },
        { volume: "conf", mountPath: "/etc/other", subPath: "a.conf", readOnly: false },
        { volume: "data", mountPath: "/etc/app/cache/deep", subPath: "", readOnly: false },
        { volume: "data", mountPath: "/etc/application", subPath: "", readOnly: false },
        { volume: "conf", mountPath: "/etc/app/b.conf", subPath: "a.conf", readOnly: false }
      ]
      const assignment = pod({
        volumes: [volume("one"), { _tag: "EmptyDir", name: "data", medium: "" }],
        containers: [container("app", { mounts }), container("b", { mounts: mounts.slice(3, 4) })]
      })
      yield* machine.ensure(assignment)
      yield* pass(2)
      assert.deepStrictEqual(specs[0]?.mounts.slice(0, 4).map(({ readOnly }) => readOnly), [true, true, false, false])
      assert.deepStrictEqual(mountPointsBelow(assignment, "conf"), [
        { path: "b.conf", kind: "file" },
        { path: "cache/deep", kind: "directory" }
      ])
      assert.deepStrictEqual(mountPointsBelow(assignment, "data"), [])
    }).pipe(Effect.provide(Device.layer)))

  it.effect("adds a pod's name servers to those of the device, and leaves the runtime its own way where it adds none", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const memory = yield* MemoryFiles
      const machine = yield* device.start
      const own = { inheritHost: true, nameservers: ["10.9.9.9"], searches: ["corp"], options: ["edns0", "ndots:2"] }
      const none = { inheritHost: true, nameservers: [], searches: [], options: [] }
      yield* machine.ensure(pod({ uid: "u1", name: "adds", dns: own }))
      yield* machine.ensure(pod({ uid: "u2", name: "adds-as-host", dns: own, hostNetwork: true }))
      yield* machine.ensure(pod({ uid: "u3", name: "as-it-is", dns: none }))
      const many = ["10.9.9.9", "10.9.9.8", "10.9.9.7"]
      yield* machine.ensure(pod({ uid: "u4", name: "many", dns: { ...none, nameservers: many } }))
      yield* pass(2)
      // The device's own loopback is not that of the pod.
      assert.strictEqual(
        yield* memory.text("u1", "resolv.conf"),
        "search lan home corp\nnameserver 192.168.7.1\nnameserver 10.9.9.9\noptions timeout:3 edns0 ndots:2\n"
      )
      assert.strictEqual(
        yield* memory.text("u2", "resolv.conf"),
        "search lan home corp\nnameserver 127.0.0.1\nnameserver 192.168.7.1\nnameserver 10.9.9.9\n" +
          "options timeout:3 edns0 ndots:2\n"
      )
      assert.isUndefined(yield* memory.text("u3", "resolv.conf"))
      assert.strictEqual(
        yield* memory.text("u4", "resolv.conf"),
        "search lan home\nnameserver 192.168.7.1\nnameserver 10.9.9.9\nnameserver 10.9.9.8\noptions timeout:3 ndots:1\n"
      )
    }).pipe(Effect.provide(Device.layer)))

  it.effect("adds a pod's host aliases to the device's own hosts file on the device's network, and else leaves that alone", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const memory = yield* MemoryFiles
      const machine = yield* device.start
      const aliases = [{ ip: "1.2.3.4", hostnames: ["a", "b"] }]
      yield* machine.ensure(pod({ uid: "u1", name: "adds", hostNetwork: true, hostAliases: aliases }))
      yield* machine.ensure(pod({ uid: "u2", name: "leaves", hostNetwork: true }))
      yield* pass(2)
      assert.strictEqual(
        yield* memory.text("u1", "etc-hosts"),
        "# Kubernetes-managed hosts file (host network).\n127.0.0.1\tlocalhost\n192.168.7.9\tedge-1\n"
          + "\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"
      )
      assert.isUndefined(yield* memory.text("u2", "etc-hosts"))
    }).pipe(Effect.provide(Device.layer)))
})
