import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Service } from "../../../../core/kube/kinds.ts"
import type { Pod } from "../../../../core/kube/Pod.ts"
import { hostsFile } from "../../../../core/pod/machine/podNetworkFiles.ts"
import { resolvePod } from "../../../../core/pod/resolve/resolvePod.ts"
import { QuickCryptography } from "../../../fakes/QuickCryptography.ts"
import { noSources, plainSettings } from "./plain.ts"

const resolution = (spec: object, sources = noSources) =>
  resolvePod(
    {
      metadata: { namespace: "edge", name: "web", uid: "u1" },
      spec: { dnsPolicy: "Default", containers: [{ name: "app", image: "app:1" }], ...spec }
    } as unknown as Pod,
    sources,
    plainSettings
  ).pipe(Effect.provide(QuickCryptography.layer))

const assigned = (spec: object, sources = noSources) =>
  Effect.map(resolution(spec, sources), (resolved) => {
    assert(resolved._tag === "Assigned", JSON.stringify(resolved))
    return resolved.assignment
  })

const waiting = (spec: object) =>
  Effect.map(resolution(spec), (resolved) => {
    assert(resolved._tag === "Waiting", JSON.stringify(resolved))
    return [resolved.reason, resolved.message]
  })

describe("the variables of Services", () => {
  const service = (namespace: string, name: string, clusterIP: string, port = 443): Service => ({
    metadata: { namespace, name },
    spec: { clusterIP, ports: [{ port }] }
  })
  const services = [
    service("default", "kubernetes", "10.0.0.1"),
    service("edge", "web", "10.0.0.2"),
    service("edge", "db", "10.0.0.3"),
    service("edge", "kubernetes", "10.0.0.4", 6443)
  ]
  const withServices = (services: ReadonlyArray<Service>, spec: object = {}) =>
    assigned(spec, { ...noSources, services })

  it.effect("make one assignment, in whatever order they were met", () =>
    Effect.gen(function*() {
      const [one, other] = yield* Effect.all([withServices(services), withServices(services.toReversed())])
      assert.strictEqual(one.hash, other.hash)
      assert.deepStrictEqual(one.containers, other.containers)
    }))

  it.effect("are those of the namespace's own `kubernetes` where it has one, unless that has no address", () =>
    Effect.gen(function*() {
      const names = (given: Effect.Success<ReturnType<typeof withServices>>) =>
        (given.containers[0]?.env ?? []).map(({ name }) => name).filter((name) => name.startsWith("KUBERNETES_PORT_"))
      const own = "KUBERNETES_PORT_6443_TCP"
      const main = "KUBERNETES_PORT_443_TCP"
      const all = (prefix: string) => ["", "_PROTO", "_PORT", "_ADDR"].map((suffix) => prefix + suffix)
      assert.deepStrictEqual(names(yield* withServices(services)), all(own))
      assert.deepStrictEqual(names(yield* withServices(services, { enableServiceLinks: false })), all(main))
      const headless = [...services.slice(0, 3), service("edge", "kubernetes", "None")]
      assert.deepStrictEqual(names(yield* withServices(headless)), all(main))
    }))
})

describe("a subPathExpr", () => {
  const mounting = (subPathExpr: string, value: string) => ({
    volumes: [{ name: "data", emptyDir: {} }],
    containers: [{
      name: "app",
      image: "app:1",
      env: [{ name: "TENANT", value }],
      volumeMounts: [{ name: "data", mountPath: "/data", subPathExpr }]
    }]
  })
  const subPath = (subPathExpr: string, value: string) =>
    Effect.map(assigned(mounting(subPathExpr, value)), ({ containers }) => containers[0]?.mounts[0]?.subPath)

  it.effect("is what its variables make it", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* subPath("of/$(TENANT)", "acme"), "of/acme")
      assert.strictEqual(yield* subPath("of/$$(TENANT)", "acme"), "of/$(TENANT)")
      assert.strictEqual(yield* subPath("of/$(TENANT)", "$(WHO)"), "of/$(WHO)")
    }))

  it.effect("is nothing the container can be made with where a variable is missing or empty", () =>
    Effect.gen(function*() {
      for (const subPathExpr of ["$(TENANT)", "of/$(TENANT)"]) {
        assert.deepStrictEqual(yield* waiting(mounting(subPathExpr, "")), [
          "CreateContainerConfigError",
          "missing value for TENANT"
        ])
      }
      assert.deepStrictEqual(yield* waiting(mounting("$(WHO)/$(TENANT)", "acme")), [
        "CreateContainerConfigError",
        "missing value for WHO"
      ])
    }))
})

describe("a resourceFieldRef of a variable", () => {
  const asking = (containerName: string) => ({
    containers: [
      {
        name: "app",
        image: "app:1",
        env: [{
          name: "MEMORY",
          valueFrom: { resourceFieldRef: { containerName, resource: "limits.memory", divisor: "1Mi" } }
        }],
        resources: { limits: { memory: "1Mi" } }
      },
      { name: "other", image: "app:1", resources: { limits: { memory: "7Mi" } } }
    ],
    initContainers: [{ name: "first", image: "app:1", resources: { limits: { memory: "5Mi" } } }]
  })

  it.effect("shows the container it names, or its own", () =>
    Effect.gen(function*() {
      for (const [name, shown] of [["", "1"], ["app", "1"], ["other", "7"], ["first", "5"]] as const) {
        const { containers } = yield* assigned(asking(name))
        assert.deepStrictEqual(containers[0]?.env, [{ name: "MEMORY", value: [shown] }])
      }
      assert.deepStrictEqual(yield* waiting(asking("nobody")), [
        "CreateContainerConfigError",
        "container nobody not found"
      ])
    }))
})

describe("a pod's name for itself", () => {
  const named = (spec: object) =>
    Effect.map(assigned(spec), (assignment) => ({
      hostname: assignment.hostname,
      hosts: hostsFile(assignment, ["10.0.0.7"]).split("\n").filter((line) => line.startsWith("10.0.0.7"))
    }))

  it.effect("is its own, with a domain where it has one", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* named({}), { hostname: "web", hosts: ["10.0.0.7\tweb"] })
      assert.deepStrictEqual(yield* named({ subdomain: "sub" }), {
        hostname: "web",
        hosts: ["10.0.0.7\tweb.sub.edge.svc.cluster.local\tweb"]
      })
    }))

  it.effect("has its domain once where the whole of it is the hostname", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* named({ subdomain: "sub", setHostnameAsFQDN: true }), {
        hostname: "web.sub.edge.svc.cluster.local",
        hosts: ["10.0.0.7\tweb.sub.edge.svc.cluster.local\tweb"]
      })
      assert.deepStrictEqual(yield* named({ setHostnameAsFQDN: true }), { hostname: "web", hosts: ["10.0.0.7\tweb"] })
    }))

  it.effect("is hostnameOverride before all else, and that alone", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* named({ hostnameOverride: "db.example.com", hostname: "short", subdomain: "sub" }),
        { hostname: "db.example.com", hosts: ["10.0.0.7\tdb.example.com"] }
      )
    }))
})

describe("amounts that no number holds exactly", () => {
  it.effect("are the most that one does: the pod runs", () =>
    Effect.gen(function*() {
      const { containers, terminationGracePeriodSeconds, volumes } = yield* assigned({
        terminationGracePeriodSeconds: Number("9223372036854775807"),
        volumes: [{ name: "data", emptyDir: { sizeLimit: "16Pi" } }],
        containers: [{
          name: "app",
          image: "app:1",
          resources: { limits: { cpu: "9E", memory: "8Ei" }, requests: { cpu: "1", memory: "1Gi" } }
        }]
      })
      assert.strictEqual(terminationGracePeriodSeconds, 2 ** 31 - 1)
      assert.deepInclude(volumes[0], { sizeLimit: Number.MAX_SAFE_INTEGER })
      assert.deepStrictEqual(containers[0]?.resources, {
        cpuRequest: 1000,
        cpuLimit: Number.MAX_SAFE_INTEGER,
        memoryRequest: 2 ** 30,
        memoryLimit: Number.MAX_SAFE_INTEGER
      })
    }))

  it.effect("make the pod wait with a word where they are no amounts a device can be told of", () =>
    Effect.gen(function*() {
      const [reason, message] = yield* waiting({ activeDeadlineSeconds: 2 ** 60 })
      assert.deepStrictEqual([reason, message], [
        "ContainerCreating",
        "PodAssignment: 1152921504606847000 is not a whole number"
      ])
    }))
})
