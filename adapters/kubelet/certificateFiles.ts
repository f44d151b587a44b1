/** A serving certificate and client authorities kept in files, which their owner may replace at any time. */
import { Duration, Effect, Schedule, Stream } from "effect"
import { readFile } from "node:fs/promises"
import type { ServingCertificate } from "../../core/kubelet/ServingCertificate.ts"

/** Mounted Secrets change by a swapped symbolic link, which file watching misses on some systems. */
const LOOK = Duration.seconds(30)

const read = (path: string) =>
  Effect.tryPromise(() => readFile(path, "utf8")).pipe(
    Effect.tapError(({ cause }) =>
      Effect.logWarning(`${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`)
    ),
    Effect.option
  )

/** Each new content, from now on every half minute; unreadable files are waited for. */
const changes = <A>(look: Effect.Effect<ReadonlyArray<A>>): Stream.Stream<A> =>
  Stream.fromEffectSchedule(look, Schedule.spaced(LOOK)).pipe(
    Stream.flattenIterable,
    Stream.changesWith((a, b) => JSON.stringify(a) === JSON.stringify(b))
  )

export const certificateFiles = (paths: {
  readonly certificate: string
  readonly privateKey: string
}): Stream.Stream<ServingCertificate> =>
  changes(Effect.gen(function*() {
    const certificate = yield* read(paths.certificate)
    const privateKey = yield* read(paths.privateKey)
    return certificate._tag === "Some" && privateKey._tag === "Some"
      ? [{
        certificate: certificate.value,
        privateKey: privateKey.value,
        source: `${paths.certificate} and ${paths.privateKey}`
      }]
      : []
  }))

export const authorityFile = (path: string): Stream.Stream<string | undefined> =>
  changes(Effect.map(read(path), (found) => found._tag === "Some" ? [found.value] : []))
