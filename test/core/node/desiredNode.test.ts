import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { decodeEdgeDevice } from "../../../core/device/decodeEdgeDevice.ts"
import type { EdgeDevice } from "../../../core/device/EdgeDevice.ts"
import type { Node } from "../../../core/kube/Node.ts"
import { desiredNode, isRemnant, newNode, nodePatch, owns } from "../../../core/node/desiredNode.ts"
import { keepTolerations } from "../../../core/node/keepTolerations.ts"
import { differs, nodeStatus, statusPatch } from "../../../core/node/nodeStatus.ts"

const device = (node: unknown = {}): Effect.Effect<EdgeDevice> =>
  Effect.orDie(decodeEdgeDevice({
    metadata: { namespace: "edge", name: "edge-1", uid: "u1", generation: 1 },
    spec: { connectivity: { method: "grpc" }, node }
  }))

const connected = { installation: "a", connected: true }

const made = Effect.fnUntraced(function*(node: unknown = {}) {
  const it = yield* device(node)
  return newNode(it, desiredNode(it, undefined, connected), undefined)
})

/** What a merge patch does to labels, annotations and spec. */
const patched = (node: Node, patch: unknown): Node => {
  const merge = (have: unknown, change: unknown): unknown => {
    if (typeof change !== "object" || change === null || Array.isArray(change)) return change
    const result: Record<string, unknown> = { ...(have as Record<string, unknown> | undefined) }
    for (const [key, value] of Object.entries(change)) {
      if (value === null) delete result[key]
      else result[key] = merge(result[key], value)
    }
    return result
  }
  return merge(node, patch) as Node
}

describe("the Node of a device", () => {
  it.effect("is labelled and tainted as the documents promise", () =>
    Effect.gen(function*() {
      const node = yield* made()
      assert.deepInclude(node.metadata.labels, {
        "arhat.dev/role": "EdgeDevice",
        "arhat.dev/name": "edge-1",
        "arhat.dev/namespace": "edge",
        type: "virtual-kubelet"
      })
      assert.deepStrictEqual(node.spec?.taints, [{ key: "arhat.dev/namespace", value: "edge", effect: "NoSchedule" }])
      assert.strictEqual(node.spec?.providerID, "aranya://edge/edge-1")
    }))

  it.effect("needs no patch while it is as desired", () =>
    Effect.gen(function*() {
      const node = yield* made({ labels: { zone: "a" } })
      assert.isUndefined(nodePatch(node, desiredNode(yield* device({ labels: { zone: "a" } }), undefined, connected)))
    }))

  it.effect("keeps what users put on it, and loses what left the spec", () =>
    Effect.gen(function*() {
      const before = yield* made({
        labels: { zone: "a", line: "7" },
        taints: [{ key: "dedicated", value: "x", effect: "NoSchedule" }]
      })
      const edited: Node = {
        ...before,
        metadata: { ...before.metadata, labels: { ...before.metadata.labels, mine: "yes" } },
        spec: {
          ...before.spec,
          unschedulable: true,
          taints: [...before.spec?.taints ?? [], { key: "maintenance", effect: "NoExecute" }]
        }
      }
      const after = patched(
        edited,
        nodePatch(edited, desiredNode(yield* device({ labels: { zone: "b" } }), undefined, connected))
      )
      assert.deepInclude(after.metadata.labels, { mine: "yes", zone: "b" })
      assert.notProperty(after.metadata.labels, "line")
      assert.deepStrictEqual(after.spec?.taints?.map(({ key }) => key), ["maintenance", "arhat.dev/namespace"])
      assert.isTrue(after.spec?.unschedulable)
    }))

  it.effect("is tainted while the device is away, and not evicted", () =>
    Effect.gen(function*() {
      const node = yield* made()
      const away = patched(
        node,
        nodePatch(node, desiredNode(yield* device(), undefined, { ...connected, connected: false }))
      )
      assert.deepInclude([...away.spec?.taints ?? []], { key: "arhat.dev/disconnected", effect: "NoSchedule" })
      const back = patched(away, nodePatch(away, desiredNode(yield* device(), undefined, connected)))
      assert.deepStrictEqual(back.spec?.taints, node.spec?.taints)
      // A node controller that takes its own taints away writes the list that it has read a moment ago.
      const putBack: Node = { ...back, spec: { ...back.spec, taints: away.spec?.taints ?? [] } }
      const mended = patched(putBack, nodePatch(putBack, desiredNode(yield* device(), undefined, connected)))
      assert.deepStrictEqual(mended.spec?.taints, node.spec?.taints)
    }))

  it.effect("is told from a Node of the same name that is somebody else's", () =>
    Effect.gen(function*() {
      const node = yield* made()
      const it = yield* device()
      assert.isTrue(owns(node, it, "a"))
      assert.isFalse(owns(node, it, "another aranya"))
      assert.isFalse(owns(node, { uid: "another EdgeDevice" }, "a"))
      assert.isFalse(owns({ metadata: { name: "edge-1" } }, it, "a"))
    }))

  it.effect("is a remnant where it was an earlier EdgeDevice's of this very name", () =>
    Effect.gen(function*() {
      const node = yield* made()
      const anew = { uid: "u2", namespace: "edge", name: "edge-1" }
      assert.isTrue(isRemnant(node, anew, "a"))
      assert.isFalse(isRemnant(node, { ...anew, uid: "u1" }, "a"))
      assert.isFalse(isRemnant(node, anew, "another aranya"))
      assert.isFalse(isRemnant(node, { ...anew, namespace: "other" }, "a"))
      assert.isFalse(isRemnant({ metadata: { name: "edge-1" } }, anew, "a"))
    }))
})

const report = {
  host: {
    machineId: "m",
    systemUuid: "s",
    bootId: "b",
    kernelVersion: "6.1",
    osImage: "Debian",
    operatingSystem: "linux",
    architecture: "arm64",
    hostname: "h",
    cpuMillis: 4000,
    memoryBytes: 1024 * 1024,
    storageBytes: 2048,
    addresses: []
  },
  pressure: { memory: false, disk: false, pids: false },
  runtime: { name: "docker", version: "28" },
  agentVersion: "0.1.0",
  at: 0
}
const state = {
  report,
  connected: true,
  disconnectReason: "LinkDown",
  awayTooLong: false,
  givenUp: false,
  version: "0.1.0",
  kubelet: { address: "10.0.0.1", port: 10250 }
} as const

describe("the status of a Node", () => {
  const condition = (type: string, status: ReturnType<typeof nodeStatus>) =>
    status.conditions?.find((each) => each.type === type)

  it.effect("says Ready while the device is connected, and goes on saying so while it is away", () =>
    Effect.gen(function*() {
      const it = yield* device()
      const there = nodeStatus(it, state, undefined, 1000)
      const away = nodeStatus(it, { ...state, connected: false }, there, 60_000)
      assert.strictEqual(condition("Ready", there)?.status, "True")
      assert.strictEqual(condition("Ready", away)?.status, "True")
      assert.strictEqual(condition("Ready", away)?.lastTransitionTime, "1970-01-01T00:00:01Z")
      assert.deepInclude(condition("DeviceConnected", away), {
        status: "False",
        reason: "LinkDown",
        lastTransitionTime: "1970-01-01T00:01:00Z"
      })
    }))

  it.effect("is not Ready before the device has ever said what it is", () =>
    Effect.gen(function*() {
      const status = nodeStatus(yield* device(), { ...state, report: undefined, connected: false }, undefined, 0)
      assert.strictEqual(condition("Ready", status)?.status, "False")
    }))

  it.effect("differs from what is stored only where something was said, not by time", () =>
    Effect.gen(function*() {
      const it = yield* device()
      const status = nodeStatus(it, state, undefined, 0)
      const stored: Node = { metadata: {}, status }
      assert.isFalse(differs(stored, nodeStatus(it, state, status, 3_600_000)))
      assert.isTrue(differs(stored, nodeStatus(it, { ...state, connected: false }, status, 1)))
      const overwritten = {
        ...status,
        conditions: (status.conditions ?? []).map((each) =>
          each.type === "Ready" ? { ...each, status: "Unknown" as const, reason: "NodeStatusUnknown" } : each
        )
      }
      assert.isTrue(differs({ metadata: {}, status: overwritten }, nodeStatus(it, state, status, 1)))
    }))

  it.effect("is the same in the words of an API server, and beside resources of others", () =>
    Effect.gen(function*() {
      const it = yield* device()
      const large = { ...state, report: { ...report, host: { ...report.host, memoryBytes: 16 * 2 ** 30 + 5 } } }
      const wanted = nodeStatus(it, large, undefined, 0)
      assert.deepStrictEqual(wanted.capacity, { cpu: "4", memory: "16Gi", "ephemeral-storage": "2Ki", pods: "11" })
      const kept = { ...wanted.capacity, cpu: "4000m", memory: "16384Mi", "example.com/dongle": "2" }
      const stored = (capacity: Readonly<Record<string, string>>): Node => ({
        metadata: {},
        status: { ...wanted, capacity, allocatable: kept }
      })
      assert.isFalse(differs(stored(kept), wanted))
      assert.isTrue(differs(stored({ ...kept, cpu: "8" }), wanted))
      assert.isTrue(differs(stored({ "example.com/dongle": "2" }), wanted))
    }))

  it.effect("replaces the list of addresses, which cannot be merged by type", () =>
    Effect.gen(function*() {
      const body = statusPatch({ metadata: {} }, nodeStatus(yield* device(), state, undefined, 0)) as {
        status: { addresses: unknown }
      }
      assert.deepStrictEqual(body.status.addresses, [
        { $patch: "replace" },
        { type: "InternalIP", address: "10.0.0.1" },
        { type: "Hostname", address: "edge-1" }
      ])
    }))
})

describe("tolerations under policy keep", () => {
  it("lose their limit in seconds, and nothing else is touched", () => {
    const pod = {
      metadata: {},
      spec: {
        containers: [],
        tolerations: [
          { key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 },
          { key: "other", operator: "Exists", effect: "NoExecute", tolerationSeconds: 5 },
          { key: "node.kubernetes.io/unreachable", operator: "Exists", effect: "NoExecute" }
        ]
      }
    }
    assert.deepStrictEqual(keepTolerations(pod), [
      { op: "test", path: "/spec/tolerations/0/key", value: "node.kubernetes.io/not-ready" },
      { op: "remove", path: "/spec/tolerations/0/tolerationSeconds" }
    ])
    assert.isUndefined(keepTolerations({ metadata: {}, spec: { containers: [] } }))
  })

  const exists = { operator: "Exists", effect: "NoExecute" }
  const notReady = { key: "node.kubernetes.io/not-ready", ...exists }
  const unreachable = { key: "node.kubernetes.io/unreachable", ...exists }
  const brief = { ...exists, tolerationSeconds: 60 }
  const before = (value: object) => ({ op: "add", path: "/spec/tolerations/0", value })
  const seconds = [
    { op: "test", path: "/spec/tolerations/1/key", value: notReady.key },
    { op: "remove", path: "/spec/tolerations/1/tolerationSeconds" }
  ]
  it.each([
    { name: "alone", tolerations: [brief], patch: [before(notReady), before(unreachable)] },
    { name: "after both", tolerations: [unreachable, notReady, brief], patch: undefined },
    { name: "after one", tolerations: [notReady, brief], patch: [before(unreachable)] },
    {
      name: "before one",
      tolerations: [brief, { ...notReady, tolerationSeconds: 300 }],
      patch: [...seconds, before(notReady), before(unreachable)]
    },
    {
      name: "after one of another value",
      tolerations: [{ ...notReady, operator: "Equal", value: "x" }, unreachable, brief],
      patch: [before(notReady)]
    },
    { name: "after one for ever", tolerations: [{ operator: "Exists" }, brief], patch: undefined },
    { name: "before one for ever", tolerations: [brief, exists], patch: [before(notReady), before(unreachable)] },
    { name: "of another effect", tolerations: [{ operator: "Exists", effect: "NoSchedule" }], patch: undefined }
  ])("come first where one of every taint has seconds: $name", ({ patch, tolerations }) => {
    assert.deepStrictEqual(keepTolerations({ metadata: {}, spec: { containers: [], tolerations } }), patch)
  })
})
