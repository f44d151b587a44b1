/** The Service that an EdgeDevice asks for, as the embedded control plane and its controllers see it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Latch, Schedule, Stream } from "effect"
import { readFileSync } from "node:fs"
import { parse } from "yaml"
import { linkMethod } from "../../../adapters/grpc/linkMethod.ts"
import { decodeEdgeDevice } from "../../../core/device/decodeEdgeDevice.ts"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { EndpointSlices, KubeEvents, Services } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { OperatorSettings } from "../../../core/operator/OperatorSettings.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { createNamespaces, makeDevice, makeOperator, worldLayer } from "../../simulation/World.ts"

class NotYet extends Error {}

const eventually = <A, E, R>(look: Effect.Effect<A, E, R>, holds: (seen: A) => boolean, seconds = 60) =>
  look.pipe(
    Effect.flatMap((seen) => holds(seen) ? Effect.succeed(seen) : Effect.fail(new NotYet(JSON.stringify(seen)))),
    Effect.retry(Schedule.spaced("1 second").pipe(Schedule.upTo({ times: seconds })))
  )

const here = { namespace: "edge", name: "edge-1" }
const sliceHere = { namespace: "edge", name: "edge-1-aranya" }

const existing = <A, E extends { readonly reason: string }, R>(look: Effect.Effect<A, E, R>) =>
  Effect.catch(look, (error) => error.reason === "NotFound" ? Effect.undefined : Effect.fail(error))

const connectivity = (service: unknown) => ({
  method: "grpc",
  ...(service === undefined ? {} : { grpc: { service } })
})

/** An operator that can be found at an address, and an EdgeDevice that asks for this. */
const inCluster = <E>(
  service: unknown,
  story: (api: KubeApi["Service"]) => Effect.Effect<void, E, KubeApi>,
  options: {
    readonly address?: string | undefined
    readonly before?: Effect.Effect<unknown, unknown, KubeApi>
    /** Open while the operator's watch of Services tells. */
    readonly tells?: Latch.Latch
  } = {}
) =>
  simulate(1, () =>
    Effect.gen(function*() {
      const api = yield* KubeApi
      yield* createNamespaces
      if (options.before !== undefined) yield* options.before
      const device = yield* makeDevice("edge-1", 1)
      const address = "address" in options ? options.address : "10.0.0.7"
      const settings = {
        ...(yield* OperatorSettings),
        grpc: address === undefined ? undefined : { address, port: 8443, plain: true }
      }
      const observe = ((resource, selection, how) =>
        Stream.tap(
          api.observe(resource, selection, how),
          () => resource.plural === "services" ? options.tells?.await ?? Effect.void : Effect.void
        )) as typeof api.observe
      yield* Effect.gen(function*() {
        yield* (yield* makeOperator([device])).start
      }).pipe(Effect.provideService(OperatorSettings, settings), Effect.provideService(KubeApi, { ...api, observe }))
      const object = device.object()
      yield* api.create(EdgeDevices, {
        ...object,
        spec: { ...object.spec as object, connectivity: connectivity(service) }
      })
      yield* story(api)
    }).pipe(Effect.scoped, Effect.provide(worldLayer)))

const complaints = (api: KubeApi["Service"]) =>
  Effect.map(
    api.list(KubeEvents, { namespace: "edge" }),
    (events) => events.filter(({ reason }) => reason === "ServiceUnusable").map(({ message = "" }) => message)
  )

const edit = (api: KubeApi["Service"], service: unknown) =>
  api.patch(EdgeDevices, here, {
    type: "json",
    body: [{ op: "replace", path: "/spec/connectivity", value: connectivity(service) }]
  })

describe("the Service of a device", () => {
  it.live("leads to the operator's listener, belongs to the EdgeDevice, follows its spec, and goes with it", () =>
    inCluster({ annotations: { "example.com/scheme": "h2c" }, port: 443 }, (api) =>
      Effect.gen(function*() {
        const slice = yield* eventually(existing(api.get(EndpointSlices, sliceHere)), (slice) => slice !== undefined)
        const service = yield* api.get(Services, here)
        const device = yield* api.get(EdgeDevices, here)
        assert.deepStrictEqual(service.metadata.ownerReferences, [{
          apiVersion: "aranya.arhat.dev/v1alpha1",
          kind: "EdgeDevice",
          name: "edge-1",
          uid: device.metadata.uid ?? "",
          controller: true
        }])
        assert.deepStrictEqual(service.spec?.ports, [
          { name: "grpc", protocol: "TCP", port: 443, targetPort: 8443, appProtocol: "kubernetes.io/h2c" }
        ])
        assert.isUndefined(service.spec?.selector)
        assert.strictEqual(service.metadata.annotations?.["example.com/scheme"], "h2c")
        assert.deepStrictEqual(slice?.endpoints?.map(({ addresses }) => addresses), [["10.0.0.7"]])
        assert.deepStrictEqual(slice?.ports?.map(({ name, port }) => [name, port]), [["grpc", 8443]])
        assert.strictEqual(slice?.metadata.labels?.["kubernetes.io/service-name"], "edge-1")
        assert.strictEqual(slice?.metadata.ownerReferences?.[0]?.uid, service.metadata.uid)

        yield* edit(api, { port: 8080 })
        yield* eventually(api.get(Services, here), ({ spec }) => spec?.ports?.[0]?.port === 8080)

        yield* edit(api, { name: "of-edge-1" })
        yield* eventually(
          existing(api.get(Services, { namespace: "edge", name: "of-edge-1" })),
          (service) => service !== undefined
        )
        yield* eventually(existing(api.get(Services, here)), (service) => service === undefined)

        yield* edit(api, undefined)
        yield* eventually(api.list(Services, { namespace: "edge" }), (services) => services.length === 0)
        yield* eventually(api.list(EndpointSlices, { namespace: "edge" }), (slices) => slices.length === 0)

        yield* edit(api, {})
        yield* eventually(existing(api.get(EndpointSlices, sliceHere)), (slice) => slice !== undefined)
        yield* api.delete(EdgeDevices, here)
        yield* eventually(api.list(Services, { namespace: "edge" }), (services) => services.length === 0, 600)
        yield* eventually(api.list(EndpointSlices, { namespace: "edge" }), (slices) => slices.length === 0)
      })))

  it.live("loses what is taken out of the spec, and nothing that others gave it", () =>
    inCluster({ annotations: { a: "b", kept: "yes" }, labels: { c: "d" } }, (api) =>
      Effect.gen(function*() {
        yield* eventually(existing(api.get(Services, here)), (service) => service !== undefined)
        const others = { "example.com/theirs": "yes" }
        const give = (annotations: object) =>
          api.patch(Services, here, { type: "merge", body: { metadata: { annotations, labels: others } } })
        yield* give(others)
        const marks = Effect.map(api.get(Services, here), ({ metadata: { annotations, labels } }) => {
          const { "aranya.arhat.dev/managed": _, ...rest } = annotations ?? {}
          return { annotations: rest, labels }
        })
        const own = { "arhat.dev/name": "edge-1", "arhat.dev/role": "Connectivity" }
        yield* edit(api, { annotations: { kept: "yes" } })
        yield* eventually(marks, ({ annotations }) => annotations["a"] === undefined)
        assert.deepStrictEqual(yield* marks, {
          annotations: { kept: "yes", ...others },
          labels: { ...own, ...others }
        })
        // It is somebody else's now.
        yield* give({ a: "theirs" })
        yield* edit(api, {})
        yield* eventually(marks, ({ annotations }) => annotations["kept"] === undefined)
        yield* Effect.sleep("20 minutes")
        assert.deepStrictEqual((yield* marks).annotations, { a: "theirs", ...others })
      })))

  it.live("goes with the spec's wish for it, also where no watch has told of it yet", () => {
    const tells = Latch.makeUnsafe(true)
    return inCluster(undefined, (api) =>
      Effect.gen(function*() {
        yield* Effect.sleep("10 seconds")
        yield* tells.close
        yield* edit(api, {})
        yield* eventually(existing(api.get(EndpointSlices, sliceHere)), (slice) => slice !== undefined)
        yield* edit(api, undefined)
        yield* eventually(existing(api.get(Services, here)), (service) => service === undefined)
      }), { tells })
  })

  it.live("of an operator that did not say what it set keeps that, and loses what is taken out from then on", () =>
    inCluster({ annotations: { a: "b" } }, (api) =>
      Effect.gen(function*() {
        yield* eventually(existing(api.get(Services, here)), (service) => service !== undefined)
        yield* api.patch(Services, here, {
          type: "merge",
          body: { metadata: { annotations: { older: "yes", "aranya.arhat.dev/managed": null } } }
        })
        const annotations = Effect.map(api.get(Services, here), ({ metadata }) => metadata.annotations ?? {})
        yield* eventually(annotations, (seen) => seen["aranya.arhat.dev/managed"] !== undefined, 600)
        assert.deepInclude(yield* annotations, { a: "b", older: "yes" })
        yield* edit(api, {})
        yield* eventually(annotations, (seen) => seen["a"] === undefined)
        assert.deepInclude(yield* annotations, { older: "yes" })
      })))

  it.live("is not there where nobody asked for it", () =>
    inCluster(undefined, (api) =>
      Effect.gen(function*() {
        yield* Effect.sleep("15 minutes")
        assert.deepStrictEqual(yield* api.list(Services, { namespace: "edge" }), [])
        assert.deepStrictEqual(yield* complaints(api), [])
      })))

  it.live("is put right within minutes when somebody deletes or turns it elsewhere", () =>
    inCluster({}, (api) =>
      Effect.gen(function*() {
        const addresses = Effect.map(
          existing(api.get(EndpointSlices, sliceHere)),
          (slice) => slice?.endpoints?.flatMap(({ addresses }) => addresses).join() ?? ""
        )
        yield* eventually(addresses, (seen) => seen === "10.0.0.7")
        yield* api.patch(EndpointSlices, sliceHere, {
          type: "merge",
          body: { endpoints: [{ addresses: ["10.9.9.9"], conditions: { ready: true } }] }
        })
        yield* eventually(addresses, (seen) => seen === "10.0.0.7", 600)
        yield* api.delete(EndpointSlices, sliceHere)
        yield* eventually(addresses, (seen) => seen === "10.0.0.7", 600)
        yield* api.delete(Services, here)
        yield* eventually(existing(api.get(Services, here)), (service) => service !== undefined, 600)
        yield* eventually(addresses, (seen) => seen === "10.0.0.7", 600)
      })))

  it.live("of somebody else is left alone, and an event tells", () =>
    inCluster({}, (api) =>
      Effect.gen(function*() {
        const [sentence] = yield* eventually(complaints(api), (told) => told.length > 0)
        assert.match(sentence ?? "", /there is one that is not of this EdgeDevice: set .*service\.name/u)
        yield* Effect.sleep("20 minutes")
        const { spec } = yield* api.get(Services, here)
        assert.deepStrictEqual(spec?.selector, { app: "shop" })
        assert.deepStrictEqual(yield* complaints(api), [sentence])
        yield* edit(api, { name: "link-of-edge-1" })
        yield* eventually(
          existing(api.get(Services, { namespace: "edge", name: "link-of-edge-1" })),
          (service) => service !== undefined
        )
      }), {
      before: Effect.flatMap(KubeApi, (api) =>
        api.create(Services, {
          metadata: here,
          spec: { selector: { app: "shop" }, ports: [{ port: 80 }] }
        }))
    }))

  it.live("cannot be without an address of the operator, and an event says what to set", () =>
    inCluster({}, (api) =>
      Effect.gen(function*() {
        const [sentence] = yield* eventually(complaints(api), (told) => told.length > 0)
        assert.match(sentence ?? "", /set connectivity\.grpc\.address or \$POD_IP/u)
      }), { address: undefined }))

  it.live("is what the examples route to", () =>
    Effect.gen(function*() {
      const example = (name: string) =>
        parse(readFileSync(`${import.meta.dirname}/../../../examples/${name}.yaml`, "utf8"))
      const device = example("edgedevice-ingress")
      assert.deepStrictEqual(device.metadata, here)
      yield* inCluster(device.spec.connectivity.grpc.service, (api) =>
        Effect.gen(function*() {
          yield* eventually(existing(api.get(EndpointSlices, sliceHere)), (slice) => slice !== undefined)
          const [port] = (yield* api.get(Services, here)).spec?.ports ?? []
          for (const name of ["ingress-nginx", "ingress-traefik"]) {
            const ingress = example(name)
            assert.strictEqual(ingress.metadata.namespace, "edge")
            const { host, http: { paths: [{ backend, path }] } } = ingress.spec.rules[0]
            assert.deepStrictEqual(backend, { service: { name: "edge-1", port: { name: port?.name } } })
            assert.isTrue(linkMethod.path.startsWith(path))
            assert.deepStrictEqual(ingress.spec.tls[0].hosts, [host])
          }
          const route = example("grpcroute")
          assert.deepStrictEqual(route.spec.rules[0].backendRefs, [{ name: "edge-1", port: port?.port }])
          assert.isTrue(linkMethod.path.startsWith(`/${route.spec.rules[0].matches[0].method.service}/`))
        }))
    }))

  it.effect("must have a name that Services can have", () =>
    Effect.gen(function*() {
      const decode = (name: string, service: unknown) =>
        Effect.match(
          decodeEdgeDevice({
            metadata: { namespace: "edge", name, uid: "u" },
            spec: { connectivity: connectivity(service) }
          }),
          { onFailure: ({ message }) => message, onSuccess: () => "good" }
        )
      assert.strictEqual(yield* decode("edge-1", {}), "good")
      assert.strictEqual(yield* decode("1-edge", { name: "edge-1" }), "good")
      assert.match(yield* decode("1-edge", {}), /spec\.connectivity\.grpc\.service\.name is no name of a Service/u)
      assert.match(yield* decode("edge-1", { name: "Edge_1" }), /is no name of a Service/u)
    }))
})
