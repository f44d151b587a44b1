/** Turning request bodies into objects, whatever of the accepted encodings they come in. */
import { Effect, Result } from "effect"
import { Yaml } from "effect/encoding"
import { type ApiFailure, badRequest, unsupportedMediaType } from "../object/ApiFailure.ts"
import { isObject, type Json, type JsonObject } from "../object/json.ts"
import { decodeProtobuf } from "../protobuf/messages.ts"
import type { ApiRequest } from "./ApiRequest.ts"

/** etcd's and the API server's own limit. */
export const bodyLimit = 3 * 1024 * 1024

const text = new TextDecoder()

export const mediaType = ({ headers }: ApiRequest): string =>
  (headers["content-type"] ?? "application/json").split(";")[0]?.trim().toLowerCase() ?? ""

export const parseJson = (source: string): Result.Result<Json, ApiFailure> =>
  Result.try({
    try: (): Json => JSON.parse(source),
    catch: (error) =>
      badRequest(
        `couldn't get version/kind; json parse error: ${error instanceof Error ? error.message : String(error)}`
      )
  })

/** JSON is YAML, but JSON.parse is much faster. */
const parseYaml = Effect.fnUntraced(function*(source: string): Effect.fn.Return<Json, ApiFailure> {
  const json = parseJson(source)
  if (Result.isSuccess(json)) return json.success
  const parsed = yield* Effect.try({
    try: () => Yaml.parse(source) as Json,
    catch: () => badRequest("error converting YAML to JSON")
  })
  return parsed
})

const asObject = (value: Json): Effect.Effect<JsonObject, ApiFailure> =>
  isObject(value) ? Effect.succeed(value) : Effect.fail(badRequest("the request body must be an object"))

export const decodeBody = Effect.fnUntraced(function*(request: ApiRequest): Effect.fn.Return<JsonObject, ApiFailure> {
  const type = mediaType(request)
  switch (type) {
    case "application/json":
      return yield* Effect.flatMap(Effect.fromResult(parseJson(text.decode(request.body))), asObject)
    case "application/yaml":
    case "application/apply-patch+yaml":
      return yield* Effect.flatMap(parseYaml(text.decode(request.body)), asObject)
    case "application/vnd.kubernetes.protobuf":
      return yield* Effect.fromResult(decodeProtobuf(request.body))
    default:
      return yield* unsupportedMediaType(
        `the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf`
      )
  }
})

/** DELETE may come without a body; options may stand in the query instead. */
export const decodeDeleteOptions = Effect.fnUntraced(
  function*(request: ApiRequest): Effect.fn.Return<JsonObject, ApiFailure> {
    const body = request.body.length === 0 ? {} : yield* decodeBody(request)
    const options: Record<string, Json> = { ...body }
    const grace = request.query.get("gracePeriodSeconds")
    const policy = request.query.get("propagationPolicy")
    if (grace !== null && /^-?\d+$/.test(grace)) options["gracePeriodSeconds"] = Number(grace)
    if (policy !== null) options["propagationPolicy"] = policy
    return options
  }
)

export const decodePatch = (request: ApiRequest): Effect.Effect<Json, ApiFailure> =>
  mediaType(request) === "application/apply-patch+yaml"
    ? parseYaml(text.decode(request.body))
    : Effect.fromResult(parseJson(text.decode(request.body)))
