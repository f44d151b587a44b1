/** What the cases have in common: objects, questions to kubectl, and a device with nothing wrong. */
import { Effect } from "effect"
import { apply, edgeDevice, eventually } from "../Line.ts"
import { says } from "./sentences.ts"
import { Site } from "./Site.ts"

export const edgeDeviceOf = (name: string, spec: object) => ({ ...edgeDevice(name, ""), spec })
export const grpc = { connectivity: { method: "grpc" } }

export const pod = (name: string, container: object, spec: object = {}) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name },
  spec: {
    nodeName: "edge-1",
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 1,
    tolerations: [{ key: "arhat.dev/namespace", operator: "Exists" }],
    containers: [{
      name: "main",
      image: "virtualimage.arhat.dev/hostexec",
      command: ["sleep", "1000"],
      ...container
    }],
    ...spec
  }
})

/** One condition of an EdgeDevice as `True|Reason|Message`. */
export const condition = (type: string) =>
  `jsonpath={range .status.conditions[?(@.type=="${type}")]}{.status}|{.reason}|{.message}{end}`

export const waiting =
  "jsonpath={.status.phase}|{range .status.containerStatuses[*]}{.state.waiting.reason}|{.state.waiting.message}{end}"

/** Kubectl in the namespace of the devices. */
export const asking = Effect.gen(function*() {
  const { kubectl } = yield* Site
  return {
    kubectl,
    get: (what: ReadonlyArray<string>, output: string) => ["get", ...what, "-n", "edge", "-o", output],
    /** kubectl describe, once it shows the sentence. */
    describes: (what: ReadonlyArray<string>, sentence: string) =>
      Effect.map(
        eventually(kubectl, ["describe", ...what, "-n", "edge"], (out) =>
          out.replaceAll(/\s+/gu, " ").includes(sentence)),
        (out) =>
          says(out, sentence)
      ),
    connected: (name: string) =>
      eventually(
        kubectl,
        ["get", "edgedevice", name, "-n", "edge", "-o", condition("Connected")],
        (out) => out.startsWith("True|")
      )
  }
})

/** edge-1, a device with nothing wrong, connected; started by the first test that wants it. */
export const goodDevice = Effect.gen(function*() {
  const { agent, kubectl, once } = yield* Site
  return yield* once(
    "edge-1",
    Effect.gen(function*() {
      const good = yield* agent("edge-1")
      yield* apply(kubectl, edgeDevice("edge-1", good.publicKey))
      yield* good.start
      yield* eventually(kubectl, ["get", "node", "edge-1", "--no-headers"], (out) => / Ready /.test(out))
      return good
    })
  )
})

export const notConnected = ({ msg }: { readonly msg: string }) => msg.startsWith("not connected: ")
