/** Names one kind of Kubernetes object to the API: where it lives, and how its JSON is read. */
import type { Schema } from "effect"
import type { KubeObject } from "./ObjectMeta.ts"

export interface KubeResource<A extends KubeObject> {
  /** Empty for the core group. */
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly plural: string
  readonly namespaced: boolean
  /** Excess properties are preserved, so that what we do not know survives a read. */
  readonly schema: Schema.Codec<A, unknown>
}

/** `/api/v1/namespaces/x/pods/y/status` and its kin. */
export const resourcePath = (
  resource: Pick<KubeResource<KubeObject>, "group" | "version" | "plural" | "namespaced">,
  at: {
    readonly namespace?: string | undefined
    readonly name?: string | undefined
    readonly subresource?: string | undefined
  }
): string => {
  const root = resource.group === "" ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`
  const parts = [root]
  if (resource.namespaced && at.namespace !== undefined) parts.push("namespaces", encodeURIComponent(at.namespace))
  parts.push(resource.plural)
  if (at.name !== undefined) parts.push(encodeURIComponent(at.name))
  if (at.subresource !== undefined) parts.push(at.subresource)
  return parts.join("/")
}
