/** Images: what is there, and pulls that can be cancelled, are bounded, and fail with a cause one can act on. */
import { Duration, Effect, Schema, Stream } from "effect"
import { type ImageInfo, RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import type { RegistryCredential } from "../../core/pod/PodAssignment.ts"
import { ImageAnswer } from "./answers.ts"
import { type DockerClient, unavailable } from "./DockerClient.ts"
import type { DockerOptions } from "./DockerOptions.ts"

const MOST_LINE = 1024 * 1024

const Progress = Schema.fromJsonString(Schema.Struct({
  error: Schema.optionalKey(Schema.String),
  errorDetail: Schema.optionalKey(Schema.Struct({ message: Schema.optionalKey(Schema.String) }))
}))

/** Without a tag docker would pull all of them. */
export const withTag = (reference: string): string =>
  reference.includes("@") || reference.slice(reference.lastIndexOf("/") + 1).includes(":")
    ? reference
    : `${reference}:latest`

/** Docker passes on the registry's words; there are no codes. */
export const pullError = (reference: string, words: string): RuntimeError => {
  const said = words === "" ? `docker could not pull ${reference}` : words
  if (/invalid reference format|must be lowercase|invalid repository name/i.test(words)) {
    return new RuntimeError({ reason: "InvalidImageName", detail: said })
  }
  if (/unauthorized|denied|authentication required|no basic auth|incorrect username|\b40[13]\b/i.test(words)) {
    return new RuntimeError({ reason: "ImageDenied", detail: said })
  }
  return new RuntimeError({ reason: "ImageUnavailable", detail: said })
}

/** Safe in URLs and padded, which node's `base64url` is not: docker takes what it cannot decode for no credentials at all. */
const inBase64 = (text: string): string =>
  Buffer.from(text).toString("base64").replaceAll("+", "-").replaceAll("/", "_")

const authHeader = (credential: RegistryCredential): Record<string, string> => ({
  "x-registry-auth": inBase64(JSON.stringify(
    credential.identityToken === undefined || credential.identityToken === ""
      ? { username: credential.username, password: credential.password, serveraddress: credential.registry }
      : { identitytoken: credential.identityToken, serveraddress: credential.registry }
  ))
})

/** A reference as a part of a path: slashes separate, everything else is data. */
const inPath = (reference: string): string => reference.split("/").map(encodeURIComponent).join("/")

export const makeImages = (client: DockerClient, options: DockerOptions) => {
  const image = Effect.fnUntraced(function*(reference: string) {
    const found = yield* client.get({ method: "GET", path: `/images/${inPath(reference)}/json` }, ImageAnswer).pipe(
      Effect.mapError((error) =>
        error.reason === "Invalid" ? new RuntimeError({ reason: "InvalidImageName", detail: error.detail }) : error
      )
    )
    const user = found.Config?.User ?? ""
    const info: ImageInfo = { id: found.Id, sizeBytes: found.Size, ...(user === "" ? {} : { user }) }
    return info
  })

  const pullOnce = Effect.fnUntraced(function*(reference: string, credential: RegistryCredential | undefined) {
    const call = {
      method: "POST" as const,
      path: "/images/create",
      query: { fromImage: withTag(reference) },
      // The head comes with the first progress, after the registry has answered.
      timeout: options.pullIdleTimeout,
      headers: credential === undefined ? {} : authHeader(credential)
    }
    const response = yield* client.open(call)
    if (response.status >= 400) {
      const { detail, reason } = yield* client.refusal(response)
      return yield* reason === "Unavailable" && response.status !== 500
        ? unavailable(detail)
        : pullError(reference, detail)
    }
    const idle = Duration.format(options.pullIdleTimeout)
    let length = 0
    yield* response.stream.pipe(
      Stream.mapError(() => unavailable(`docker broke off while it pulled ${reference}`)),
      Stream.timeoutOrElse({
        duration: options.pullIdleTimeout,
        orElse: () =>
          Stream.fail(
            new RuntimeError({ reason: "ImageUnavailable", detail: `no progress in pulling ${reference} for ${idle}` })
          )
      }),
      Stream.tap((bytes) => {
        const newline = bytes.lastIndexOf(10)
        length = newline < 0 ? length + bytes.length : bytes.length - newline
        return length > MOST_LINE
          ? Effect.fail(unavailable("docker sent a line of progress that never ends"))
          : Effect.void
      }),
      Stream.decodeText,
      Stream.splitLines,
      Stream.filter((line) => line.trim() !== ""),
      Stream.mapEffect((line) =>
        Effect.mapError(
          Schema.decodeUnknownEffect(Progress)(line),
          () => unavailable("docker's report on a pull is not understood")
        )
      ),
      Stream.runForEach(({ error, errorDetail }) => {
        const words = errorDetail?.message ?? error
        return words === undefined ? Effect.void : Effect.fail(pullError(reference, words))
      })
    )
  }, Effect.scoped)

  const pull = Effect.fnUntraced(function*(reference: string, credentials: ReadonlyArray<RegistryCredential>) {
    let denied: RuntimeError | undefined
    for (const credential of [...credentials, undefined]) {
      const outcome = yield* Effect.result(pullOnce(reference, credential))
      if (outcome._tag === "Success") return yield* image(reference)
      if (outcome.failure.reason !== "ImageDenied") return yield* outcome.failure
      denied ??= outcome.failure
    }
    return yield* denied ?? pullError(reference, "")
  }, (effect, reference) =>
    Effect.timeoutOrElse(effect, {
      duration: options.pullTimeout,
      orElse: () =>
        Effect.fail(
          new RuntimeError({
            reason: "ImageUnavailable",
            detail: `pulling ${reference} took longer than ${Duration.format(options.pullTimeout)}`
          })
        )
    }))

  return { image, pull }
}
