/** The gates to the device itself: shut unless its owner opened them, one by one. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { type HostAbilities, HostAccess, nothingAllowed } from "../../../../core/agent/host/HostAccess.ts"
import { hostStreams } from "../../../../core/agent/host/hostStreams.ts"
import { type PodLogQuery, PodStreamError } from "../../../../core/pod/PodRuntime.ts"
import { fakeHostAccess } from "../../../fakes/FakeHostAccess.ts"

const io = { stdin: true, stdout: true, stderr: true, tty: false }
const query: PodLogQuery = { container: "host", follow: false, previous: false, timestamps: false }

/** One try of everything: what the host was asked for, or why it was not. */
const tryAll = Effect.fnUntraced(function*(abilities: HostAbilities) {
  const { access, diary } = fakeHostAccess(abilities)
  const host = yield* Effect.provideService(hostStreams, HostAccess, access)
  const tell = <A, E extends { readonly message: string }>(work: Effect.Effect<A, E>) =>
    Effect.match(work, { onFailure: ({ message }) => message, onSuccess: () => "" })
  return {
    exec: yield* tell(Effect.scoped(host.exec({ command: ["id"], ...io }))),
    attach: yield* tell(Effect.scoped(host.attach(io))),
    log: yield* tell(Stream.runDrain(host.logs(query))),
    portForward: yield* tell(Effect.scoped(host.dial(80))),
    copy: yield* tell(Effect.scoped(host.exec({ command: ["tar", "cf", "-", "/etc"], ...io }))),
    logFiles: yield* tell(Effect.scoped(host.logFile("syslog"))),
    diary
  }
})

const keys: Readonly<Record<keyof HostAbilities, string>> = {
  exec: "arhat.host.allowExec",
  attach: "arhat.host.allowAttach",
  log: "arhat.host.allowLog",
  portForward: "arhat.host.allowPortForward",
  copy: "arhat.host.allowCopy",
  logFiles: "arhat.host.allowLogFiles"
}

describe("the device itself", () => {
  it.effect("gives nothing unless its owner says so, and names the key to say it with", () =>
    Effect.gen(function*() {
      const { diary, ...told } = yield* tryAll(nothingAllowed)
      assert.deepStrictEqual(diary, [])
      for (const [ability, sentence] of Object.entries(told)) {
        assert.include(sentence, `${keys[ability as keyof HostAbilities]}: true in its own configuration allows it`)
      }
    }))

  it.effect("gives one ability without the others; who may run commands may copy", () =>
    Effect.gen(function*() {
      for (const ability of Object.keys(keys) as ReadonlyArray<keyof HostAbilities>) {
        const { diary: _, ...told } = yield* tryAll({ ...nothingAllowed, [ability]: true })
        const open = Object.entries(told).filter(([, sentence]) => sentence === "").map(([name]) => name)
        assert.deepStrictEqual(open, ability === "exec" ? ["exec", "copy"] : [ability])
      }
    }))

  it.effect("copies by a way of its own, and runs everything else as it was asked to", () =>
    Effect.gen(function*() {
      const { diary } = yield* tryAll({
        exec: true,
        attach: true,
        log: true,
        portForward: true,
        copy: true,
        logFiles: true
      })
      assert.deepStrictEqual(diary, [
        "exec id",
        "shell",
        "logs {\"follow\":false,\"previous\":false}",
        "dial 80",
        "copy {\"_tag\":\"Create\",\"path\":\"/etc\",\"skip\":0}",
        "log file syslog"
      ])
      const { access, diary: terminal } = fakeHostAccess({ ...nothingAllowed, exec: true })
      const host = yield* Effect.provideService(hostStreams, HostAccess, access)
      yield* Effect.scoped(host.exec({ command: ["tar", "cf", "-", "/etc"], ...io, tty: true }))
      assert.deepStrictEqual(terminal, ["exec tar cf - /etc"])
    }))

  it.effect("shows its log with times, since then, from the end and cut off, as kubectl asks", () =>
    Effect.gen(function*() {
      const { access, diary } = fakeHostAccess({ ...nothingAllowed, log: true })
      const host = yield* Effect.provideService(hostStreams, HostAccess, access)
      const read = (more: Partial<PodLogQuery>) =>
        Stream.runCollect(host.logs({ ...query, ...more })).pipe(
          Effect.map((parts) => new TextDecoder().decode(Buffer.concat(parts)))
        )
      assert.strictEqual(
        yield* read({ timestamps: true }),
        "2026-11-21T10:00:00.000000000Z one\n2026-11-21T10:00:01.000000000Z two\n"
      )
      assert.strictEqual(yield* read({ limitBytes: 5, tailLines: 2, sinceTime: 7000 }), "one\nt")
      yield* read({ previous: true, follow: true, sinceSeconds: 5 })
      assert.deepStrictEqual(diary, [
        "logs {\"follow\":false,\"previous\":false}",
        "logs {\"follow\":false,\"previous\":false,\"since\":7000,\"tail\":2}",
        "logs {\"follow\":false,\"previous\":true,\"since\":-5000}"
      ])
    }))

  it.effect("opens no log that is not there: the refusal comes before anything else", () =>
    Effect.gen(function*() {
      const { access } = fakeHostAccess({ ...nothingAllowed, log: true })
      const missing = new PodStreamError({ reason: "NotReady", detail: "not there" })
      const host = yield* Effect.provideService(hostStreams, HostAccess, {
        ...access,
        logs: () => Effect.fail(missing)
      })
      const first = yield* Effect.flip(Stream.runHead(host.logs(query)))
      assert.strictEqual(first.message, "not there")
    }))

  it.effect("looks for log files at no path that leads out, or that no disk could have", () =>
    Effect.gen(function*() {
      const { access, diary } = fakeHostAccess({ ...nothingAllowed, logFiles: true })
      const host = yield* Effect.provideService(hostStreams, HostAccess, access)
      for (const path of ["..", "pods/../../etc/shadow", "a\0b", "x".repeat(4097)]) {
        const refused = yield* Effect.flip(Effect.scoped(host.logFile(path)))
        assert.include(refused.message, "no path below arhat.host.logDir")
      }
      assert.deepStrictEqual(diary, [])
    }))

  it.effect("of an agent that was given no access has none", () =>
    Effect.gen(function*() {
      const host = yield* hostStreams
      const refused = yield* Effect.flip(Effect.scoped(host.exec({ command: ["id"], ...io })))
      assert.include(refused.message, "arhat.host.allowExec")
    }))
})
