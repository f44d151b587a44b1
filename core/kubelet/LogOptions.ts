/** The query of a log request: read as the API server writes it, and checked as the API checks PodLogOptions. */
import { Result, Schema } from "effect"
import type { PodLogQuery } from "../pod/PodRuntime.ts"
import type { Query } from "./KubeletRequest.ts"

/** `Undecodable`: a value is no number or no time (400). `Invalid`: the values cannot be asked for, or not together (422). */
export class LogOptionsRefused extends Schema.TaggedError<LogOptionsRefused>()("LogOptionsRefused", {
  reason: Schema.Literals(["Undecodable", "Invalid"]),
  detail: Schema.String
}) {
  override get message() {
    return this.detail
  }
}

/** Go's reading of a query: everything but these means true, an empty value too. */
const isTrue = (value: string | undefined) => value !== undefined && value !== "0" && value.toLowerCase() !== "false"

const undecodable = (name: string, value: string) =>
  Result.fail(
    new LogOptionsRefused({ reason: "Undecodable", detail: `unable to decode query: ${name}=${value.slice(0, 64)}` })
  )
const invalid = (detail: string) =>
  Result.fail(new LogOptionsRefused({ reason: "Invalid", detail: `invalid log options: ${detail}` }))

/** RFC 3339, which is narrower than what Date.parse takes. */
const RFC3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/

export const parseLogOptions = (container: string, query: Query): Result.Result<PodLogQuery, LogOptionsRefused> => {
  const values = new Map<string, string>()
  // The first of a repeated name counts.
  for (const [name, value] of query) if (!values.has(name)) values.set(name, value)

  const tail = values.get("tail")
  if (tail === "all") values.delete("tailLines")
  else if (tail !== undefined && tail !== "") values.set("tailLines", tail)

  const numbers = new Map<string, number>()
  for (const name of ["tailLines", "limitBytes", "sinceSeconds"]) {
    const value = values.get(name)
    if (value === undefined || value === "") continue
    const number = Number(value)
    if (!/^[+-]?\d+$/.test(value) || !Number.isSafeInteger(number)) return undecodable(name, value)
    numbers.set(name, number)
  }
  const sinceText = values.get("sinceTime")
  let sinceTime: number | undefined
  if (sinceText !== undefined && sinceText !== "") {
    sinceTime = RFC3339.test(sinceText) ? Date.parse(sinceText) : Number.NaN
    if (Number.isNaN(sinceTime)) return undecodable("sinceTime", sinceText)
  }

  const tailLines = numbers.get("tailLines")
  const limitBytes = numbers.get("limitBytes")
  const sinceSeconds = numbers.get("sinceSeconds")
  const stream = values.get("stream")
  if (tailLines !== undefined && tailLines < 0) return invalid("tailLines must be greater than or equal to 0")
  if (limitBytes !== undefined && limitBytes < 1) return invalid("limitBytes must be greater than 0")
  if (sinceSeconds !== undefined && sinceTime !== undefined) {
    return invalid("at most one of `sinceTime` or `sinceSeconds` may be specified")
  }
  if (sinceSeconds !== undefined && sinceSeconds < 1) return invalid("sinceSeconds must be greater than 0")
  if (stream !== undefined && stream !== "All") {
    if (stream !== "Stdout" && stream !== "Stderr") return invalid("stream must be one of All, Stdout, Stderr")
    return tailLines === undefined
      ? invalid("this version cannot separate streams: only stream=All is supported")
      : invalid("`tailLines` and specific `stream` are mutually exclusive for now")
  }
  return Result.succeed({
    container,
    follow: isTrue(values.get("follow")),
    previous: isTrue(values.get("previous")),
    timestamps: isTrue(values.get("timestamps")),
    ...(sinceSeconds === undefined ? {} : { sinceSeconds }),
    ...(sinceTime === undefined ? {} : { sinceTime }),
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(limitBytes === undefined ? {} : { limitBytes })
  })
}
