/** The protobuf forms of what `kubectl create <kind>` sends: only the fields that command can fill. */
import type { Message } from "./decode.ts"

const ownerReference: Message = {
  1: ["kind", "string"],
  3: ["name", "string"],
  4: ["uid", "string"],
  5: ["apiVersion", "string"],
  6: ["controller", "flag"],
  7: ["blockOwnerDeletion", "flag"]
}

export const metadata: Message = {
  1: ["name", "string"],
  2: ["generateName", "string"],
  3: ["namespace", "string"],
  5: ["uid", "string"],
  6: ["resourceVersion", "string"],
  11: ["labels", { map: "string" }],
  12: ["annotations", { map: "string" }],
  13: ["ownerReferences", ownerReference, "repeated"],
  14: ["finalizers", "string", "repeated"]
}

const selector: Message = {
  1: ["matchLabels", { map: "string" }],
  2: [
    "matchExpressions",
    { 1: ["key", "string"], 2: ["operator", "string"], 3: ["values", "string", "repeated"] },
    "repeated"
  ]
}

const port: Message = {
  1: ["name", "string"],
  2: ["hostPort", "integer"],
  3: ["containerPort", "integer"],
  4: ["protocol", "string"],
  5: ["hostIP", "string"]
}

const container: Message = {
  1: ["name", "string"],
  2: ["image", "string"],
  3: ["command", "string", "repeated"],
  4: ["args", "string", "repeated"],
  5: ["workingDir", "string"],
  6: ["ports", port, "repeated"],
  7: ["env", { 1: ["name", "string"], 2: ["value", "string"] }, "repeated"],
  8: ["resources", { 1: ["limits", { map: "quantity" }], 2: ["requests", { map: "quantity" }] }],
  14: ["imagePullPolicy", "string"],
  16: ["stdin", "boolean"],
  17: ["stdinOnce", "boolean"],
  18: ["tty", "boolean"]
}

const podSpec: Message = {
  2: ["containers", container, "repeated"],
  3: ["restartPolicy", "string"],
  4: ["terminationGracePeriodSeconds", "count"],
  5: ["activeDeadlineSeconds", "count"],
  6: ["dnsPolicy", "string"],
  7: ["nodeSelector", { map: "string" }],
  8: ["serviceAccountName", "string"],
  10: ["nodeName", "string"],
  11: ["hostNetwork", "boolean"]
}

const template: Message = { 1: ["metadata", metadata], 2: ["spec", podSpec] }

const object = (spec: Message): Message => ({ 1: ["metadata", metadata], 2: ["spec", spec] })

const jobSpec: Message = {
  1: ["parallelism", "count"],
  2: ["completions", "count"],
  3: ["activeDeadlineSeconds", "count"],
  4: ["selector", selector],
  6: ["template", template],
  7: ["backoffLimit", "count"],
  8: ["ttlSecondsAfterFinished", "count"]
}

const rules: Message = {
  1: ["verbs", "string", "repeated"],
  2: ["apiGroups", "string", "repeated"],
  3: ["resources", "string", "repeated"],
  4: ["resourceNames", "string", "repeated"],
  5: ["nonResourceURLs", "string", "repeated"]
}

const binding: Message = {
  1: ["metadata", metadata],
  2: ["subjects", {
    1: ["kind", "string"],
    2: ["apiGroup", "string"],
    3: ["name", "string"],
    4: ["namespace", "string"]
  }, "repeated"],
  3: ["roleRef", { 1: ["apiGroup", "string"], 2: ["kind", "string"], 3: ["name", "string"] }]
}

const named: Message = { 1: ["name", "string"] }

export const workloadMessages: Readonly<Record<string, Message>> = {
  Namespace: { 1: ["metadata", metadata] },
  ConfigMap: {
    1: ["metadata", metadata],
    2: ["data", { map: "string" }],
    3: ["binaryData", { map: "bytes" }],
    4: ["immutable", "flag"]
  },
  Secret: {
    1: ["metadata", metadata],
    2: ["data", { map: "bytes" }],
    3: ["type", "string"],
    4: ["stringData", { map: "string" }],
    5: ["immutable", "flag"]
  },
  ServiceAccount: {
    1: ["metadata", metadata],
    2: ["secrets", { 3: ["name", "string"] }, "repeated"],
    3: ["imagePullSecrets", named, "repeated"],
    4: ["automountServiceAccountToken", "flag"]
  },
  Service: object({
    1: ["ports", {
      1: ["name", "string"],
      2: ["protocol", "string"],
      3: ["port", "integer"],
      4: ["targetPort", "intOrString"],
      5: ["nodePort", "integer"]
    }, "repeated"],
    2: ["selector", { map: "string" }],
    3: ["clusterIP", "string"],
    4: ["type", "string"],
    5: ["externalIPs", "string", "repeated"],
    7: ["sessionAffinity", "string"],
    10: ["externalName", "string"]
  }),
  Deployment: object({
    1: ["replicas", "count"],
    2: ["selector", selector],
    3: ["template", template],
    5: ["minReadySeconds", "integer"],
    6: ["revisionHistoryLimit", "count"],
    7: ["paused", "boolean"],
    9: ["progressDeadlineSeconds", "count"]
  }),
  Job: object(jobSpec),
  CronJob: object({
    1: ["schedule", "string"],
    2: ["startingDeadlineSeconds", "count"],
    3: ["concurrencyPolicy", "string"],
    4: ["suspend", "flag"],
    5: ["jobTemplate", { 1: ["metadata", metadata], 2: ["spec", jobSpec] }],
    6: ["successfulJobsHistoryLimit", "count"],
    7: ["failedJobsHistoryLimit", "count"],
    8: ["timeZone", "string"]
  }),
  Role: { 1: ["metadata", metadata], 2: ["rules", rules, "repeated"] },
  ClusterRole: {
    1: ["metadata", metadata],
    2: ["rules", rules, "repeated"],
    3: ["aggregationRule", { 1: ["clusterRoleSelectors", selector, "repeated"] }]
  },
  RoleBinding: binding,
  ClusterRoleBinding: binding,
  PodDisruptionBudget: object({
    1: ["minAvailable", "intOrString"],
    2: ["selector", selector],
    3: ["maxUnavailable", "intOrString"]
  }),
  PriorityClass: {
    1: ["metadata", metadata],
    2: ["value", "count"],
    3: ["globalDefault", "boolean"],
    4: ["description", "string"],
    5: ["preemptionPolicy", "string"]
  },
  ResourceQuota: object({ 1: ["hard", { map: "quantity" }], 2: ["scopes", "string", "repeated"] })
}
