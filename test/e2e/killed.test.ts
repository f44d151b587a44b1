/** kill -9 of agent, operator and both at many points of a pod's life: the same containers, counts and exit codes, nothing twice. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Random } from "effect"
import { startDocker, whyNoDocker } from "./dockerd.ts"
import { asProcesses, type DeviceRuntime, onDocker } from "./killed/DeviceRuntime.ts"
import { attemptOf, irreparable, untrue } from "./killed/judge.ts"
import { killPoints } from "./killed/killPoints.ts"
import { openScene, type Victim } from "./killed/Scene.ts"
import { stories } from "./killed/Stories.ts"
import { findProgram } from "./program.ts"

const victims: ReadonlyArray<Victim> = ["agent", "operator", "both"]
/** Decides the milliseconds, and who is killed at which point: three in a row kill each victim everywhere. */
const seed = Number(process.env["SEED"] ?? 1)

const lifeUnderKills = Effect.fnUntraced(
  function*(runtime: DeviceRuntime, kubectlPath: string, shift: number) {
    const scene = yield* openScene(runtime, kubectlPath)
    const all = Object.values(stories)
    const firstIds = new Map<string, string>()
    const evidence = Effect.gen(function*() {
      const containers = yield* scene.containers()
      for (const each of containers) {
        if (each.state !== "created" && !firstIds.has(attemptOf(each))) firstIds.set(attemptOf(each), each.id)
      }
      return { containers, pods: yield* scene.pods, ledger: scene.ledger, firstIds }
    })

    yield* scene.create(stories.steady)
    for (const [turn, point] of killPoints.entries()) {
      const victim = victims[(turn + shift + seed) % victims.length] ?? "both"
      const after = yield* Random.nextBetween(...point.within)
      const told = `seed ${seed}: ${victim} killed ${after.toFixed(1)} ms after: ${point.name}`
      const round = Effect.gen(function*() {
        yield* scene.linked
        yield* point.reach(scene)
        yield* Effect.sleep(after)
        yield* scene.kill(victim, point.meanwhile?.(scene) ?? Effect.void)
        const seen = yield* evidence
        assert.deepStrictEqual(all.flatMap((story) => irreparable(story, seen)), [], told)
        assert.deepStrictEqual(scene.leftAlive, [], told)
      })
      yield* Effect.tapError(
        round,
        (error) =>
          Effect.flatMap(
            scene.lastWords,
            (words) => Effect.sync(() => console.error(`${runtime.name}, ${told}: ${error.message}\n${words}`))
          )
      )
    }

    yield* scene.until(
      "everything as told",
      Effect.map(evidence, (seen) => all.flatMap((story) => untrue(story, seen)).join("; ") || true),
      120
    )
    const seen = yield* evidence
    assert.deepStrictEqual(all.flatMap((story) => irreparable(story, seen)), [])
    assert.deepStrictEqual(
      scene.ledger.written().filter((file) => !all.some(({ name }) => file.startsWith(`${name}.`))),
      []
    )

    // Dead containers of pods that had ended may outlive the API object for a moment; what runs may not.
    for (const story of all) if (!("lines" in story.end)) yield* scene.remove(story)
    yield* scene.until(
      "all pods are gone from the API",
      Effect.map(scene.pods, (pods) => pods.length === 0 || pods.map(({ metadata }) => metadata.name).join())
    )
    assert.deepStrictEqual(scene.leftAlive, [])
    yield* scene.until(
      "nothing is left in the runtime",
      Effect.map(scene.containers(), (left) => left.length === 0 || left.map(attemptOf).join())
    )
  },
  Effect.scoped,
  Random.withSeed(seed)
)

const kubectlPath = findProgram("kubectl")

describe("programs that are killed at every point of a pod's life", () => {
  it.live("leave containers, counts and exit codes as they are, in docker", () =>
    Effect.gen(function*() {
      const noDocker = yield* whyNoDocker
      if (Option.isSome(noDocker) || Option.isNone(kubectlPath)) {
        const why = Option.getOrElse(noDocker, () => "there is no kubectl on the PATH")
        return console.warn(`SKIPPED killing programs with pods in docker: ${why}`)
      }
      yield* lifeUnderKills(onDocker(yield* startDocker({ reuse: true })), kubectlPath.value, 0)
    }).pipe(Effect.scoped), 600_000)

  it.live("leave processes, counts and exit codes as they are, without docker", () =>
    Effect.gen(function*() {
      if (process.getuid?.() !== 0 || Option.isNone(kubectlPath)) {
        const why = Option.isNone(kubectlPath) ? "there is no kubectl on the PATH" : "volumes of process pods need root"
        return console.warn(`SKIPPED killing programs with pods as processes: ${why}`)
      }
      yield* lifeUnderKills(asProcesses, kubectlPath.value, 1)
    }), 600_000)
})
