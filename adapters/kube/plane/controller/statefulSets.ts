/** Keeps the numbered pods of a StatefulSet, one after another: none is made while one of its name is still there. */
import { Effect } from "effect"
import { at, numberAt, objectAt, stringAt, withAt } from "../object/json.ts"
import { isDeleting, type KubeObject, labelsOf, nameOf } from "../object/KubeObject.ts"
import { isReady } from "../object/podReadiness.ts"
import { change, discard, make, remark } from "./acting.ts"
import { controller } from "./controller.ts"
import { hasEnded } from "./scheduling.ts"
import { revisionLabel, templateHash } from "./templateHash.ts"
import { controlled, isActive, ownerKey, ownKey, podFromTemplate } from "./workloadPods.ts"

const component = "statefulset-controller"

const ordinalOf = (pod: KubeObject): number => Number(nameOf(pod).slice(nameOf(pod).lastIndexOf("-") + 1))

const revisionOf = (set: KubeObject): string => `${nameOf(set)}-${templateHash(set)}`

const isOf = (revision: string) => (pod: KubeObject): boolean => labelsOf(pod)[revisionLabel] === revision

/** The lowest ordinal that rolls; infinite where pods roll only when somebody deletes them. */
const rollsFrom = (set: KubeObject): number =>
  stringAt(set, "spec", "updateStrategy", "type") === "OnDelete"
    ? Infinity
    : numberAt(set, "spec", "updateStrategy", "rollingUpdate", "partition") ?? 0

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
    const revision = revisionOf(set)
    if (!isDeleting(set)) {
      const pods = new Map(controlled(world, "pods", set).map((pod) => [nameOf(pod), pod]))
      let inTurn = 0
      for (let ordinal = 0; ordinal < wanted; ordinal++) {
        const pod = `${name}-${ordinal}`
        const there = pods.get(pod)
        if (there !== undefined) {
          // One that has ended makes room for its successor; one that is going is waited for.
          if (hasEnded(there) && !isDeleting(there)) yield* discard(world, "pods", there)
          if (!isActive(there) || !isReady(there)) break
          inTurn += 1
          continue
        }
        const template = podFromTemplate(set, {
          labels: {
            "statefulset.kubernetes.io/pod-name": pod,
            "apps.kubernetes.io/pod-index": String(ordinal),
            [revisionLabel]: revision
          },
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
      const highestFirst = [...pods.values()].toSorted((left, right) => ordinalOf(right) - ordinalOf(left))
      // One at a time: what is surplus first, then, while all are ready, what is of another template.
      const next = highestFirst.find((pod) => ordinalOf(pod) >= wanted) ??
        (inTurn < wanted
          ? undefined
          : highestFirst.find((pod) => ordinalOf(pod) >= rollsFrom(set) && !isOf(revision)(pod)))
      if (next !== undefined && !highestFirst.some(isDeleting)) yield* discard(world, "pods", next)
    }
    const now = controlled(world, "pods", set).filter(isActive)
    const ready = now.filter(isReady).length
    const updated = now.filter(isOf(revision)).length
    const rolled = now.length === wanted && ready === wanted && updated === wanted
    yield* change(world, "statefulsets.apps", set, "status", (current) => {
      const former = stringAt(current, "status", "currentRevision")
      const currentRevision = former === undefined || rolled ? revision : former
      return withAt(current, ["status"], {
        ...objectAt(current, "status"),
        replicas: now.length,
        readyReplicas: ready,
        availableReplicas: ready,
        currentReplicas: now.filter(isOf(currentRevision)).length,
        updatedReplicas: updated,
        observedGeneration: at(current, "metadata", "generation") ?? 0,
        currentRevision,
        updateRevision: revision
      })
    })
  })
})
