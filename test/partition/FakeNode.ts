/** A Node without anybody behind it: its Lease and status are kept by the test for as long as the test likes, as a kubelet would. */
import { Effect, type Scope } from "effect"
import { apply, type Kubectl } from "../e2e/Line.ts"

export interface FakeNode {
  /** Puts a pod there that says it runs; nobody ever ends it. */
  readonly run: (pod: string) => Effect.Effect<void, unknown>
  /** From now on it says nothing more. */
  readonly fallSilent: Effect.Effect<void>
}

/** A kubelet renews every 10 s. */
const renewal = "10 seconds"

const now = Effect.sync(() => new Date().toISOString().replace("Z", "000Z"))

export const startFakeNode = Effect.fnUntraced(function*(
  kubectl: Kubectl,
  name: string
): Effect.fn.Return<FakeNode, unknown, Scope.Scope> {
  let silent = false
  yield* apply(kubectl, { apiVersion: "v1", kind: "Node", metadata: { name }, spec: {} })

  const heartbeat = Effect.fnUntraced(function*() {
    if (silent) return
    const time = yield* now
    yield* apply(kubectl, {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { name, namespace: "kube-node-lease" },
      spec: { holderIdentity: name, leaseDurationSeconds: 40, renewTime: time }
    })
  })
  const status = Effect.fnUntraced(function*() {
    const lastHeartbeatTime = (yield* now).replace(/\.\d+Z/u, "Z")
    const condition = (type: string, value: string) => ({ type, status: value, reason: "Fake", lastHeartbeatTime })
    const body = {
      status: {
        capacity: { cpu: "4", memory: "4Gi", pods: "10" },
        conditions: [
          condition("Ready", "True"),
          condition("MemoryPressure", "False"),
          condition("DiskPressure", "False"),
          condition("PIDPressure", "False")
        ]
      }
    }
    yield* kubectl(["patch", "node", name, "--subresource=status", "--type=strategic", "-p", JSON.stringify(body)])
  })
  yield* heartbeat()
  yield* status()
  yield* Effect.forever(Effect.andThen(Effect.sleep(renewal), Effect.ignore(heartbeat()))).pipe(Effect.forkScoped)

  const run = Effect.fnUntraced(function*(pod: string) {
    yield* apply(kubectl, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { namespace: "edge", name: pod },
      spec: { nodeName: name, automountServiceAccountToken: false, containers: [{ name: "main", image: "nothing" }] }
    })
    const body = { status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] } }
    yield* kubectl([
      "patch",
      "pod",
      pod,
      "-n",
      "edge",
      "--subresource=status",
      "--type=merge",
      "-p",
      JSON.stringify(body)
    ])
  })
  return {
    run,
    fallSilent: Effect.sync(() => {
      silent = true
    })
  }
})
