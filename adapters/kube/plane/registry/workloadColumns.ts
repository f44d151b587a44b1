/** Columns of services, workloads, events and the other resources kubectl shows with more than a name. */
import { humanDuration } from "../object/duration.ts"
import { at, type Json, listAt, numberAt, objectAt, objectsAt, stringAt, stringsAt } from "../object/json.ts"
import { type KubeObject, labelsOf } from "../object/KubeObject.ts"
import { ageColumn, ago, column, labelsText, nameColumn, orNone, selectorText, wide } from "./columns.ts"
import type { Column } from "./ResourceType.ts"

const count = (...path: ReadonlyArray<string>) => (object: KubeObject): Json => numberAt(object, ...path) ?? 0
const text = (...path: ReadonlyArray<string>) => (object: KubeObject): Json => stringAt(object, ...path) ?? ""
const keys = (field: string) => (object: KubeObject): Json => Object.keys(objectAt(object, field)).length
const integer = { type: "integer" } as const

const templateContainers = (object: KubeObject) => objectsAt(object, "spec", "template", "spec", "containers")
const containerColumns: ReadonlyArray<Column> = [
  column("Containers", (object) => templateContainers(object).map((c) => stringAt(c, "name") ?? "").join(","), wide),
  column("Images", (object) => templateContainers(object).map((c) => stringAt(c, "image") ?? "").join(","), wide),
  column("Selector", selectorText, wide)
]

export const deploymentColumns: ReadonlyArray<Column> = [
  nameColumn,
  column(
    "Ready",
    (object) => `${numberAt(object, "status", "readyReplicas") ?? 0}/${numberAt(object, "spec", "replicas") ?? 0}`
  ),
  column("Up-to-date", count("status", "updatedReplicas")),
  column("Available", count("status", "availableReplicas")),
  ageColumn,
  ...containerColumns
]

export const replicaSetColumns: ReadonlyArray<Column> = [
  nameColumn,
  column("Desired", count("spec", "replicas"), integer),
  column("Current", count("status", "replicas"), integer),
  column("Ready", count("status", "readyReplicas"), integer),
  ageColumn,
  ...containerColumns
]

export const daemonSetColumns: ReadonlyArray<Column> = [
  nameColumn,
  column("Desired", count("status", "desiredNumberScheduled"), integer),
  column("Current", count("status", "currentNumberScheduled"), integer),
  column("Ready", count("status", "numberReady"), integer),
  column("Up-to-date", count("status", "updatedNumberScheduled"), integer),
  column("Available", count("status", "numberAvailable"), integer),
  column("Node Selector", (object) => labelsText(objectAt(object, "spec", "template", "spec", "nodeSelector"))),
  ageColumn,
  ...containerColumns
]

export const statefulSetColumns: ReadonlyArray<Column> = [
  nameColumn,
  column(
    "Ready",
    (object) => `${numberAt(object, "status", "readyReplicas") ?? 0}/${numberAt(object, "spec", "replicas") ?? 0}`
  ),
  ageColumn,
  ...containerColumns.slice(0, 2)
]

export const jobColumns: ReadonlyArray<Column> = [
  nameColumn,
  column("Status", (job) => {
    const done = objectsAt(job, "status", "conditions").find((c) => stringAt(c, "status") === "True")
    return stringAt(done, "type") ?? "Running"
  }),
  column(
    "Completions",
    (job) => `${numberAt(job, "status", "succeeded") ?? 0}/${numberAt(job, "spec", "completions") ?? 1}`
  ),
  column("Duration", (job, now) => {
    const start = stringAt(job, "status", "startTime")
    return start === undefined ? "" : ago(start, now)
  }),
  ageColumn,
  ...containerColumns
]

export const cronJobColumns: ReadonlyArray<Column> = [
  nameColumn,
  column("Schedule", text("spec", "schedule")),
  column("Timezone", (object) => stringAt(object, "spec", "timeZone") ?? "<none>"),
  column("Suspend", (object) => at(object, "spec", "suspend") === true ? "True" : "False"),
  column("Active", (object) => listAt(object, "status", "active").length, integer),
  column("Last Schedule", (object, now) => {
    const last = stringAt(object, "status", "lastScheduleTime")
    return last === undefined ? "<none>" : ago(last, now)
  }),
  ageColumn
]

const portsText = (service: KubeObject): string =>
  orNone(
    objectsAt(service, "spec", "ports").map((port) => {
      const node = numberAt(port, "nodePort") ?? 0
      return `${numberAt(port, "port") ?? 0}${node > 0 ? `:${node}` : ""}/${stringAt(port, "protocol") ?? "TCP"}`
    }).join(",")
  )

export const serviceColumns: ReadonlyArray<Column> = [
  nameColumn,
  column("Type", text("spec", "type")),
  column("Cluster-IP", (service) => orNone(stringAt(service, "spec", "clusterIP"))),
  column("External-IP", (service) => {
    if (stringAt(service, "spec", "type") === "ExternalName") return stringAt(service, "spec", "externalName") ?? ""
    const ingress = objectsAt(service, "status", "loadBalancer", "ingress").flatMap((i) => stringAt(i, "ip") ?? [])
    const all = [...ingress, ...stringsAt(service, "spec", "externalIPs")]
    return all.length > 0
      ? all.join(",")
      : stringAt(service, "spec", "type") === "LoadBalancer"
      ? "<pending>"
      : "<none>"
  }),
  column("Port(s)", portsText),
  ageColumn,
  column("Selector", (service) => labelsText(objectAt(service, "spec", "selector")), wide)
]

export const endpointsColumns: ReadonlyArray<Column> = [
  nameColumn,
  column("Endpoints", (endpoints) =>
    orNone(
      objectsAt(endpoints, "subsets").flatMap((subset) =>
        objectsAt(subset, "ports").flatMap((port) =>
          objectsAt(subset, "addresses").map((a) => `${stringAt(a, "ip") ?? ""}:${numberAt(port, "port") ?? 0}`)
        )
      ).slice(0, 3).join(",")
    )),
  ageColumn
]

export const endpointSliceColumns: ReadonlyArray<Column> = [
  nameColumn,
  column("AddressType", text("addressType")),
  column("Ports", (slice) => {
    const ports = objectsAt(slice, "ports").map((port) => String(numberAt(port, "port") ?? "*"))
    return ports.length === 0 ? "<unset>" : ports.join(",")
  }),
  column("Endpoints", (slice) => {
    const addresses = objectsAt(slice, "endpoints").flatMap((endpoint) => stringsAt(endpoint, "addresses"))
    return addresses.length === 0 ? "<unset>" : addresses.slice(0, 3).join(",")
  }),
  ageColumn
]

const involved = (event: KubeObject): string =>
  `${(stringAt(event, "involvedObject", "kind") ?? "").toLowerCase()}/${
    stringAt(event, "involvedObject", "name") ?? ""
  }`

const firstSeen = (event: KubeObject) => stringAt(event, "firstTimestamp") ?? stringAt(event, "eventTime")
const lastSeen = (event: KubeObject) =>
  stringAt(event, "series", "lastObservedTime") ?? stringAt(event, "lastTimestamp") ?? firstSeen(event)

export const eventColumns: ReadonlyArray<Column> = [
  column("Last Seen", (event, now) => ago(lastSeen(event), now)),
  column("Type", text("type")),
  column("Reason", text("reason")),
  column("Object", involved),
  column("Subobject", text("involvedObject", "fieldPath"), wide),
  column("Source", (event) => {
    const component = stringAt(event, "source", "component") || stringAt(event, "reportingComponent") || ""
    const host = stringAt(event, "source", "host") || ""
    return host === "" ? component : `${component}, ${host}`
  }, wide),
  column("Message", (event) => (stringAt(event, "message") ?? "").trim()),
  column("First Seen", (event, now) => ago(firstSeen(event), now), wide),
  column("Count", (event) => numberAt(event, "series", "count") ?? numberAt(event, "count") ?? 1, {
    ...wide,
    ...integer
  }),
  { ...nameColumn, priority: 1 }
]

export const configMapColumns: ReadonlyArray<Column> = [
  nameColumn,
  column("Data", (object) => Number(keys("data")(object)) + Number(keys("binaryData")(object))),
  ageColumn
]
export const secretColumns: ReadonlyArray<Column> = [
  nameColumn,
  column("Type", text("type")),
  column("Data", keys("data")),
  ageColumn
]
export const leaseColumns: ReadonlyArray<Column> = [
  nameColumn,
  column("Holder", text("spec", "holderIdentity")),
  ageColumn
]
export const namespaceColumns: ReadonlyArray<Column> = [
  nameColumn,
  column("Status", text("status", "phase")),
  ageColumn
]
export const serviceAccountColumns: ReadonlyArray<Column> = [
  nameColumn,
  column("Secrets", (object) => listAt(object, "secrets").length),
  ageColumn
]

export const csrColumns: ReadonlyArray<Column> = [
  nameColumn,
  ageColumn,
  column("SignerName", text("spec", "signerName")),
  column("Requestor", text("spec", "username")),
  column("RequestedDuration", (csr) => {
    const seconds = numberAt(csr, "spec", "expirationSeconds")
    return seconds === undefined ? "<none>" : humanDuration(seconds * 1000)
  }),
  column("Condition", (csr) => {
    const types = objectsAt(csr, "status", "conditions").map((condition) => stringAt(condition, "type") ?? "")
    const state = types.find((type) => type === "Approved" || type === "Denied") ?? "Pending"
    const failed = types.includes("Failed") ? ",Failed" : ""
    return `${state}${failed}${stringAt(csr, "status", "certificate") === undefined ? "" : ",Issued"}`
  })
]

export const roleBindingColumns: ReadonlyArray<Column> = [
  nameColumn,
  column(
    "Role",
    (object) => `${stringAt(object, "roleRef", "kind") ?? ""}/${stringAt(object, "roleRef", "name") ?? ""}`
  ),
  ageColumn
]

export const volumeClaimColumns: ReadonlyArray<Column> = [
  nameColumn,
  column("Status", text("status", "phase")),
  column("Volume", text("spec", "volumeName")),
  column("Capacity", (object) => String(at(object, "status", "capacity", "storage") ?? "")),
  column("Access Modes", (object) => stringsAt(object, "spec", "accessModes").join(",")),
  column("StorageClass", text("spec", "storageClassName")),
  ageColumn
]

export const volumeColumns: ReadonlyArray<Column> = [
  nameColumn,
  column("Capacity", (object) => String(at(object, "spec", "capacity", "storage") ?? "")),
  column("Access Modes", (object) => stringsAt(object, "spec", "accessModes").join(",")),
  column("Reclaim Policy", text("spec", "persistentVolumeReclaimPolicy")),
  column("Status", text("status", "phase")),
  column("Claim", (object) => {
    const name = stringAt(object, "spec", "claimRef", "name")
    return name === undefined ? "" : `${stringAt(object, "spec", "claimRef", "namespace") ?? ""}/${name}`
  }),
  column("StorageClass", text("spec", "storageClassName")),
  ageColumn
]

export const crdColumns: ReadonlyArray<Column> = [
  nameColumn,
  { name: "Created At", type: "date", cell: text("metadata", "creationTimestamp") }
]

export const runtimeClassColumns: ReadonlyArray<Column> = [nameColumn, column("Handler", text("handler")), ageColumn]

export const budgetColumns: ReadonlyArray<Column> = [
  nameColumn,
  column("Min Available", (object) => String(at(object, "spec", "minAvailable") ?? "N/A")),
  column("Max Unavailable", (object) => String(at(object, "spec", "maxUnavailable") ?? "N/A")),
  column("Allowed Disruptions", count("status", "disruptionsAllowed"), integer),
  ageColumn
]

export const labelledColumns: ReadonlyArray<Column> = [
  nameColumn,
  ageColumn,
  column("Labels", (o) => labelsText(labelsOf(o)), wide)
]
