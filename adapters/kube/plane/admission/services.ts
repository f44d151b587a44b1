/** Services: defaults, and cluster IPs and node ports that no other service has. */
import { Result } from "effect"
import type { FieldError } from "../object/ApiFailure.ts"
import {
  equal,
  type JsonObject,
  numberAt,
  objectAt,
  objectsAt,
  stringAt,
  stringsAt,
  withDefaults
} from "../object/json.ts"
import type { KubeObject } from "../object/KubeObject.ts"
import type { AdmissionContext, ResourceType } from "../registry/ResourceType.ts"

/** 10.96.0.0/12 is kubeadm's range; the first address belongs to the API server. */
export const apiServerAddress = "10.96.0.1"

const isTaken = ({ store }: AdmissionContext, address: string) =>
  store.where("services", "spec.clusterIP", address).length > 0

const freeAddress = (context: AdmissionContext): string => {
  for (;;) {
    const host = 2 + Math.floor(context.moment.random() * 0xfffc)
    const address = `10.96.${host >>> 8}.${host & 255}`
    if (!isTaken(context, address)) return address
  }
}

const withAddress = (object: KubeObject, old: KubeObject | undefined, context: AdmissionContext): JsonObject => {
  const spec = objectAt(object, "spec")
  if (stringAt(spec, "type") === "ExternalName") return spec
  const wanted = stringAt(spec, "clusterIP") || stringAt(old, "spec", "clusterIP")
  const ip = wanted !== undefined && wanted !== "" ? wanted : freeAddress(context)
  return {
    ...spec,
    clusterIP: ip,
    clusterIPs: [ip],
    ipFamilies: stringsAt(spec, "ipFamilies").length > 0 ? stringsAt(spec, "ipFamilies") : ["IPv4"],
    ipFamilyPolicy: stringAt(spec, "ipFamilyPolicy") ?? "SingleStack",
    internalTrafficPolicy: stringAt(spec, "internalTrafficPolicy") ?? "Cluster"
  }
}

const withNodePorts = (spec: JsonObject, old: KubeObject | undefined, { moment }: AdmissionContext): JsonObject => {
  const type = stringAt(spec, "type")
  if (type !== "NodePort" && type !== "LoadBalancer") return spec
  const before = objectsAt(old, "spec", "ports")
  return {
    ...spec,
    externalTrafficPolicy: stringAt(spec, "externalTrafficPolicy") ?? "Cluster",
    ports: objectsAt(spec, "ports").map((port) => {
      const same = before.find((other) => numberAt(other, "port") === numberAt(port, "port"))
      const kept = numberAt(same, "nodePort")
      return withDefaults(port, { nodePort: kept ?? 30000 + Math.floor(moment.random() * 2768) })
    })
  }
}

export const prepareService: NonNullable<ResourceType["prepare"]> = (object, old, context) => {
  const spec = withDefaults(objectAt(object, "spec"), { type: "ClusterIP", sessionAffinity: "None" })
  const ports = objectsAt(spec, "ports").map((port) =>
    withDefaults(port, { protocol: "TCP", targetPort: numberAt(port, "port") ?? 0 })
  )
  const named = { ...object, spec: ports.length === 0 ? spec : { ...spec, ports } }
  const addressed = withNodePorts(withAddress(named, old, context), old, context)
  const status = objectAt(object, "status")
  return Result.succeed({ ...object, spec: addressed, status: withDefaults(status, { loadBalancer: {} }) })
}

export const validateService: NonNullable<ResourceType["validate"]> = (object, old) => {
  const errors: Array<FieldError> = []
  const ports = objectsAt(object, "spec", "ports")
  const type = stringAt(object, "spec", "type") ?? ""
  if (!["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"].includes(type)) {
    errors.push({ type: "NotSupported", field: "spec.type", value: type, detail: "" })
  }
  if (ports.length === 0 && type !== "ExternalName" && stringAt(object, "spec", "clusterIP") !== "None") {
    errors.push({ type: "Required", field: "spec.ports", detail: "" })
  }
  ports.forEach((port, index) => {
    const number = numberAt(port, "port") ?? 0
    if (number < 1 || number > 65535) {
      errors.push({
        type: "Invalid",
        field: `spec.ports[${index}].port`,
        value: String(number),
        detail: "must be between 1 and 65535, inclusive"
      })
    }
    if (ports.length > 1 && !stringAt(port, "name")) {
      errors.push({ type: "Required", field: `spec.ports[${index}].name`, detail: "" })
    }
  })
  if (old !== undefined && stringAt(old, "spec", "type") === type && type !== "ExternalName") {
    const before = stringAt(old, "spec", "clusterIP")
    if (before !== undefined && before !== "" && !equal(before, stringAt(object, "spec", "clusterIP"))) {
      errors.push({
        type: "Invalid",
        field: "spec.clusterIPs[0]",
        value: stringAt(object, "spec", "clusterIP") ?? "",
        detail: "may not change once set"
      })
    }
  }
  return errors
}
