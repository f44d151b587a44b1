/** What an API server answers when it does not do what was asked: a `Status` with code, reason and details. */
import { Data } from "effect"
import { type JsonObject, maybe } from "./json.ts"

export class ApiFailure extends Data.TaggedError("ApiFailure")<{
  readonly code: number
  readonly reason: string
  readonly text: string
  readonly details?: JsonObject
  readonly retryAfterSeconds?: number
}> {
  override get message() {
    return this.text
  }

  get status(): JsonObject {
    return {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: this.text,
      reason: this.reason,
      ...maybe("details", this.details),
      code: this.code
    }
  }
}

/** The part of a resource type that messages need. */
export interface Named {
  readonly group: string
  readonly plural: string
  readonly kind: string
}

export interface FieldError {
  readonly type: "Required" | "Invalid" | "NotSupported" | "Duplicate" | "Forbidden" | "NotFound" | "TooLong"
  readonly field: string
  readonly detail: string
  readonly value?: string
}

const qualified = ({ group, plural }: Named) => group === "" ? plural : `${plural}.${group}`
const details = (type: Named, name: string): JsonObject => ({
  ...(name === "" ? {} : { name }),
  ...(type.group === "" ? {} : { group: type.group }),
  kind: type.plural
})

export const notFound = (type: Named, name: string) =>
  new ApiFailure({
    code: 404,
    reason: "NotFound",
    text: `${qualified(type)} "${name}" not found`,
    details: details(type, name)
  })

/** The answer for a path that no resource type serves. */
export const unknownPath = () =>
  new ApiFailure({
    code: 404,
    reason: "NotFound",
    text: "the server could not find the requested resource",
    details: {}
  })

export const alreadyExists = (type: Named, name: string) =>
  new ApiFailure({
    code: 409,
    reason: "AlreadyExists",
    text: `${qualified(type)} "${name}" already exists`,
    details: details(type, name)
  })

export const conflict = (type: Named, name: string, why: string) =>
  new ApiFailure({
    code: 409,
    reason: "Conflict",
    text: `Operation cannot be fulfilled on ${qualified(type)} "${name}": ${why}`,
    details: details(type, name)
  })

export const modified = (type: Named, name: string) =>
  conflict(type, name, "the object has been modified; please apply your changes to the latest version and try again")

export const badRequest = (text: string) => new ApiFailure({ code: 400, reason: "BadRequest", text })

export const unauthorized = () => new ApiFailure({ code: 401, reason: "Unauthorized", text: "Unauthorized" })

export const forbidden = (type: Named, name: string, why: string) =>
  new ApiFailure({
    code: 403,
    reason: "Forbidden",
    text: name === "" ? `${qualified(type)} is forbidden: ${why}` : `${qualified(type)} "${name}" is forbidden: ${why}`,
    details: details(type, name)
  })

export const forbiddenText = (text: string) => new ApiFailure({ code: 403, reason: "Forbidden", text, details: {} })

export const methodNotAllowed = () =>
  new ApiFailure({
    code: 405,
    reason: "MethodNotAllowed",
    text: "the server does not allow this method on the requested resource",
    details: {}
  })

export const unsupportedMediaType = (text: string) =>
  new ApiFailure({ code: 415, reason: "UnsupportedMediaType", text })

export const tooLarge = (text: string) => new ApiFailure({ code: 413, reason: "RequestEntityTooLarge", text })

export const expired = (text: string) => new ApiFailure({ code: 410, reason: "Expired", text })

export const tooManyRequests = (text: string, retryAfterSeconds: number, cause?: JsonObject) =>
  new ApiFailure({
    code: 429,
    reason: "TooManyRequests",
    text,
    retryAfterSeconds,
    details: { retryAfterSeconds, ...maybe("causes", cause === undefined ? undefined : [cause]) }
  })

export const internalError = (text: string) =>
  new ApiFailure({
    code: 500,
    reason: "InternalError",
    text: `Internal error occurred: ${text}`,
    details: { causes: [{ message: text }] }
  })

export const unavailable = (text: string) => new ApiFailure({ code: 503, reason: "ServiceUnavailable", text })

const causeReason: Record<FieldError["type"], string> = {
  Required: "FieldValueRequired",
  Invalid: "FieldValueInvalid",
  NotSupported: "FieldValueNotSupported",
  Duplicate: "FieldValueDuplicate",
  Forbidden: "FieldValueForbidden",
  NotFound: "FieldValueNotFound",
  TooLong: "FieldValueTooLong"
}

const causeTitle: Record<FieldError["type"], string> = {
  Required: "Required value",
  Invalid: "Invalid value",
  NotSupported: "Unsupported value",
  Duplicate: "Duplicate value",
  Forbidden: "Forbidden",
  NotFound: "Not found",
  TooLong: "Too long"
}

const causeText = ({ type, value, detail }: FieldError) =>
  `${causeTitle[type]}${
    value === undefined || type === "Required" || type === "Forbidden" ? "" : `: ${JSON.stringify(value)}`
  }${detail === "" ? "" : `: ${detail}`}`

/** 422 with one cause per field. */
export const invalid = (type: Named, name: string, errors: ReadonlyArray<FieldError>) => {
  const lines = errors.map((error) => `${error.field}: ${causeText(error)}`)
  const text = lines.length === 1 ? lines[0] : `[${lines.join(", ")}]`
  return new ApiFailure({
    code: 422,
    reason: "Invalid",
    text: `${type.group === "" ? type.kind : `${type.kind}.${type.group}`} "${name}" is invalid: ${text}`,
    details: {
      ...(name === "" ? {} : { name }),
      ...(type.group === "" ? {} : { group: type.group }),
      kind: type.kind,
      causes: errors.map((error) => ({
        reason: causeReason[error.type],
        message: causeText(error),
        field: error.field
      }))
    }
  })
}
