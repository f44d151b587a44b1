/** Responses of the API: objects, lists, tables, statuses. */
import type { ApiFailure } from "../object/ApiFailure.ts"
import type { JsonObject } from "../object/json.ts"
import { shownAs } from "../registry/Registry.ts"
import type { ResourceType } from "../registry/ResourceType.ts"
import type { Revision } from "../store/Revision.ts"
import type { ApiRequest, ApiResponse } from "./ApiRequest.ts"

export const jsonText = (
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {}
): ApiResponse => ({
  status,
  headers: { "content-type": "application/json", "cache-control": "no-cache, private", ...headers },
  body
})

export const json = (status: number, body: JsonObject, headers?: Readonly<Record<string, string>>): ApiResponse =>
  jsonText(status, JSON.stringify(body), headers)

export const plain = (status: number, body: string): ApiResponse => ({
  status,
  headers: { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" },
  body
})

/** Warnings travel as RFC 7234 headers, which kubectl prints. */
export const warning = (texts: ReadonlyArray<string>): Readonly<Record<string, string>> =>
  texts.length === 0 ? {} : { warning: texts.map((text) => `299 - ${JSON.stringify(text)}`).join(", ") }

export const revisionJson = (type: ResourceType, revision: Revision): string =>
  type.conversion === undefined ? revision.json : JSON.stringify(shownAs(type, revision.object))

export const failure = (error: ApiFailure): ApiResponse =>
  json(
    error.code,
    error.status,
    error.retryAfterSeconds === undefined ? {} : { "retry-after": String(error.retryAfterSeconds) }
  )

export type Shape = "object" | "table" | "metadata"

/** What the client asks for first among the forms we can answer in. */
export const shapeOf = ({ headers }: ApiRequest): Shape => {
  for (const option of (headers["accept"] ?? "").split(",")) {
    const parameters = option.split(";").map((part) => part.trim())
    if (parameters[0] !== "application/json") continue
    if (parameters.includes("as=Table")) return "table"
    if (parameters.some((part) => part.startsWith("as=PartialObjectMetadata"))) return "metadata"
    return "object"
  }
  return "object"
}
