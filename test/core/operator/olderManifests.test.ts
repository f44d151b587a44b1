/** Manifests of years ago on the whole line: the device connects, and its owner reads what to write today. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeEvents } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Nodes } from "../../../core/kube/Node.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { createNamespaces, makeDevice, makeOperator, worldLayer } from "../../simulation/World.ts"
import { olderManifests } from "./olderManifests.ts"

const eventually = <A, E, R>(what: string, look: Effect.Effect<A, E, R>, fits: (seen: A) => boolean) =>
  look.pipe(
    Effect.flatMap((seen) =>
      fits(seen) ? Effect.succeed(seen) : Effect.fail(new Error(`${what}: ${JSON.stringify(seen)}`))
    ),
    Effect.retry(Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 120 })))
  )

describe("an EdgeDevice in the words of", () => {
  it.live.each(olderManifests)(
    "%s links, and says what to write today in its condition and in events",
    ([, spec, warnings]) =>
      simulate(1, () =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          yield* createNamespaces
          const device = yield* makeDevice("edge-1", 1)
          yield* (yield* makeOperator([device])).start
          const object = device.object()
          yield* api.create(EdgeDevices, { ...object, spec: { ...object.spec as object, ...spec } })
          yield* device.agent.start
          yield* eventually(
            "the Node",
            Effect.option(api.get(Nodes, { name: "edge-1" })),
            (node) =>
              node._tag === "Some" &&
              node.value.status?.conditions?.some(({ status, type }) =>
                  type === "DeviceConnected" && status === "True"
                ) ===
                true
          )
          const { status } = yield* eventually(
            "the condition",
            api.get(EdgeDevices, { namespace: "edge", name: "edge-1" }),
            (seen) => seen.status?.conditions?.some(({ type }) => type === "Invalid") === true
          )
          const invalid = status?.conditions?.find(({ type }) => type === "Invalid")
          assert.deepInclude(invalid, { status: "False", reason: "UnderstoodWithWarnings" })
          for (const warning of warnings) assert.include(invalid?.message, warning)
          const told = yield* eventually(
            "the events",
            api.list(KubeEvents, { namespace: "edge" }),
            (all) => all.filter(({ reason }) => reason === "OlderSpelling").length >= warnings.length
          )
          const messages = told.filter(({ reason }) => reason === "OlderSpelling").map(({ message }) => message)
          for (const warning of warnings) assert.include(messages, warning)
        }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie))
  )
})
