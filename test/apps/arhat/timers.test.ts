/** The agent's timers, from its file to what the link goes by. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { stringify } from "yaml"
import { ArhatConfig } from "../../../apps/arhat/ArhatConfig.ts"
import { dialers } from "../../../apps/arhat/dialers.ts"
import { agentTimings } from "../../../apps/arhat/runAgent.ts"
import { decodeConfig } from "../../../core/config/decodeConfig.ts"
import { defaultTimings } from "../../../core/link/LinkTimings.ts"

const grpc = (endpoint: string, more: object = {}) => ({
  name: "grpc",
  config: { endpoint, tls: { enabled: false } },
  ...more
})

const decode = (connectivity: object) =>
  decodeConfig(ArhatConfig)(
    "arhat.yaml",
    stringify({
      arhat: { device: "edge-1" },
      connectivity: { operatorKey: `${"A".repeat(43)}=`, methods: [grpc("a:1")], ...connectivity }
    }),
    () => undefined
  )

describe("the agent's timers", () => {
  it.effect("are the link's own unless the file says otherwise", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(agentTimings(yield* decode({})), { ...defaultTimings, connectTimeoutMillis: 10_000 })
      const told = yield* decode({
        dialTimeout: "3s",
        initialBackoff: "2s",
        maxBackoff: "1m",
        backoffFactor: 1.5
      })
      assert.deepStrictEqual(agentTimings(told), {
        ...defaultTimings,
        connectTimeoutMillis: 3_000,
        backoffFirstMillis: 2_000,
        backoffMostMillis: 60_000,
        backoffFactor: 1.5
      })
    }))

  it.effect("let each method have a dial timeout of its own, best method first", () =>
    Effect.gen(function*() {
      const config = yield* decode({
        dialTimeout: "7s",
        methods: [
          grpc("b:1", { priority: 2 }),
          { ...grpc("a:1", { priority: 1, dialTimeout: "2s" }), config: { endpoint: "a:1", keepaliveInterval: "30s" } }
        ]
      })
      assert.deepStrictEqual((yield* dialers(config)).map(({ dialTimeoutMillis }) => dialTimeoutMillis), [2_000, 7_000])
    }))

  const bad: ReadonlyArray<readonly [connectivity: object, problem: string]> = [
    [{ dialTimeout: "0s" }, "connectivity.dialTimeout: must be from 1s to 10m"],
    [{ initialBackoff: "0s" }, "connectivity.initialBackoff: must be from 10ms to 1h"],
    [{ maxBackoff: "25h" }, "connectivity.maxBackoff: must be from 10ms to 24h"],
    [
      { initialBackoff: "1m" },
      "connectivity: initialBackoff is longer than maxBackoff: raise maxBackoff too"
    ],
    [{ methods: [grpc("a:1", { dialTimeout: "11m" })] }, "connectivity.methods[0].dialTimeout: must be from 1s to 10m"]
  ]
  for (const [connectivity, problem] of bad) {
    it.effect(`are refused by name: ${problem}`, () =>
      Effect.gen(function*() {
        const { problems } = yield* Effect.flip(decode(connectivity))
        assert.deepStrictEqual(problems, [problem])
      }))
  }
})
