/** What the control plane knows about one resource: its names, where it is kept, and how it is admitted and shown. */
import type { Result } from "effect"
import type { ApiFailure, FieldError } from "../object/ApiFailure.ts"
import type { Json, JsonObject } from "../object/json.ts"
import type { KubeObject } from "../object/KubeObject.ts"
import type { Moment } from "../object/Moment.ts"
import type { FieldReader } from "../store/fieldSelector.ts"
import type { Store } from "../store/Store.ts"

export interface Column {
  readonly name: string
  readonly type: "string" | "integer" | "number" | "boolean" | "date"
  readonly format?: string
  readonly description?: string
  /** Columns above 0 show with `-o wide` only. */
  readonly priority?: number
  readonly cell: (object: KubeObject, now: number) => Json
}

export interface Subresource {
  readonly name: string
  readonly kind: string
  readonly group?: string
  readonly version?: string
  readonly verbs: ReadonlyArray<string>
}

export interface AdmissionContext {
  readonly store: Store
  readonly moment: Moment
  /** Who asks. */
  readonly user: { readonly username: string; readonly groups: ReadonlyArray<string>; readonly uid?: string }
}

export interface ResourceType {
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly plural: string
  readonly singular: string
  readonly shortNames: ReadonlyArray<string>
  readonly categories: ReadonlyArray<string>
  readonly namespaced: boolean
  /** Name of the store's collection; versions and groups of one resource share it. */
  readonly collection: string
  readonly verbs: ReadonlyArray<string>
  readonly subresources: ReadonlyArray<Subresource>
  /** Whether `/status` is the only way to change status. */
  readonly hasStatus: boolean
  /** Nodes are born with the status their kubelet reports. */
  readonly keepsStatusOnCreate?: boolean
  /** Whether metadata.generation counts changes of what the user wants. */
  readonly hasGeneration: boolean
  /** Selectable by field selectors, besides metadata.name and metadata.namespace. */
  readonly fields: Readonly<Record<string, FieldReader>>
  readonly indexes: ReadonlyArray<string>
  readonly columns: ReadonlyArray<Column> | undefined
  /** Defaulting and admission of a new or changed object. */
  readonly prepare?: (
    object: KubeObject,
    old: KubeObject | undefined,
    context: AdmissionContext
  ) => Result.Result<KubeObject, ApiFailure>
  readonly validate?: (object: KubeObject, old: KubeObject | undefined) => ReadonlyArray<FieldError>
  /** Between this version and what the collection keeps. */
  readonly conversion?: {
    readonly toStored: (object: KubeObject) => KubeObject
    readonly fromStored: (object: KubeObject) => KubeObject
  }
  /** Writes in the server's own way what can be written in several. */
  readonly canonical?: (object: KubeObject) => KubeObject
  /** The OpenAPI schema of custom resources. */
  readonly schema?: JsonObject
  /** What `/scale` reads and writes. */
  readonly scale?: {
    readonly specReplicas: ReadonlyArray<string>
    readonly statusReplicas: ReadonlyArray<string>
    readonly selector: (object: KubeObject) => string
  }
}

export const apiVersionOf = ({ group, version }: { readonly group: string; readonly version: string }): string =>
  group === "" ? version : `${group}/${version}`

export const allVerbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
