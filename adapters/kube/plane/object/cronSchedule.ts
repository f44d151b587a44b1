/** The schedule of a CronJob: five fields or a name for them, in UTC unless it says where. */
import { Cron, Result } from "effect"
import { stringAt } from "./json.ts"
import type { KubeObject } from "./KubeObject.ts"

const names = new Map([
  ["@yearly", "0 0 1 1 *"],
  ["@annually", "0 0 1 1 *"],
  ["@monthly", "0 0 1 * *"],
  ["@weekly", "0 0 * * 0"],
  ["@daily", "0 0 * * *"],
  ["@midnight", "0 0 * * *"],
  ["@hourly", "0 * * * *"]
])

/** What can be followed, or a sentence that says why not. */
export const scheduleOf = (cronJob: KubeObject): Result.Result<Cron.Cron, string> => {
  const written = (stringAt(cronJob, "spec", "schedule") ?? "").trim()
  const fields = (names.get(written) ?? written).replaceAll("?", "*").split(/\s+/)
  if (fields.length !== 5) return Result.fail(`expected 5 fields or one of ${[...names.keys()].join(", ")}`)
  return Cron.parse(fields.join(" "), stringAt(cronJob, "spec", "timeZone") ?? "UTC").pipe(
    Result.mapError(({ message }) => message),
    Result.flatMap((schedule) =>
      Result.try({
        try: () => {
          Cron.next(schedule, 0)
          return schedule
        },
        catch: () => "it is never due"
      })
    )
  )
}

export interface Due {
  /** The latest time that has come; none if none has come since. */
  readonly latest: number | undefined
  readonly next: number
}

export const dueOf = (schedule: Cron.Cron, since: number, now: number): Due => {
  const first = Cron.next(schedule, since).getTime()
  if (first > now) return { latest: undefined, next: first }
  // What comes before the next second has come by now.
  const latest = Cron.prev(schedule, Math.floor(now / 1000) * 1000 + 1000).getTime()
  return { latest: Math.max(first, latest), next: Cron.next(schedule, now).getTime() }
}
