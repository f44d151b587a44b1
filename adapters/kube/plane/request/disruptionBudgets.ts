/** What PodDisruptionBudgets say of an eviction, and what it leaves of them. */
import { type ApiFailure, tooManyRequests } from "../object/ApiFailure.ts"
import { at, numberAt, stringAt, withAt } from "../object/json.ts"
import { isDeleting, type KubeObject, labelsOf, nameOf, namespaceOf } from "../object/KubeObject.ts"
import { isReady } from "../object/podReadiness.ts"
import { labelSelector } from "../store/labelSelector.ts"
import type { World } from "./World.ts"

export const budgets = "poddisruptionbudgets.policy"

const status = (budget: KubeObject, field: string): number => numberAt(budget, "status", field) ?? 0

/** Whether a pod that is not ready may go without a word of the budget: nobody is the worse for it. */
const sparesUnready = (budget: KubeObject): boolean =>
  stringAt(budget, "spec", "unhealthyPodEvictionPolicy") === "AlwaysAllow" ||
  (status(budget, "desiredHealthy") > 0 && status(budget, "currentHealthy") >= status(budget, "desiredHealthy"))

/** The budgets that the pod's eviction would draw upon. */
export const budgetsOf = (world: World, pod: KubeObject): ReadonlyArray<KubeObject> => {
  const phase = stringAt(pod, "status", "phase")
  if (phase === "Succeeded" || phase === "Failed" || phase === "Pending" || isDeleting(pod)) return []
  return world.store.inNamespace(budgets, namespaceOf(pod)).map(({ object }) => object).filter((budget) =>
    labelSelector(at(budget, "spec", "selector"))(labelsOf(pod)) && (isReady(pod) || !sparesUnready(budget))
  )
}

/** Why the budget lets no pod go now; undefined if it does. */
export const refusal = (budget: KubeObject): ApiFailure | undefined => {
  const seen = status(budget, "observedGeneration") >= (numberAt(budget, "metadata", "generation") ?? 0)
  if (seen && status(budget, "disruptionsAllowed") > 0) return undefined
  return tooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 10, {
    reason: "DisruptionBudget",
    message: seen
      ? `The disruption budget ${nameOf(budget)} needs ${status(budget, "desiredHealthy")} healthy pods and has ${
        status(budget, "currentHealthy")
      } currently`
      : `The disruption budget ${nameOf(budget)} is still being processed by the server.`
  })
}

/** Whoever asks next finds one less, even before the pod's end has been counted. */
export const spend = (world: World, budget: KubeObject): void => {
  const current = world.store.get(budgets, namespaceOf(budget), nameOf(budget))
  if (current === undefined) return
  const left = Math.max(0, status(current.object, "disruptionsAllowed") - 1)
  world.store.replace(budgets, current, withAt(current.object, ["status", "disruptionsAllowed"], left))
}
