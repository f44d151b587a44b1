/** The device's memory of its link, kept in the journal: who it is, the highest epoch, the newest lineage token. */
import { Effect, Layer, Schedule } from "effect"
import { Hex } from "effect/encoding"
import { Cryptography } from "../link/Cryptography.ts"
import { LinkMemory, NotRemembered } from "../link/Hello.ts"
import { SecureRandom } from "../link/SecureRandom.ts"
import { PodRuntime } from "../pod/PodRuntime.ts"
import { holdingsDigest } from "../wire/holdings.ts"
import { HostFacts } from "./HostFacts.ts"
import { Journal } from "./Journal.ts"
import { Outbox } from "./Outbox.ts"

const utf8 = new TextEncoder()
const text = new TextDecoder()

export const deviceMemory = Layer.effect(
  LinkMemory,
  Effect.gen(function*() {
    const journal = yield* Journal
    const cryptography = yield* Cryptography
    const random = yield* SecureRandom
    const runtime = yield* PodRuntime
    const outbox = yield* Outbox
    const { bootId } = yield* (yield* HostFacts).info

    const rows = new Map((yield* journal.rows("link")).map((row) => [row.key, row.value]))
    let journalId = text.decode(rows.get("journal-id"))
    if (journalId === "") {
      journalId = Hex.encode(yield* random.bytes(16))
      yield* journal.commit([
        { _tag: "Put", table: "link", key: "journal-id", value: utf8.encode(journalId), secret: false }
      ]).pipe(
        // Without a lasting name there is no link; a full disk is emptied some day.
        Effect.tapError((error) =>
          Effect.logWarning(`waiting for the journal to take this device's id: ${error.message}`)
        ),
        Effect.retry(Schedule.spaced("10 seconds"))
      )
    }
    let epoch = Number(text.decode(rows.get("epoch"))) || 0
    let lineage = rows.get("lineage") ?? new Uint8Array()

    return LinkMemory.of({
      load: Effect.sync(() => ({ journalId, bootId, epoch, lineage })),
      save: Effect.fnUntraced(function*(accepted) {
        yield* journal.commit([
          { _tag: "Put", table: "link", key: "epoch", value: utf8.encode(String(accepted.epoch)), secret: false },
          { _tag: "Put", table: "link", key: "lineage", value: accepted.lineage, secret: true }
        ]).pipe(
          // A token that is not durable must not be used: the session fails and is tried again.
          Effect.mapError((error) => new NotRemembered({ detail: error.message }))
        )
        epoch = accepted.epoch
        lineage = accepted.lineage
      }),
      digest: Effect.flatMap(
        runtime.held,
        (held) => holdingsDigest(held.map(({ uid, hash }) => ({ uid, hash, reportNumber: outbox.newest(uid) })))
      ).pipe(
        Effect.provideService(Cryptography, cryptography)
      )
    })
  })
)
