/** The defaults an API server writes into a pod spec (core/v1 defaulting), for pods and for pod templates alike. */
import {
  isObject,
  type Json,
  type JsonObject,
  objectAt,
  objectsAt,
  stringAt,
  withDefault,
  withDefaults
} from "../object/json.ts"

const probeDefaults: JsonObject = { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 }

const handlerDefaults = (handler: JsonObject): JsonObject => {
  let result = handler
  if (isObject(handler["httpGet"])) {
    result = { ...result, httpGet: withDefaults(handler["httpGet"], { path: "/", scheme: "HTTP" }) }
  }
  if (isObject(handler["grpc"])) result = { ...result, grpc: withDefaults(handler["grpc"], { service: "" }) }
  return result
}

const tagOf = (image: string): string => {
  const name = image.slice(image.lastIndexOf("/") + 1)
  if (image.includes("@")) return "digest"
  return name.includes(":") ? name.slice(name.indexOf(":") + 1) : "latest"
}

const sourceDefaults = (source: JsonObject): JsonObject => {
  const field = source["fieldRef"]
  return isObject(field) ? { ...source, fieldRef: withDefaults(field, { apiVersion: "v1" }) } : source
}

const environmentDefaults = (variable: JsonObject): JsonObject => {
  const from = variable["valueFrom"]
  if (!isObject(from)) return variable
  const resource = from["resourceFieldRef"]
  const sourced = sourceDefaults(from)
  return {
    ...variable,
    valueFrom: isObject(resource)
      ? { ...sourced, resourceFieldRef: withDefaults(resource, { divisor: "0" }) }
      : sourced
  }
}

/** A limit without a request asks for as much as the limit. */
const resourceDefaults = (resources: JsonObject): JsonObject => {
  const limits = objectAt(resources, "limits")
  if (Object.keys(limits).length === 0) return resources
  return { ...resources, requests: { ...limits, ...objectAt(resources, "requests") } }
}

const lifecycleDefaults = (lifecycle: JsonObject): JsonObject =>
  Object.fromEntries(
    Object.entries(lifecycle).map(([hook, handler]) => [hook, isObject(handler) ? handlerDefaults(handler) : handler])
  )

const mapObjects = (list: Json | undefined, change: (item: JsonObject) => JsonObject): ReadonlyArray<Json> =>
  Array.isArray(list) ? list.map((item: Json) => isObject(item) ? change(item) : item) : []

export const containerDefaults = (container: JsonObject, hostNetwork: boolean): JsonObject => {
  let result: JsonObject = withDefaults(container, {
    resources: {},
    terminationMessagePath: "/dev/termination-log",
    terminationMessagePolicy: "File",
    imagePullPolicy: tagOf(stringAt(container, "image") ?? "") === "latest" ? "Always" : "IfNotPresent"
  })
  for (const probe of ["livenessProbe", "readinessProbe", "startupProbe"]) {
    const value = result[probe]
    if (isObject(value)) result = { ...result, [probe]: withDefaults(handlerDefaults(value), probeDefaults) }
  }
  if (isObject(result["lifecycle"])) result = { ...result, lifecycle: lifecycleDefaults(result["lifecycle"]) }
  if (isObject(result["resources"])) result = { ...result, resources: resourceDefaults(result["resources"]) }
  if (result["env"] !== undefined) result = { ...result, env: mapObjects(result["env"], environmentDefaults) }
  if (result["ports"] !== undefined) {
    const ports = mapObjects(result["ports"], (port) => {
      const named = withDefaults(port, { protocol: "TCP" })
      return hostNetwork ? withDefault(named, ["hostPort"], port["containerPort"] ?? 0) : named
    })
    result = { ...result, ports }
  }
  return result
}

const fileMode = 0o644

const projectedDefaults = (source: JsonObject): JsonObject => {
  const token = source["serviceAccountToken"]
  const downward = source["downwardAPI"]
  let result = source
  if (isObject(token)) result = { ...result, serviceAccountToken: withDefaults(token, { expirationSeconds: 3600 }) }
  if (isObject(downward)) {
    result = { ...result, downwardAPI: { ...downward, items: mapObjects(downward["items"], sourceDefaults) } }
  }
  return result
}

const volumeDefaults = (volume: JsonObject): JsonObject => {
  let result = volume
  for (const kind of ["configMap", "secret", "downwardAPI", "projected"]) {
    const source = result[kind]
    if (isObject(source)) result = { ...result, [kind]: withDefaults(source, { defaultMode: fileMode }) }
  }
  const downward = result["downwardAPI"]
  const projected = result["projected"]
  if (isObject(downward)) {
    result = { ...result, downwardAPI: { ...downward, items: mapObjects(downward["items"], sourceDefaults) } }
  }
  if (isObject(projected)) {
    result = { ...result, projected: { ...projected, sources: mapObjects(projected["sources"], projectedDefaults) } }
  }
  if (isObject(result["hostPath"])) result = { ...result, hostPath: withDefaults(result["hostPath"], { type: "" }) }
  if (isObject(result["iscsi"])) {
    result = { ...result, iscsi: withDefaults(result["iscsi"], { iscsiInterface: "default" }) }
  }
  const sources = Object.keys(result).filter((key) => key !== "name")
  return sources.length === 0 ? { ...result, emptyDir: {} } : result
}

/** Defaults of the spec of a pod or of a pod template. */
export const podSpecDefaults = (spec: JsonObject): JsonObject => {
  const hostNetwork = spec["hostNetwork"] === true
  let result: JsonObject = withDefaults(spec, {
    restartPolicy: "Always",
    terminationGracePeriodSeconds: 30,
    dnsPolicy: "ClusterFirst",
    securityContext: {},
    schedulerName: "default-scheduler"
  })
  for (const list of ["containers", "initContainers", "ephemeralContainers"]) {
    if (result[list] !== undefined) {
      result = { ...result, [list]: mapObjects(result[list], (container) => containerDefaults(container, hostNetwork)) }
    }
  }
  if (result["volumes"] !== undefined) result = { ...result, volumes: mapObjects(result["volumes"], volumeDefaults) }
  // The old name of the field is kept in step with the new one.
  const account = stringAt(result, "serviceAccountName") || stringAt(result, "serviceAccount")
  if (account !== undefined && account !== "") {
    result = { ...result, serviceAccountName: account, serviceAccount: account }
  }
  return result
}

/** Guaranteed, Burstable or BestEffort, from requests and limits of cpu and memory. */
export const qosClass = (pod: JsonObject): string => {
  const containers = [...objectsAt(pod, "spec", "containers"), ...objectsAt(pod, "spec", "initContainers")]
  let any = false
  let guaranteed = true
  for (const container of containers) {
    const requests = objectAt(container, "resources", "requests")
    const limits = objectAt(container, "resources", "limits")
    for (const name of ["cpu", "memory"]) {
      if (requests[name] !== undefined || limits[name] !== undefined) any = true
      if (limits[name] === undefined || String(requests[name]) !== String(limits[name])) guaranteed = false
    }
  }
  return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable"
}
