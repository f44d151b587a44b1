/** What a person is told who asks more of a device than it may spend in a day. */
import { assert, type Vitest } from "@effect/vitest"
import { Effect } from "effect"
import { apply, edgeDevice, eventually } from "../Line.ts"
import { asking, pod } from "./asking.ts"
import { documented, says } from "./sentences.ts"
import { Site } from "./Site.ts"

const spent = "device edge-14 has used up what it may spend on streams in a day, 64Ki bytes: ask again after"
const chatty =
  "i=0; while [ $i -lt 40000 ]; do i=$((i+1)); echo line $i says $(($i * 7919 % 1000003)); done; sleep 1000"

export const budgets = (it: Vitest.MethodsNonLive<Site>) => {
  it.effect(
    "logs beyond the budget of a device end with a sentence, commands are refused with it, and pods come and go",
    () =>
      Effect.gen(function*() {
        const { connected, get, kubectl } = yield* asking
        const { agent } = yield* Site
        const thrifty = yield* agent("edge-14")
        yield* apply(
          kubectl,
          edgeDevice("edge-14", thrifty.publicKey, { method: "grpc", budget: { streams: "64Ki" } }),
          pod("chatty", { command: ["sh", "-c", chatty] }, { nodeName: "edge-14" })
        )
        yield* thrifty.start
        yield* connected("edge-14")
        const phase = get(["pod", "chatty"], "jsonpath={.status.phase}")
        yield* eventually(kubectl, phase, (out) => out === "Running")

        const logs = yield* kubectl(["logs", "-f", "chatty", "-n", "edge"])
        assert.include(logs.stdout, "line 1 says 7919\n", "what was spent came")
        assert.notInclude(logs.stdout, "line 40000 ")
        says(`${logs.stdout} ${logs.stderr}`, spent)
        for (const verb of [["logs", "chatty"], ["exec", "chatty", "--", "true"]]) {
          const refused = yield* kubectl([...verb.slice(0, 1), "-n", "edge", ...verb.slice(1)])
          assert.strictEqual(refused.exitCode, 1, verb[0])
          says(refused.stderr, spent)
          says(refused.stderr, ", or raise spec.connectivity.budget.streams")
        }
        const about = "involvedObject.name=edge-14,reason=TrafficBudgetExhausted"
        yield* eventually(
          kubectl,
          ["get", "events", "-n", "edge", "--field-selector", about, "-o", "jsonpath={.items[*].message}"],
          (out) => out.includes(documented(spent))
        )
        const deleted = yield* kubectl(["delete", "pod", "chatty", "-n", "edge", "--timeout=60s"])
        assert.strictEqual(deleted.exitCode, 0, deleted.stderr)
      }),
    120_000
  )
}
