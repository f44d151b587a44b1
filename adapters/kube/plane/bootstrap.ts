/** What a cluster contains from its first second: namespaces, roles, the API server's own Service. */
import { Result } from "effect"
import { apiServerAddress } from "./admission/services.ts"
import { authenticationReader, clusterRoleBindings, clusterRoles } from "./authority/bootstrapRoles.ts"
import { ensureAccounts } from "./controller/namespaceAccounts.ts"
import type { ControlPlaneOptions } from "./ControlPlane.ts"
import { type JsonObject, stringAt } from "./object/json.ts"
import type { Moment } from "./object/Moment.ts"
import { createObject } from "./request/createObject.ts"
import { controllerUser, type World } from "./request/World.ts"

export const firstNamespaces = ["default", "kube-system", "kube-public", "kube-node-lease"]

export const bootstrap = (world: World, moment: Moment, options: ControlPlaneOptions): void => {
  const asking = { user: controllerUser, moment, dryRun: false }
  const make = (collection: string, namespace: string, body: JsonObject): void => {
    const type = world.registry.ofCollection(collection)
    if (type === undefined) throw new Error(`no resource type for ${collection}`)
    const made = createObject(world, type, namespace, body, asking)
    // What is made here is ours alone; a refusal is a bug in this file.
    if (Result.isFailure(made)) throw made.failure
  }
  const rbac = "rbac.authorization.k8s.io"
  for (const name of firstNamespaces) {
    make("namespaces", "", { metadata: { name } })
    ensureAccounts(world, name, options.rootCa ?? "", moment)
  }
  for (const role of clusterRoles) make(`clusterroles.${rbac}`, "", role)
  for (const binding of clusterRoleBindings) make(`clusterrolebindings.${rbac}`, "", binding)
  make(`roles.${rbac}`, stringAt(authenticationReader, "metadata", "namespace") ?? "", authenticationReader)
  make("configmaps", "kube-system", {
    metadata: { name: "extension-apiserver-authentication" },
    data: { "client-ca-file": options.clientCa ?? options.rootCa ?? "" }
  })
  make("services", "default", {
    metadata: { name: "kubernetes", labels: { component: "apiserver", provider: "kubernetes" } },
    spec: { clusterIP: apiServerAddress, ports: [{ name: "https", port: 443, protocol: "TCP", targetPort: 6443 }] }
  })
  for (
    const [name, value] of [["system-node-critical", 2000001000], ["system-cluster-critical", 2000000000]] as const
  ) {
    make("priorityclasses.scheduling.k8s.io", "", {
      metadata: { name },
      value,
      preemptionPolicy: "PreemptLowerPriority"
    })
  }
}
