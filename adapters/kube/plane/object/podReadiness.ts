/** Whether a pod says that it is ready. */
import { objectsAt, stringAt } from "./json.ts"
import type { KubeObject } from "./KubeObject.ts"

export const isReady = (pod: KubeObject): boolean =>
  objectsAt(pod, "status", "conditions").some((condition) =>
    stringAt(condition, "type") === "Ready" && stringAt(condition, "status") === "True"
  )
