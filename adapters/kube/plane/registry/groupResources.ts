/** The built-in resources of the named API groups. */
import { prepareBinding, prepareRequest, validateBinding, validateRequest } from "../admission/cluster.ts"
import {
  prepareCronJob,
  prepareDaemonSet,
  prepareDeployment,
  prepareJob,
  prepareReplicaSet,
  prepareStatefulSet,
  validateCronJob,
  validateJob,
  validateWorkload
} from "../admission/workloads.ts"
import { objectAt, objectsAt, stringAt, stringsAt } from "../object/json.ts"
import type { KubeObject } from "../object/KubeObject.ts"
import { nameColumn } from "./columns.ts"
import { coreResources } from "./coreResources.ts"
import { prepareDefinition, validateDefinition } from "./customDefinition.ts"
import { resourceType, scaleSubresource } from "./defineResource.ts"
import type { ResourceType } from "./ResourceType.ts"
import {
  budgetColumns,
  crdColumns,
  cronJobColumns,
  csrColumns,
  daemonSetColumns,
  deploymentColumns,
  endpointSliceColumns,
  jobColumns,
  labelledColumns,
  leaseColumns,
  replicaSetColumns,
  roleBindingColumns,
  runtimeClassColumns,
  statefulSetColumns
} from "./workloadColumns.ts"

/** A LabelSelector as the text `/scale` reports. */
const selectorQuery = (object: KubeObject): string => {
  const selector = objectAt(object, "spec", "selector")
  const equalities = Object.entries(objectAt(selector, "matchLabels")).map(([key, value]) => `${key}=${String(value)}`)
  const sets = objectsAt(selector, "matchExpressions").map((expression) => {
    const key = stringAt(expression, "key") ?? ""
    const values = stringsAt(expression, "values").join(",")
    switch (stringAt(expression, "operator")) {
      case "In":
        return `${key} in (${values})`
      case "NotIn":
        return `${key} notin (${values})`
      case "DoesNotExist":
        return `!${key}`
      default:
        return key
    }
  })
  return [...equalities, ...sets].join(",")
}

const scale = { specReplicas: ["spec", "replicas"], statusReplicas: ["status", "replicas"], selector: selectorQuery }
const workload = { categories: ["all"], hasStatus: true, hasGeneration: true, validate: validateWorkload } as const
const scalable = { ...workload, subresources: [scaleSubresource], scale } as const
const cluster = { namespaced: false } as const

const apps = (special: Parameters<typeof resourceType>[2]) => resourceType("apps", "v1", special)
const rbac = (special: Parameters<typeof resourceType>[2]) => resourceType("rbac.authorization.k8s.io", "v1", special)
const storage = (special: Parameters<typeof resourceType>[2]) => resourceType("storage.k8s.io", "v1", special)
const networking = (special: Parameters<typeof resourceType>[2]) => resourceType("networking.k8s.io", "v1", special)

/** Asked and answered, never stored. */
const review = (group: string, kind: string, namespaced = false) =>
  resourceType(group, "v1", { kind, plural: `${kind.toLowerCase()}s`, verbs: ["create"], namespaced })

const groupResources: ReadonlyArray<ResourceType> = [
  apps({
    kind: "Deployment",
    plural: "deployments",
    shortNames: ["deploy"],
    ...scalable,
    columns: deploymentColumns,
    prepare: prepareDeployment
  }),
  apps({
    kind: "ReplicaSet",
    plural: "replicasets",
    shortNames: ["rs"],
    ...scalable,
    columns: replicaSetColumns,
    prepare: prepareReplicaSet
  }),
  apps({
    kind: "StatefulSet",
    plural: "statefulsets",
    shortNames: ["sts"],
    ...scalable,
    columns: statefulSetColumns,
    prepare: prepareStatefulSet
  }),
  apps({
    kind: "DaemonSet",
    plural: "daemonsets",
    shortNames: ["ds"],
    ...workload,
    columns: daemonSetColumns,
    prepare: prepareDaemonSet
  }),
  apps({ kind: "ControllerRevision", plural: "controllerrevisions" }),
  resourceType("batch", "v1", {
    kind: "Job",
    plural: "jobs",
    ...workload,
    columns: jobColumns,
    prepare: prepareJob,
    validate: validateJob
  }),
  resourceType("batch", "v1", {
    kind: "CronJob",
    plural: "cronjobs",
    shortNames: ["cj"],
    categories: ["all"],
    hasStatus: true,
    hasGeneration: true,
    columns: cronJobColumns,
    prepare: prepareCronJob,
    validate: validateCronJob
  }),
  resourceType("coordination.k8s.io", "v1", { kind: "Lease", plural: "leases", columns: leaseColumns }),
  resourceType("discovery.k8s.io", "v1", {
    kind: "EndpointSlice",
    plural: "endpointslices",
    hasGeneration: true,
    columns: endpointSliceColumns
  }),
  resourceType("certificates.k8s.io", "v1", {
    kind: "CertificateSigningRequest",
    plural: "certificatesigningrequests",
    shortNames: ["csr"],
    ...cluster,
    hasStatus: true,
    subresources: [{ name: "approval", kind: "CertificateSigningRequest", verbs: ["get", "patch", "update"] }],
    fields: { "spec.signerName": (csr) => stringAt(csr, "spec", "signerName") ?? "" },
    columns: csrColumns,
    prepare: prepareRequest,
    validate: validateRequest
  }),
  rbac({ kind: "ClusterRole", plural: "clusterroles", ...cluster }),
  rbac({
    kind: "ClusterRoleBinding",
    plural: "clusterrolebindings",
    ...cluster,
    columns: roleBindingColumns,
    prepare: prepareBinding,
    validate: validateBinding
  }),
  rbac({ kind: "Role", plural: "roles" }),
  rbac({
    kind: "RoleBinding",
    plural: "rolebindings",
    columns: roleBindingColumns,
    prepare: prepareBinding,
    validate: validateBinding
  }),
  review("authentication.k8s.io", "TokenReview"),
  review("authentication.k8s.io", "SelfSubjectReview"),
  review("authorization.k8s.io", "SubjectAccessReview"),
  review("authorization.k8s.io", "SelfSubjectAccessReview"),
  review("authorization.k8s.io", "LocalSubjectAccessReview", true),
  review("authorization.k8s.io", "SelfSubjectRulesReview"),
  resourceType("policy", "v1", {
    kind: "PodDisruptionBudget",
    plural: "poddisruptionbudgets",
    shortNames: ["pdb"],
    hasStatus: true,
    hasGeneration: true,
    columns: budgetColumns
  }),
  storage({ kind: "StorageClass", plural: "storageclasses", shortNames: ["sc"], ...cluster }),
  storage({ kind: "CSIDriver", plural: "csidrivers", ...cluster }),
  storage({ kind: "CSINode", plural: "csinodes", ...cluster }),
  storage({ kind: "CSIStorageCapacity", plural: "csistoragecapacities", singular: "csistoragecapacity" }),
  storage({ kind: "VolumeAttachment", plural: "volumeattachments", ...cluster, hasStatus: true }),
  resourceType("node.k8s.io", "v1", {
    kind: "RuntimeClass",
    plural: "runtimeclasses",
    ...cluster,
    columns: runtimeClassColumns
  }),
  resourceType("scheduling.k8s.io", "v1", {
    kind: "PriorityClass",
    plural: "priorityclasses",
    shortNames: ["pc"],
    ...cluster,
    columns: [nameColumn, ...labelledColumns.slice(1)]
  }),
  networking({ kind: "Ingress", plural: "ingresses", shortNames: ["ing"], hasStatus: true, hasGeneration: true }),
  networking({ kind: "IngressClass", plural: "ingressclasses", ...cluster }),
  networking({
    kind: "NetworkPolicy",
    plural: "networkpolicies",
    singular: "networkpolicy",
    shortNames: ["netpol"],
    hasGeneration: true
  }),
  resourceType("autoscaling", "v2", {
    kind: "HorizontalPodAutoscaler",
    plural: "horizontalpodautoscalers",
    shortNames: ["hpa"],
    categories: ["all"],
    hasStatus: true
  }),
  resourceType("apiextensions.k8s.io", "v1", {
    kind: "CustomResourceDefinition",
    plural: "customresourcedefinitions",
    shortNames: ["crd", "crds"],
    ...cluster,
    hasStatus: true,
    hasGeneration: true,
    categories: ["api-extensions"],
    columns: crdColumns,
    prepare: prepareDefinition,
    validate: validateDefinition
  })
]

export const builtinResources: ReadonlyArray<ResourceType> = [...coreResources, ...groupResources]
