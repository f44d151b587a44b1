/** What the agent's configuration file may say of the device itself. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { stringify } from "yaml"
import { ArhatConfig } from "../../../apps/arhat/ArhatConfig.ts"
import { decodeConfig } from "../../../core/config/decodeConfig.ts"

const decode = (host: object | undefined, runtime: object = {}) =>
  decodeConfig(ArhatConfig)(
    "arhat.yaml",
    stringify({
      arhat: { device: "edge-1", ...(host === undefined ? {} : { host }) },
      connectivity: {
        operatorKey: `${"A".repeat(43)}=`,
        methods: [{ name: "grpc", config: { endpoint: "aranya.example.com:8443" } }]
      },
      runtime
    }),
    () => undefined
  )
const problems = (host: object, runtime?: object) =>
  Effect.map(Effect.flip(decode(host, runtime)), (error) => error.problems)

describe("arhat.host", () => {
  it.effect("allows nothing and holds to nothing unless it says so", () =>
    Effect.gen(function*() {
      const closed = {
        allowExec: false,
        allowAttach: false,
        allowLog: false,
        allowPortForward: false,
        allowCopy: false,
        allowLogFiles: false,
        logDir: "/var/log"
      }
      assert.deepStrictEqual((yield* decode(undefined)).arhat.host, closed)
      assert.deepStrictEqual(
        (yield* decode({ rootfs: "/host", uid: 0, gid: 4_294_967_294, allowExec: true })).arhat.host,
        { ...closed, rootfs: "/host", uid: 0, gid: 4_294_967_294, allowExec: true }
      )
    }))

  const bad: ReadonlyArray<readonly [host: object, problem: string]> = [
    [{ allowPortforward: true }, "unknown key arhat.host.allowPortforward, did you mean allowPortForward?"],
    [{ rootfs: "host" }, "arhat.host.rootfs: expected the absolute path of a directory"],
    [{ logDir: "log" }, "arhat.host.logDir: expected the absolute path of a directory"],
    [{ uid: -1 }, "arhat.host.uid: expected the number of a user or group"],
    [{ gid: 4_294_967_295 }, "arhat.host.gid: expected the number of a user or group"]
  ]
  it.effect.each(bad)("cannot be %j: one sentence says so", ([host, problem]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* problems(host), [problem])
    }))

  it.effect("cannot promise to hold pods of hostexec", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* problems({ rootfs: "/host" }, { hostexec: { enabled: true } }), [
        "arhat.host.rootfs does not hold pods of hostexec: leave out runtime.hostexec.enabled, or arhat.host.rootfs"
      ])
      assert.isFalse((yield* decode({})).runtime.hostexec.enabled)
    }))

  it.effect("says what is allowed by true and false, and by nothing that looks like them", () =>
    Effect.gen(function*() {
      const [problem = ""] = yield* problems({ allowExec: "yes please" })
      assert.match(problem, /^arhat\.host\.allowExec: expected boolean/u)
    }))
})
