/** Kinds that the product itself has no word for: read and written as the API has them. */
import { Schema } from "effect"
import type { KubeResource } from "../../core/kube/KubeResource.ts"
import type { KubeObject } from "../../core/kube/ObjectMeta.ts"

export type AnyObject = KubeObject & { readonly [field: string]: unknown }

const any = Schema.Any as unknown as KubeResource<AnyObject>["schema"]

export const PodTemplates: KubeResource<AnyObject> = {
  group: "",
  version: "v1",
  kind: "PodTemplate",
  plural: "podtemplates",
  namespaced: true,
  schema: any
}

export const RuntimeClasses: KubeResource<AnyObject> = {
  group: "node.k8s.io",
  version: "v1",
  kind: "RuntimeClass",
  plural: "runtimeclasses",
  namespaced: false,
  schema: any
}
