/** The client that ships, on the control plane that ships, through the in-memory door and its faults. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Random, Ref, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as KubeClient from "../../../../adapters/kube/client/KubeClient.ts"
import { KubeClientConfig } from "../../../../adapters/kube/client/KubeClientConfig.ts"
import { TokenSigner } from "../../../../adapters/kube/plane/authority/TokenSigner.ts"
import { ControlPlane } from "../../../../adapters/kube/plane/ControlPlane.ts"
import { type Fault, Faults } from "../../../../adapters/kube/plane/memory/Faults.ts"
import { layerMemoryClient } from "../../../../adapters/kube/plane/memory/layerMemoryClient.ts"
import type { ApiRequest } from "../../../../adapters/kube/plane/request/ApiRequest.ts"
import { ConfigMaps } from "../../../../core/kube/kinds.ts"
import { KubeApi } from "../../../../core/kube/KubeApi.ts"
import { layerConfig } from "./ScriptedServer.ts"

const tokens = TokenSigner.layerMemory
const admin = { username: "admin", groups: ["system:masters", "system:authenticated"] }
const config = Layer.effect(
  KubeClientConfig,
  Effect.map(KubeClientConfig, (made) => KubeClientConfig.of({ ...made, identity: Effect.succeed({}) }))
).pipe(Layer.provide(layerConfig))

const world = (
  options: { readonly historyWindow?: number } = {},
  faults: (request: ApiRequest) => Effect.Effect<Fault> = () => Effect.succeed({})
) =>
  KubeClient.layer.pipe(
    Layer.provide(layerMemoryClient(admin)),
    Layer.provide(Layer.succeed(Faults, faults)),
    Layer.provide(config),
    Layer.provide(ControlPlane.layer(options)),
    Layer.provide(tokens)
  )

const map = (name: string, data: Record<string, string>) => ({ metadata: { name, namespace: "default" }, data })

describe("the client on the embedded control plane", () => {
  it.effect("creates, reads, replaces, patches, lists in pieces and deletes, with refusals of the right kind", () =>
    Effect.gen(function*() {
      const api = yield* KubeApi
      const made = yield* api.create(ConfigMaps, map("a", { x: "1" }))
      assert.strictEqual((yield* Effect.flip(api.create(ConfigMaps, map("a", {})))).reason, "AlreadyExists")
      const changed = yield* api.replace(ConfigMaps, { ...made, data: { x: "2" } })
      assert.strictEqual((yield* Effect.flip(api.replace(ConfigMaps, made))).reason, "Conflict")
      const at = { namespace: "default", name: "a" }
      for (const type of ["strategic", "merge"] as const) {
        yield* api.patch(ConfigMaps, at, { type, body: { data: { [type]: "yes" } } })
      }
      yield* api.patch(ConfigMaps, at, { type: "json", body: [{ op: "remove", path: "/data/x" }] })
      const applied = yield* api.patch(ConfigMaps, at, {
        type: "apply",
        fieldManager: "me",
        force: true,
        body: { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" }, data: { apply: "yes" } }
      })
      assert.deepStrictEqual(applied.data, { strategic: "yes", merge: "yes", apply: "yes" })
      assert.strictEqual(applied.metadata.uid, changed.metadata.uid)
      assert.strictEqual((yield* Effect.flip(api.delete(ConfigMaps, at, { uid: "another" }))).reason, "Conflict")
      yield* api.delete(ConfigMaps, at, { uid: made.metadata.uid ?? "" })
      assert.strictEqual((yield* Effect.flip(api.get(ConfigMaps, at))).reason, "NotFound")
      assert.strictEqual((yield* Effect.flip(api.create(ConfigMaps, map("NOT A NAME", {})))).reason, "Invalid")
      yield* Effect.forEach(Array.from({ length: 1203 }), (_, i) => api.create(ConfigMaps, map(`many-${i}`, {})))
      const listed = yield* api.list(ConfigMaps, { namespace: "default" })
      assert.strictEqual(listed.filter(({ metadata }) => metadata.name?.startsWith("many-")).length, 1203)
    }).pipe(Effect.provide(world())))

  it.effect.each([1, 2, 3, 4, 5])(
    "a reflector ends up with the truth through a storm of faults (%i)",
    (seed) =>
      Effect.gen(function*() {
        let calm = false
        const storm = (request: ApiRequest) =>
          Effect.gen(function*() {
            if (calm || request.method !== "GET") return {}
            const draw = yield* Random.next
            const watching = request.query.get("watch") === "true"
            if (draw < 0.15) return { refuseConnection: true }
            if (draw < 0.3) return { loseAnswer: true }
            if (draw < 0.4) return { delay: "5 seconds" as const }
            if (draw < 0.45) return { silence: true }
            if (watching && draw < 0.7) return { cutWatchAfter: 1 + Math.floor(draw * 10), cutAbruptly: draw < 0.6 }
            return {}
          })
        yield* Effect.gen(function*() {
          const api = yield* KubeApi
          const told = yield* Ref.make(new Map<string, string>())
          const wrong: Array<string> = []
          yield* api.observe(ConfigMaps, { namespace: "default" }).pipe(
            Stream.runForEach((observation) =>
              Ref.update(told, (known) => {
                if (observation._tag === "Synced") return known
                const { metadata } = observation.object
                const name = metadata.name ?? ""
                if (observation._tag === "Deleted") {
                  if (!known.delete(name)) wrong.push(`Deleted ${name}, which was never told`)
                } else known.set(name, metadata.resourceVersion ?? "")
                return known
              })
            ),
            Effect.forkScoped
          )
          for (let i = 0; i < 200; i++) {
            const name = `m${yield* Random.nextIntBetween(0, 8)}`
            const at = { namespace: "default", name }
            const draw = yield* Random.next
            const change: Effect.Effect<unknown, unknown> = draw < 0.4
              ? api.create(ConfigMaps, map(name, {}))
              : draw < 0.8
              ? api.patch(ConfigMaps, at, { type: "merge", body: { data: { i: String(i) } } })
              : api.delete(ConfigMaps, at)
            yield* Effect.ignore(change)
            yield* TestClock.adjust(`${yield* Random.nextIntBetween(0, 3000)} millis`)
          }
          calm = true
          for (let i = 0; i < 500; i++) yield* TestClock.adjust("1 second")
          const truth = new Map(
            (yield* api.list(ConfigMaps, { namespace: "default" })).map(({ metadata }) => [
              metadata.name ?? "",
              metadata.resourceVersion ?? ""
            ])
          )
          assert.deepStrictEqual([...(yield* Ref.get(told))].sort(), [...truth].sort())
          assert.deepStrictEqual(wrong, [])
        }).pipe(Effect.provide(world({ historyWindow: 10 }, storm)))
      }).pipe(Random.withSeed(seed))
  )

  it.effect("reads thousands of objects and tells only those it was to keep", () =>
    Effect.gen(function*() {
      const api = yield* KubeApi
      yield* Effect.forEach(Array.from({ length: 2000 }), (_, i) => api.create(ConfigMaps, map(`m${i}`, {})))
      let asked = 0
      const told = yield* api.observe(ConfigMaps, {}, {
        keep: (raw) => {
          asked++
          return raw.metadata.name === "m7"
        }
      }).pipe(Stream.takeUntil(({ _tag }) => _tag === "Synced"), Stream.runCollect)
      assert.isAtLeast(asked, 2000)
      assert.deepStrictEqual(told.map(({ _tag }) => _tag), ["Set", "Synced"])
    }).pipe(Effect.provide(world())))
})
