/** EdgeDevices that cannot be, at three doors: the API server, the operator, a name that is taken. */
import { assert, type Vitest } from "@effect/vitest"
import { Effect } from "effect"
import { Base64 } from "effect/encoding"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parse, stringify } from "yaml"
import { apply, edgeDevice, eventually } from "../Line.ts"
import { asking, condition, edgeDeviceOf, goodDevice, grpc } from "./asking.ts"
import { documented, says } from "./sentences.ts"
import { Site } from "./Site.ts"

export const edgeDevices = (it: Vitest.MethodsNonLive<Site>) => {
  it.effect(
    "an EdgeDevice that the API server can refuse is refused by kubectl apply, and nothing is stored",
    () =>
      Effect.gen(function*() {
        const { kubectl } = yield* asking
        const refused = (spec: object) =>
          Effect.map(
            kubectl(["apply", "-f", "-"], { stdin: stringify(edgeDeviceOf("edge-2", spec)) }),
            ({ exitCode, stderr, stdout }) => {
              assert.strictEqual(exitCode, 1)
              assert.strictEqual(stdout, "")
              return stderr
            }
          )
        says(
          yield* refused({ connectivity: { method: "carrier-pigeon" } }),
          `The EdgeDevice "edge-2" is invalid: spec.connectivity.method: Unsupported value: "carrier-pigeon": supported values: "grpc", "mqtt"`
        )
        says(
          yield* refused({}),
          `The EdgeDevice "edge-2" is invalid: spec.connectivity: Required value`
        )
        says(yield* refused({ ...grpc, nodes: {} }), `strict decoding error: unknown field "spec.nodes"`)
        says(
          yield* refused({ ...grpc, identity: { publicKey: "abc" } }),
          `spec.identity.publicKey: Invalid value: "abc": spec.identity.publicKey in body should match '^[A-Za-z0-9+/]{43}=$'`
        )
        const found = yield* kubectl(["get", "edgedevice", "edge-2", "-n", "edge"])
        assert.match(found.stderr, /NotFound/)
      }),
    120_000
  )

  it.effect(
    "an EdgeDevice that only the operator can refuse says so in its condition Invalid, and heals",
    () =>
      Effect.gen(function*() {
        const { describes, get, kubectl } = yield* asking
        const labels = { "arhat.dev/role": "mine" }
        const sentence =
          "spec.node.labels[arhat.dev/role] is set by aranya itself (arhat.dev/*, *.arhat.dev/*, kubernetes.io/hostname, kubernetes.io/os, kubernetes.io/arch, type): choose another key."
        yield* apply(kubectl, edgeDeviceOf("edge-3", { ...grpc, node: { labels } }))
        yield* eventually(
          kubectl,
          get(["edgedevice", "edge-3"], condition("Invalid")),
          (out) => out === `True|SpecInvalid|${sentence}`
        )
        yield* describes(["edgedevice", "edge-3"], sentence)
        const node = yield* kubectl(["get", "node", "edge-3"])
        assert.match(node.stderr, /NotFound/)

        yield* apply(kubectl, edgeDeviceOf("edge-3", { ...grpc, node: { labels: { role: "mine" } } }))
        yield* eventually(
          kubectl,
          get(["edgedevice", "edge-3"], condition("Invalid")),
          (out) => out === "False|Understood|"
        )
        yield* eventually(
          kubectl,
          ["get", "node", "edge-3", "-o", "jsonpath={.metadata.labels.role}"],
          (out) => out === "mine"
        )
      }),
    120_000
  )

  it.effect(
    "an EdgeDevice field that this version does not act on is refused by name, never stored silently",
    () =>
      Effect.gen(function*() {
        const { get, kubectl } = yield* asking
        const sentence =
          "spec.peripherals is not supported by this version: peripherals are not served yet, so remove them."
        yield* apply(kubectl, edgeDeviceOf("edge-4", { ...grpc, peripherals: [{ name: "lamp" }] }))
        yield* eventually(
          kubectl,
          get(["edgedevice", "edge-4"], condition("Invalid")),
          (out) => out === `True|SpecInvalid|${documented(sentence)}`
        )
        // A real API server says it at once: the same sentence is a CEL rule of the definition.
        const definition = fileURLToPath(new URL("../../../deploy/crd/edgedevices.yaml", import.meta.url))
        const { spec } = parse(readFileSync(definition, "utf8")) as {
          readonly spec: { readonly versions: ReadonlyArray<{ readonly schema: unknown }> }
        }
        assert.include(JSON.stringify(spec.versions[0]?.schema), sentence)
      }),
    120_000
  )

  it.effect("an EdgeDevice with the name of another's Node is refused it", () =>
    Effect.gen(function*() {
      const { kubectl } = yield* asking
      yield* goodDevice
      yield* apply(kubectl, { apiVersion: "v1", kind: "Namespace", metadata: { name: "other" } })
      const second = edgeDevice("edge-1", Base64.encode(new Uint8Array(32).fill(9)))
      yield* apply(kubectl, { ...second, metadata: { namespace: "other", name: "edge-1" } })
      const sentence = documented(
        "Node edge-1 exists and is not of this EdgeDevice: rename the EdgeDevice, or remove that Node"
      )
      yield* eventually(
        kubectl,
        ["get", "edgedevice", "edge-1", "-n", "other", "-o", condition("NameConflict")],
        (out) => out === `True|NodeOfAnother|${sentence}`
      )
    }), 120_000)

  it.effect(
    "an EdgeDevice that turned invalid can be deleted, also after a restart of the operator",
    () =>
      Effect.gen(function*() {
        const { restartOperator } = yield* Site
        const { get, kubectl } = yield* asking
        const spec = { ...grpc, peripherals: [] }
        yield* apply(kubectl, edgeDeviceOf("edge-10", spec))
        yield* eventually(kubectl, ["get", "node", "edge-10"], (_, { exitCode }) => exitCode === 0)
        yield* apply(kubectl, edgeDeviceOf("edge-10", { ...spec, peripherals: [{ name: "lamp" }] }))
        yield* eventually(
          kubectl,
          get(["edgedevice", "edge-10"], condition("Invalid")),
          (out) => out.startsWith("True|SpecInvalid|")
        )
        assert.strictEqual((yield* kubectl(["get", "node", "edge-10"])).exitCode, 0, "what was there goes on")
        yield* restartOperator
        const deleted = yield* kubectl(["delete", "edgedevice", "edge-10", "-n", "edge", "--timeout=60s"])
        assert.strictEqual(deleted.exitCode, 0, deleted.stderr)
        yield* eventually(kubectl, ["get", "node", "edge-10"], (_, { stderr }) => stderr.includes("NotFound"))
      }),
    180_000
  )
}
