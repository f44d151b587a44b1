/** Keeps the numbered pods of a StatefulSet, one after another: none is made while one of its name is still there. */
import { Effect } from "effect"
import { at, numberAt, objectAt, stringAt, withAt } from "../object/json.ts"
import { isDeleting, nameOf } from "../object/KubeObject.ts"
import { change, discard, make, remark } from "./acting.ts"
import { controller } from "./controller.ts"
import { hasEnded } from "./scheduling.ts"
import { controlled, isActive, isReady, ownerKey, ownKey, podFromTemplate } from "./workloadPods.ts"

const component = "statefulset-controller"

export const statefulSets = controller({
  name: "statefulset",
  watches: [
    { collection: "statefulsets.apps", keys: ownKey },
    { collection: "pods", keys: ownerKey("StatefulSet") }
  ],
  reconcile: Effect.fnUntraced(function*(world, key) {
    const [namespace = "", name = ""] = key.split("/")
    const set = world.store.get("statefulsets.apps", namespace, name)?.object
    if (set === undefined) return
    const wanted = numberAt(set, "spec", "replicas") ?? 1
    if (!isDeleting(set)) {
      const pods = new Map(controlled(world, "pods", set).map((pod) => [nameOf(pod), pod]))
      for (let ordinal = 0; ordinal < wanted; ordinal++) {
        const pod = `${name}-${ordinal}`
        const there = pods.get(pod)
        if (there !== undefined) {
          // One that has ended makes room for its successor; one that is going is waited for.
          if (hasEnded(there) && !isDeleting(there)) yield* discard(world, "pods", there)
          if (!isActive(there) || !isReady(there)) break
          continue
        }
        const template = podFromTemplate(set, {
          labels: { "statefulset.kubernetes.io/pod-name": pod, "apps.kubernetes.io/pod-index": String(ordinal) },
          spec: { hostname: pod }
        })
        const { generateName: _, ...metadata } = objectAt(template, "metadata")
        yield* make(world, "pods", namespace, { ...template, metadata: { ...metadata, name: pod } })
        yield* remark(world, set, {
          component,
          type: "Normal",
          reason: "SuccessfulCreate",
          message: `create Pod ${pod} in StatefulSet ${name} successful`
        })
        break
      }
      const surplus = [...pods.values()].filter((pod) =>
        !isDeleting(pod) && Number(nameOf(pod).slice(name.length + 1)) >= wanted
      )
      const last = surplus.toSorted((a, b) => nameOf(a) < nameOf(b) ? 1 : -1)[0]
      if (last !== undefined) yield* discard(world, "pods", last)
    }
    const now = controlled(world, "pods", set).filter(isActive)
    yield* change(world, "statefulsets.apps", set, "status", (current) =>
      withAt(current, ["status"], {
        ...objectAt(current, "status"),
        replicas: now.length,
        readyReplicas: now.filter(isReady).length,
        availableReplicas: now.filter(isReady).length,
        observedGeneration: at(current, "metadata", "generation") ?? 0,
        currentRevision: stringAt(current, "status", "currentRevision") ?? ""
      }))
  })
})
