/** Reads what an API server says when it refuses: a Status object, or whatever a proxy before it wrote. */
import { KubeApiError } from "../../../core/kube/KubeApi.ts"

/** A page of HTML from some proxy helps nobody beyond its first lines. */
const LONGEST_DETAIL = 2048

interface Status {
  readonly message: string | undefined
  readonly reason: string | undefined
  readonly code: number | undefined
  readonly retryAfterSeconds: number | undefined
}

const text = (value: unknown) => (typeof value === "string" && value !== "" ? value : undefined)
const number = (value: unknown) => (typeof value === "number" && Number.isFinite(value) ? value : undefined)
const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null ? value as Readonly<Record<string, unknown>> : {}

const readStatus = (value: unknown): Status => {
  const status = record(value)
  return {
    message: text(status["message"]),
    reason: text(status["reason"]),
    code: number(status["code"]),
    retryAfterSeconds: number(record(status["details"])["retryAfterSeconds"])
  }
}

const parse = (body: string): unknown => {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

const reasonOf = (code: number, reason: string | undefined): KubeApiError["reason"] => {
  switch (code) {
    case 401:
      return "Unauthorized"
    case 403:
      return "Forbidden"
    case 404:
      return "NotFound"
    case 409:
      return reason === "AlreadyExists" ? "AlreadyExists" : "Conflict"
    case 410:
      return "Expired"
    case 422:
      return "Invalid"
    case 408:
    case 429:
      return "Unavailable"
    default:
      return code >= 500 || code < 300 ? "Unavailable" : "BadRequest"
  }
}

/**
 * The error for an answer that was not success. `retryAfterHeader` is the header's text: seconds, or a date, which is
 * taken relative to the answer's own `Date` header so that nobody's clock matters.
 */
export const errorOfAnswer = (answer: {
  readonly status: number
  readonly body: string
  readonly retryAfter?: string | undefined
  readonly date?: string | undefined
}): KubeApiError => {
  const status = readStatus(parse(answer.body))
  const plain = answer.body.trim()
  const detail = status.message ?? status.reason ?? (plain === "" ? "the answer has no body" : plain)
  const retryAfter = waitOf(answer.retryAfter, answer.date) ??
    (status.retryAfterSeconds === undefined ? undefined : status.retryAfterSeconds * 1000)
  return new KubeApiError({
    reason: reasonOf(answer.status, status.reason),
    status: answer.status,
    detail: detail.slice(0, LONGEST_DETAIL),
    ...(retryAfter === undefined || retryAfter < 0 ? {} : { retryAfter })
  })
}

/** The error for the Status object of an ERROR event, which comes in a watch after a 200. */
export const errorOfEvent = (object: unknown): KubeApiError => {
  const status = readStatus(object)
  const code = status.code ?? 500
  return new KubeApiError({
    reason: status.reason === "Expired" || status.reason === "Gone" ? "Expired" : reasonOf(code, status.reason),
    status: code,
    detail: (status.message ?? status.reason ?? "the watch ended with an error that says nothing").slice(
      0,
      LONGEST_DETAIL
    ),
    ...(status.retryAfterSeconds === undefined ? {} : { retryAfter: status.retryAfterSeconds * 1000 })
  })
}

const waitOf = (header: string | undefined, date: string | undefined): number | undefined => {
  if (header === undefined) return undefined
  const seconds = Number(header)
  if (header.trim() !== "" && Number.isFinite(seconds)) return seconds * 1000
  const until = Date.parse(header)
  const now = Date.parse(date ?? "")
  return Number.isNaN(until) || Number.isNaN(now) ? undefined : Math.max(0, until - now)
}
