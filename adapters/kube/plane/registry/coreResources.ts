/** core/v1 and its events.k8s.io twin. */
import {
  canonicalNode,
  prepareNamespace,
  prepareNode,
  prepareSecret,
  prepareVolume,
  prepareVolumeClaim,
  validateConfigMap,
  validateNode,
  validateSecret
} from "../admission/cluster.ts"
import { admitPod } from "../admission/podAdmission.ts"
import { podErrors } from "../admission/podValidation.ts"
import { prepareService, validateService } from "../admission/services.ts"
import { type Json, maybe, objectAt, objectsAt, stringAt } from "../object/json.ts"
import type { KubeObject } from "../object/KubeObject.ts"
import type { FieldReader } from "../store/fieldSelector.ts"
import { resourceType, scaleSubresource } from "./defineResource.ts"
import { nodeColumns } from "./nodeColumns.ts"
import { podColumns } from "./podColumns.ts"
import type { ResourceType } from "./ResourceType.ts"
import {
  configMapColumns,
  endpointsColumns,
  eventColumns,
  namespaceColumns,
  secretColumns,
  serviceAccountColumns,
  serviceColumns,
  volumeClaimColumns,
  volumeColumns
} from "./workloadColumns.ts"

const field = (...path: ReadonlyArray<string>): FieldReader => (object) => {
  let value: Json | undefined = object
  for (const key of path) value = objectAt(value)[key]
  return value === undefined || value === null ? "" : String(value)
}

const flag = (...path: ReadonlyArray<string>): FieldReader => (object) => field(...path)(object) || "false"

const podFields: Readonly<Record<string, FieldReader>> = {
  "spec.nodeName": field("spec", "nodeName"),
  "spec.restartPolicy": field("spec", "restartPolicy"),
  "spec.schedulerName": field("spec", "schedulerName"),
  "spec.serviceAccountName": field("spec", "serviceAccountName"),
  "spec.hostNetwork": flag("spec", "hostNetwork"),
  "status.phase": field("status", "phase"),
  "status.podIP": field("status", "podIP"),
  "status.podIPs": (pod) => objectsAt(pod, "status", "podIPs").map((entry) => stringAt(entry, "ip") ?? "").join(","),
  "status.nominatedNodeName": field("status", "nominatedNodeName")
}

const involved = ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"]
const eventFields: Readonly<Record<string, FieldReader>> = {
  ...Object.fromEntries(involved.map((key) => [`involvedObject.${key}`, field("involvedObject", key)])),
  reason: field("reason"),
  type: field("type"),
  reportingComponent: (event) => field("reportingComponent")(event) || field("source", "component")(event),
  source: field("source", "component")
}
const regardingFields: Readonly<Record<string, FieldReader>> = {
  ...Object.fromEntries(involved.map((key) => [`regarding.${key}`, field("involvedObject", key)])),
  reason: field("reason"),
  type: field("type"),
  reportingController: field("reportingComponent")
}

const eventIndexes = ["involvedObject.uid", "involvedObject.name"]

/** events.k8s.io/v1 names the same facts differently. */
const regardingFromEvent = (event: KubeObject): KubeObject => {
  const { involvedObject, message, source, firstTimestamp, lastTimestamp, count, reportingComponent, ...rest } = event
  return {
    ...rest,
    apiVersion: "events.k8s.io/v1",
    ...maybe("regarding", involvedObject),
    ...maybe("note", message),
    ...maybe("deprecatedSource", source),
    ...maybe("deprecatedFirstTimestamp", firstTimestamp),
    ...maybe("deprecatedLastTimestamp", lastTimestamp),
    ...maybe("deprecatedCount", count),
    ...maybe("reportingController", reportingComponent)
  }
}

const eventFromRegarding = (event: KubeObject): KubeObject => {
  const {
    regarding,
    note,
    deprecatedSource,
    deprecatedFirstTimestamp,
    deprecatedLastTimestamp,
    deprecatedCount,
    reportingController,
    ...rest
  } = event
  return {
    ...rest,
    apiVersion: "v1",
    ...maybe("involvedObject", regarding),
    ...maybe("message", note),
    ...maybe("source", deprecatedSource),
    ...maybe("firstTimestamp", deprecatedFirstTimestamp),
    ...maybe("lastTimestamp", deprecatedLastTimestamp),
    ...maybe("count", deprecatedCount),
    ...maybe("reportingComponent", reportingController)
  }
}

const event = { kind: "Event", plural: "events", shortNames: ["ev"], collection: "events", columns: eventColumns }

const core = (special: Parameters<typeof resourceType>[2]) => resourceType("", "v1", special)

export const coreResources: ReadonlyArray<ResourceType> = [
  core({
    kind: "Namespace",
    plural: "namespaces",
    shortNames: ["ns"],
    namespaced: false,
    hasStatus: true,
    verbs: ["create", "delete", "get", "list", "patch", "update", "watch"],
    subresources: [{ name: "finalize", kind: "Namespace", verbs: ["update"] }],
    fields: { "status.phase": field("status", "phase") },
    columns: namespaceColumns,
    prepare: prepareNamespace
  }),
  core({
    kind: "Node",
    plural: "nodes",
    shortNames: ["no"],
    namespaced: false,
    hasStatus: true,
    keepsStatusOnCreate: true,
    subresources: [{ name: "proxy", kind: "NodeProxyOptions", verbs: ["create", "delete", "get", "patch", "update"] }],
    fields: { "spec.unschedulable": flag("spec", "unschedulable") },
    columns: nodeColumns,
    canonical: canonicalNode,
    prepare: prepareNode,
    validate: validateNode
  }),
  core({
    kind: "Pod",
    plural: "pods",
    shortNames: ["po"],
    categories: ["all"],
    hasStatus: true,
    hasGeneration: true,
    subresources: [
      { name: "attach", kind: "PodAttachOptions", verbs: ["create", "get"] },
      { name: "binding", kind: "Binding", verbs: ["create"] },
      { name: "ephemeralcontainers", kind: "Pod", verbs: ["get", "patch", "update"] },
      { name: "eviction", kind: "Eviction", group: "policy", version: "v1", verbs: ["create"] },
      { name: "exec", kind: "PodExecOptions", verbs: ["create", "get"] },
      { name: "log", kind: "Pod", verbs: ["get"] },
      { name: "portforward", kind: "PodPortForwardOptions", verbs: ["create", "get"] },
      { name: "resize", kind: "Pod", verbs: ["get", "patch", "update"] }
    ],
    fields: podFields,
    indexes: ["spec.nodeName"],
    columns: podColumns,
    prepare: admitPod,
    validate: podErrors
  }),
  core({
    kind: "ConfigMap",
    plural: "configmaps",
    shortNames: ["cm"],
    columns: configMapColumns,
    validate: validateConfigMap
  }),
  core({
    kind: "Secret",
    plural: "secrets",
    columns: secretColumns,
    fields: { type: field("type") },
    prepare: prepareSecret,
    validate: validateSecret
  }),
  core({
    kind: "Service",
    plural: "services",
    shortNames: ["svc"],
    categories: ["all"],
    hasStatus: true,
    fields: { "spec.clusterIP": field("spec", "clusterIP"), "spec.type": field("spec", "type") },
    indexes: ["spec.clusterIP"],
    columns: serviceColumns,
    prepare: prepareService,
    validate: validateService
  }),
  core({
    kind: "Endpoints",
    plural: "endpoints",
    singular: "endpoints",
    shortNames: ["ep"],
    columns: endpointsColumns
  }),
  core({
    kind: "ServiceAccount",
    plural: "serviceaccounts",
    shortNames: ["sa"],
    subresources: [{
      name: "token",
      kind: "TokenRequest",
      group: "authentication.k8s.io",
      version: "v1",
      verbs: ["create"]
    }],
    columns: serviceAccountColumns
  }),
  core({ ...event, fields: eventFields, indexes: eventIndexes }),
  resourceType("events.k8s.io", "v1", {
    ...event,
    fields: regardingFields,
    conversion: { toStored: eventFromRegarding, fromStored: regardingFromEvent }
  }),
  core({
    kind: "PersistentVolume",
    plural: "persistentvolumes",
    shortNames: ["pv"],
    namespaced: false,
    hasStatus: true,
    columns: volumeColumns,
    prepare: prepareVolume
  }),
  core({
    kind: "PersistentVolumeClaim",
    plural: "persistentvolumeclaims",
    shortNames: ["pvc"],
    hasStatus: true,
    columns: volumeClaimColumns,
    prepare: prepareVolumeClaim
  }),
  core({
    kind: "ReplicationController",
    plural: "replicationcontrollers",
    shortNames: ["rc"],
    categories: ["all"],
    hasStatus: true,
    hasGeneration: true,
    subresources: [scaleSubresource]
  }),
  core({ kind: "PodTemplate", plural: "podtemplates" }),
  core({ kind: "ResourceQuota", plural: "resourcequotas", shortNames: ["quota"], hasStatus: true }),
  core({ kind: "LimitRange", plural: "limitranges", shortNames: ["limits"] })
]
