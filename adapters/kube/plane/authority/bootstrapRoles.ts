/** The roles and bindings every cluster starts with, as far as kubectl, aranya and its kubelet endpoint need them. */
import type { JsonObject } from "../object/json.ts"

const rule = (apiGroups: string, resources: string, verbs: string): JsonObject => ({
  apiGroups: apiGroups.split(",").map((group) => group === "core" ? "" : group),
  resources: resources.split(","),
  verbs: verbs.split(",")
})

const paths = (urls: string): JsonObject => ({ nonResourceURLs: urls.split(","), verbs: ["get"] })

const role = (name: string, rules: ReadonlyArray<JsonObject>, labels: JsonObject = {}): JsonObject => ({
  metadata: { name, labels: { "kubernetes.io/bootstrapping": "rbac-defaults", ...labels } },
  rules
})

const aggregate = (into: string): JsonObject => ({ [`rbac.authorization.k8s.io/aggregate-to-${into}`]: "true" })
const aggregated = (name: string, into: string): JsonObject => ({
  ...role(name, []),
  aggregationRule: { clusterRoleSelectors: [{ matchLabels: aggregate(into) }] }
})

const readable =
  "configmaps,endpoints,persistentvolumeclaims,pods,pods/log,pods/status,replicationcontrollers,serviceaccounts,services,services/status,events,limitranges,namespaces,resourcequotas"
const workloads =
  "deployments,deployments/scale,replicasets,replicasets/scale,statefulsets,statefulsets/scale,daemonsets"
const writes = "create,delete,deletecollection,patch,update"

export const clusterRoles: ReadonlyArray<JsonObject> = [
  role("cluster-admin", [rule("*", "*", "*"), { nonResourceURLs: ["*"], verbs: ["*"] }]),
  aggregated("admin", "admin"),
  aggregated("edit", "edit"),
  aggregated("view", "view"),
  role("system:aggregate-to-view", [
    rule("core", readable, "get,list,watch"),
    rule("apps", workloads, "get,list,watch"),
    rule("batch", "jobs,cronjobs", "get,list,watch"),
    rule("discovery.k8s.io", "endpointslices", "get,list,watch"),
    rule("policy", "poddisruptionbudgets", "get,list,watch"),
    rule("networking.k8s.io", "ingresses,networkpolicies", "get,list,watch")
  ], { ...aggregate("view"), ...aggregate("edit"), ...aggregate("admin") }),
  role("system:aggregate-to-edit", [
    rule("core", "pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy", "get,list,watch"),
    rule(
      "core",
      "pods,pods/attach,pods/exec,pods/portforward,pods/proxy,pods/ephemeralcontainers,configmaps,endpoints,persistentvolumeclaims,secrets,serviceaccounts,services",
      writes
    ),
    rule("core", "pods/eviction,serviceaccounts/token", "create"),
    rule("apps", workloads, writes),
    rule("batch", "jobs,cronjobs", writes),
    rule("policy", "poddisruptionbudgets", writes),
    rule("networking.k8s.io", "ingresses,networkpolicies", writes)
  ], { ...aggregate("edit"), ...aggregate("admin") }),
  role("system:aggregate-to-admin", [
    rule("rbac.authorization.k8s.io", "roles,rolebindings", `get,list,watch,${writes}`),
    rule("authorization.k8s.io", "localsubjectaccessreviews", "create")
  ], aggregate("admin")),
  role("system:basic-user", [
    rule("authorization.k8s.io", "selfsubjectaccessreviews,selfsubjectrulesreviews", "create"),
    rule("authentication.k8s.io", "selfsubjectreviews", "create")
  ]),
  role("system:discovery", [
    paths("/api,/api/*,/apis,/apis/*,/healthz,/livez,/openapi,/openapi/*,/readyz,/version,/version/")
  ]),
  role("system:public-info-viewer", [paths("/healthz,/livez,/readyz,/version,/version/")]),
  role("system:auth-delegator", [
    rule("authentication.k8s.io", "tokenreviews", "create"),
    rule("authorization.k8s.io", "subjectaccessreviews", "create")
  ]),
  role("system:kubelet-api-admin", [
    rule("core", "nodes", "get,list,watch"),
    rule("core", "nodes", "proxy"),
    rule("core", "nodes/log,nodes/metrics,nodes/proxy,nodes/stats,nodes/pods,nodes/healthz,nodes/configz", "*")
  ]),
  role("system:node", [
    rule("authentication.k8s.io", "tokenreviews", "create"),
    rule("authorization.k8s.io", "localsubjectaccessreviews,subjectaccessreviews", "create"),
    rule("core", "services", "get,list,watch"),
    rule("core", "nodes", "create,get,list,watch,patch,update"),
    rule("core", "nodes/status", "patch,update"),
    rule("core,events.k8s.io", "events", "create,patch,update"),
    rule("core", "pods", "get,list,watch,create,delete"),
    rule("core", "pods/status", "patch,update"),
    rule("core", "pods/eviction", "create"),
    rule("core", "configmaps,secrets", "get,list,watch"),
    rule("core", "persistentvolumeclaims,persistentvolumes,serviceaccounts", "get"),
    rule("core", "serviceaccounts/token", "create"),
    rule("certificates.k8s.io", "certificatesigningrequests", "create,get,list,watch"),
    rule("coordination.k8s.io", "leases", "create,delete,get,patch,update"),
    rule("node.k8s.io", "runtimeclasses", "get,list,watch"),
    rule("storage.k8s.io", "csidrivers", "get,list,watch"),
    rule("storage.k8s.io", "csinodes", "create,delete,get,patch,update"),
    rule("storage.k8s.io", "volumeattachments", "get")
  ]),
  role("system:certificates.k8s.io:certificatesigningrequests:nodeclient", [
    rule("certificates.k8s.io", "certificatesigningrequests/nodeclient", "create")
  ]),
  role("system:certificates.k8s.io:certificatesigningrequests:selfnodeclient", [
    rule("certificates.k8s.io", "certificatesigningrequests/selfnodeclient", "create")
  ]),
  ...["kube-apiserver-client", "kube-apiserver-client-kubelet", "kubelet-serving"].map((signer) =>
    role(`system:certificates.k8s.io:${signer}-approver`, [{
      apiGroups: ["certificates.k8s.io"],
      resources: ["signers"],
      resourceNames: [`kubernetes.io/${signer}`],
      verbs: ["approve"]
    }])
  )
]

const binding = (name: string, roleName: string, ...groups: ReadonlyArray<string>): JsonObject => ({
  metadata: { name, labels: { "kubernetes.io/bootstrapping": "rbac-defaults" } },
  roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: roleName },
  subjects: groups.map((group) => ({ apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: group }))
})

export const clusterRoleBindings: ReadonlyArray<JsonObject> = [
  binding("cluster-admin", "cluster-admin", "system:masters"),
  binding("system:basic-user", "system:basic-user", "system:authenticated"),
  binding("system:discovery", "system:discovery", "system:authenticated"),
  binding("system:public-info-viewer", "system:public-info-viewer", "system:authenticated", "system:unauthenticated"),
  // Stands in for the Node authorizer, which would narrow this to each node's own objects.
  binding("system:node", "system:node", "system:nodes")
]

/** How extension servers, kubelet endpoints among them, learn the client CA. */
export const authenticationReader: JsonObject = {
  metadata: { name: "extension-apiserver-authentication-reader", namespace: "kube-system" },
  rules: [{
    apiGroups: [""],
    resources: ["configmaps"],
    resourceNames: ["extension-apiserver-authentication"],
    verbs: ["get", "list", "watch"]
  }]
}
