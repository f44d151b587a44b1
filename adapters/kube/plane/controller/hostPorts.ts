/** Ports of the node itself, of which each can be had once. */
import { type JsonObject, numberAt, objectsAt, stringAt } from "../object/json.ts"
import type { KubeObject } from "../object/KubeObject.ts"

/** Init containers hold theirs only if they go on beside the others. */
const hostPorts = (pod: KubeObject): ReadonlyArray<JsonObject> =>
  [
    ...objectsAt(pod, "spec", "containers"),
    ...objectsAt(pod, "spec", "initContainers").filter((container) => stringAt(container, "restartPolicy") === "Always")
  ].flatMap((container) => objectsAt(container, "ports")).filter((port) => (numberAt(port, "hostPort") ?? 0) > 0)

const protocolOf = (port: JsonObject): string => stringAt(port, "protocol") || "TCP"
const everyAddress = "0.0.0.0"
const addressOf = (port: JsonObject): string => stringAt(port, "hostIP") || everyAddress

const collide = (left: JsonObject, right: JsonObject): boolean =>
  numberAt(left, "hostPort") === numberAt(right, "hostPort") && protocolOf(left) === protocolOf(right) &&
  (addressOf(left) === addressOf(right) || [addressOf(left), addressOf(right)].includes(everyAddress))

/** Whether one of the others holds a port that the pod asks for. */
export const portsTaken = (pod: KubeObject, others: ReadonlyArray<KubeObject>): boolean => {
  const wanted = hostPorts(pod)
  if (wanted.length === 0) return false
  const held = others.flatMap(hostPorts)
  return wanted.some((port) => held.some((other) => collide(port, other)))
}
