/** Who a process pod is, and what it may. */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync } from "node:fs"
import { join } from "node:path"
import * as ProcessRuntime from "../../../adapters/process/ProcessRuntime.ts"
import { ContainerRuntime } from "../../../core/pod/ContainerRuntime.ts"
import { rootRefusal } from "../../../core/pod/machine/runAsNonRoot.ts"
import {
  containerSpec,
  ensured,
  executed,
  launch,
  sandboxSpec,
  security,
  untilExited
} from "../../contracts/runtimeWorld.ts"
import { container, pod } from "../../core/pod/machine/pods.ts"
import { folderOf, log, processOf, reasonAnd, shell, test } from "./processTest.ts"
import { openWorld, type ProcessWorld, whyNoImage, whyNotRoot } from "./processWorld.ts"

if (whyNoImage !== undefined) {
  console.warn(`skipped: the users of process pods, or those with an image, because ${whyNoImage}`)
}

const everything = { ...security, dropCapabilities: ["ALL"] }

/** Of a container that dropped all and was given these. */
const capabilitiesLeft = Effect.fnUntraced(function*(world: ProcessWorld, addCapabilities: ReadonlyArray<string>) {
  const { id } = yield* launch(world, { _tag: "Forever" }, { security: { ...everything, addCapabilities } })
  const { stdout } = yield* executed(id, ["cat", "/proc/self/status"])
  return ["Prm", "Eff", "Bnd"].map((set) => new RegExp(`^Cap${set}:\\t0*([0-9a-f]+)$`, "m").exec(stdout)?.[1])
})

describe.skipIf(whyNotRoot !== undefined)("a process pod", () => {
  test("runs as a user of its own without allowRoot, and as no one it may not be", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id, sandboxId } = yield* launch(world, { _tag: "Forever" })
      assert.strictEqual((yield* executed(id, ["id", "-u"])).stdout, "2000000\n")
      assert.strictEqual((yield* executed(id, ["id", "-G"])).stdout, "2000000\n")
      const status = readFileSync(`/proc/${processOf(world, id).pid}/status`, "utf8")
      assert.match(status, /^NoNewPrivs:\t1$/m)
      assert.match(status, /^CapEff:\t0+$/m)
      const other = yield* runtime.ensureSandbox({ ...sandboxSpec(world), uid: `${world.uid}-other` })
      const next = yield* runtime.create({
        ...containerSpec(world, other.id, { _tag: "Forever" }),
        ...shell("id -u"),
        uid: `${world.uid}-other`
      })
      yield* runtime.start(next)
      yield* untilExited(next)
      assert.strictEqual(yield* log(next), "2000001\n")
      yield* runtime.remove(next)
      for (
        const refused of [
          { runAsUser: 0 },
          { runAsUser: 1000 },
          { runAsGroup: 0 },
          { supplementalGroups: [0] },
          // The other pod's.
          { runAsUser: 2_000_001 },
          { runAsGroup: 2_000_001 },
          { supplementalGroups: [2_000_001] },
          { privileged: true },
          { addCapabilities: ["NET_ADMIN"] }
        ]
      ) {
        const spec = containerSpec(world, sandboxId, { _tag: "Forever" }, {
          attempt: 1,
          security: { ...security, ...refused }
        })
        const { detail, reason } = yield* reasonAnd(runtime.create(spec))
        assert.strictEqual(reason, "Invalid")
        assert.include(detail, "runtime.process.allowRoot")
      }
      yield* runtime.create(containerSpec(world, sandboxId, { _tag: "Forever" }, {
        attempt: 1,
        security: { ...security, runAsUser: 2_000_000, supplementalGroups: [2_000_000] }
      }))
    }), openWorld({ allowRoot: false }))

  test("keeps its user through a reboot, whoever went meanwhile", (world) =>
    Effect.gen(function*() {
      const userOf = Effect.fnUntraced(function*(sandboxId: string, uid: string, attempt: number) {
        const runtime = yield* ContainerRuntime
        const id = yield* runtime.create(containerSpec(world, sandboxId, { _tag: "Forever" }, { uid, attempt }))
        return JSON.parse(readFileSync(join(folderOf(world, id), "spec"), "utf8")).uid
      })
      const [first, second, third] = ["first", "second", "third"].map((name) => `${world.uid}-${name}`) as [
        string,
        string,
        string
      ]
      const runtime = yield* ContainerRuntime
      const gone = yield* runtime.ensureSandbox({ ...sandboxSpec(world), uid: first })
      const { id } = yield* runtime.ensureSandbox({ ...sandboxSpec(world), uid: second })
      assert.strictEqual(yield* userOf(id, second, 0), 2_000_001)
      yield* runtime.removeSandbox(gone.id)
      yield* Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        yield* runtime.removeSandbox(id)
        yield* runtime.ensureSandbox({ ...sandboxSpec(world), uid: first })
        // As many as would reach its number.
        const other = yield* runtime.ensureSandbox({ ...sandboxSpec(world), uid: third })
        const again = yield* runtime.ensureSandbox({ ...sandboxSpec(world, 1), uid: second })
        assert.strictEqual(yield* userOf(other.id, third, 0), 2_000_002)
        assert.strictEqual(yield* userOf(again.id, second, 1), 2_000_001)
      }).pipe(
        Effect.provide(ProcessRuntime.layer({ ...world.options, bootId: "another-boot" }), { local: true })
      )
    }), openWorld({ allowRoot: false }))

  test("leaves nothing of its environment on the disk", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id: sandboxId } = yield* ensured(world)
      const spec = containerSpec(world, sandboxId, { _tag: "Forever" })
      const id = yield* runtime.create({ ...spec, env: [{ name: "PASSWORD", value: "s3cr3t" }] })
      const files = ["spec", "argv"].map((name) => openSync(join(folderOf(world, id), name), "r"))
      yield* Effect.addFinalizer(() => Effect.sync(() => files.forEach((file) => closeSync(file))))
      const contents = () =>
        files.map((file) => {
          const content = Buffer.alloc(fstatSync(file).size)
          readSync(file, content, 0, content.length, 0)
          return content.toString()
        })
      for (const content of contents()) assert.include(content, "s3cr3t")
      yield* runtime.remove(id)
      for (const content of contents()) assert.match(content, /^\0+$/)
    }))

  test("shares its user with none that came at the same moment", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const uids = Array.from({ length: 300 }, (_, index) => `${world.uid}-${index}`)
      yield* Effect.forEach(uids, (uid) => runtime.ensureSandbox({ ...sandboxSpec(world), uid }), {
        concurrency: "unbounded"
      })
      const folder = join(world.options.dataDir, "sandboxes")
      const users = readdirSync(folder).map((name) => readFileSync(join(folder, name), "utf8").match(/"user":\d+/)?.[0])
      assert.strictEqual(new Set(users).size, 300)
    }), openWorld({ allowRoot: false }))

  test("may say that it must not be root: without allowRoot it is not", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const image = yield* runtime.pull(world.image, [])
      const strict = { ...security, runAsNonRoot: true }
      assert.isUndefined(rootRefusal(pod(), container("app", { security: strict }), image.user))
      const { id } = yield* launch(world, { _tag: "Exits", code: 0 }, { security: strict })
      assert.strictEqual((yield* untilExited(id)).exitCode, 0)
    }), openWorld({ allowRoot: false }))

  test("which may be root and says that it must not is refused", (world) =>
    Effect.gen(function*() {
      const { user } = yield* (yield* ContainerRuntime).pull(world.image, [])
      const strict = container("app", { security: { ...security, runAsNonRoot: true } })
      assert.include(rootRefusal(pod(), strict, user) ?? "", "image will run as root")
    }))

  test("which is root has what it is given again of all that it dropped", (world) =>
    Effect.gen(function*() {
      // CAP_NET_BIND_SERVICE is 10.
      assert.deepStrictEqual(yield* capabilitiesLeft(world, ["NET_BIND_SERVICE"]), ["400", "400", "400"])
    }))
})

describe.skipIf(whyNoImage !== undefined)("a process pod with a root filesystem", () => {
  test("runs without any capability, and cannot get one", (world) =>
    Effect.gen(function*() {
      const { id } = yield* launch(world, { _tag: "Forever" }, { security: { ...everything, runAsNonRoot: true } })
      const { code, stdout } = yield* executed(id, ["cat", "/proc/self/status"])
      assert.strictEqual(code, 0)
      for (const status of [stdout, readFileSync(`/proc/${processOf(world, id).pid}/status`, "utf8")]) {
        assert.match(status, /^NoNewPrivs:\t1$/m)
        for (const set of ["Inh", "Prm", "Eff", "Amb"]) assert.match(status, new RegExp(`^Cap${set}:\t0+$`, "m"))
      }
    }), openWorld({ allowRoot: false, image: "busybox" }))

  test(
    "which is root cannot do without what its root filesystem is entered with, and says so",
    (world) =>
      Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        const sandbox = yield* ensured(world)
        const { detail, reason } = yield* reasonAnd(
          runtime.create(containerSpec(world, sandbox.id, { _tag: "Forever" }, { security: everything }))
        )
        assert.strictEqual(reason, "Unsupported")
        assert.include(detail, "SYS_CHROOT")
        const { id } = yield* launch(world, { _tag: "Exits", code: 0 }, {
          security: { ...everything, dropCapabilities: ["CAP_CHOWN", "SETUID"] }
        })
        assert.strictEqual((yield* untilExited(id)).exitCode, 0)
      }),
    openWorld({ image: "busybox" })
  )

  test(
    "which is root may drop all if it is given again what its root filesystem is entered with",
    (world) =>
      Effect.gen(function*() {
        // CAP_KILL is 5, CAP_SETGID 6, CAP_SYS_CHROOT 18.
        const left = yield* capabilitiesLeft(world, ["CAP_SYS_CHROOT", "SETGID", "KILL"])
        assert.deepStrictEqual(left, ["40060", "40060", "40060"])
      }),
    openWorld({ image: "busybox" })
  )
})
