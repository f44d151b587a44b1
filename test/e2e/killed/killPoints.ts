/** Where in a pod's life the programs are killed: how each point is reached, and what happens while they are dead. */
import { Clock, Effect } from "effect"
import type { KubeApiError } from "../../../core/kube/KubeApi.ts"
import type { NotAsExpected } from "../Line.ts"
import type { Scene } from "./Scene.ts"
import { stories, type Story } from "./Stories.ts"

type Deed = Effect.Effect<unknown, KubeApiError | NotAsExpected>

export interface KillPoint {
  readonly name: string
  /** Ends at the condition after which the kill falls. */
  readonly reach: (scene: Scene) => Deed
  /** Milliseconds after that; where in between, the seed says. */
  readonly within: readonly [number, number]
  /** What the world does before the programs are back. */
  readonly meanwhile?: (scene: Scene) => Deed
}

const nothing = () => Effect.void

const statusOf = (scene: Scene, { name }: Story) =>
  Effect.map(scene.pod(name), (pod) => pod?.status?.containerStatuses?.[0])
const waitsFor = (scene: Scene, story: Story, reason: string) =>
  scene.until(
    `${story.name} waits with ${reason}`,
    Effect.map(
      statusOf(scene, story),
      (status) => status?.state?.waiting?.reason === reason || JSON.stringify(status ?? {})
    )
  )
const isRunning = (scene: Scene, story: Story) =>
  scene.until(
    `${story.name} is Running`,
    Effect.map(
      statusOf(scene, story),
      (status) => status?.state?.running !== undefined || JSON.stringify(status ?? {})
    )
  )
const wrote = (scene: Scene, { name }: Story, line: string, times = 1, container = "main") =>
  scene.until(
    `${container} of ${name} says ${line}`,
    Effect.sync(() => {
      const lines = scene.ledger.lines(name, container)
      return lines.filter((each) => each === line).length >= times || lines.join(", ")
    })
  )
const seen = (scene: Scene, story: Story, state: "any" | "exited", container = "main") =>
  scene.until(
    `${container} of ${story.name} is there (${state})`,
    Effect.map(
      scene.containers(story.name),
      (all) => all.some((each) => each.container === container && (state === "any" || each.state === state))
    )
  )
const open = (scene: Scene, { name }: Story, gate: string) => Effect.sync(() => scene.ledger.open(name, gate))
const then = (...deeds: ReadonlyArray<Deed>): Deed => Effect.all(deeds, { discard: true })
const lives = (scene: Scene, story: Story) => then(scene.create(story), isRunning(scene, story))

export const killPoints: ReadonlyArray<KillPoint> = [
  {
    name: "before the pod is in the API",
    reach: nothing,
    within: [0, 50],
    meanwhile: (scene) => scene.create(stories.unborn)
  },
  {
    name: "right after the pod came into the API",
    reach: (scene) => scene.create(stories.newborn),
    within: [0, 10]
  },
  {
    name: "while it is resolved",
    reach: (scene) => scene.create(stories.resolved),
    within: [10, 50]
  },
  {
    name: "while it is assigned and written to the journal",
    reach: (scene) => scene.create(stories.assigned),
    within: [30, 120]
  },
  {
    name: "while it waits for its ConfigMap",
    reach: (scene) =>
      then(scene.create(stories.waiting), waitsFor(scene, stories.waiting, "CreateContainerConfigError")),
    within: [0, 50],
    meanwhile: (scene) => scene.configure(stories.waiting)
  },
  {
    name: "as its sandbox appears",
    reach: (scene) => then(scene.create(stories.boxed), scene.until("boxed has a sandbox", scene.hasSandbox("boxed"))),
    within: [0, 10]
  },
  {
    name: "as its container appears",
    reach: (scene) => then(scene.create(stories.made), seen(scene, stories.made, "any")),
    within: [0, 2]
  },
  {
    name: "between the creation of its container and the start",
    reach: (scene) => then(scene.create(stories.starting), seen(scene, stories.starting, "any")),
    within: [2, 15]
  },
  {
    name: "around the start of its container",
    reach: (scene) => then(scene.create(stories.nearly), seen(scene, stories.nearly, "any")),
    within: [15, 120]
  },
  {
    name: "just after the start, before anybody wrote that down",
    reach: (scene) => then(scene.create(stories.started), wrote(scene, stories.started, "start")),
    within: [0, 10]
  },
  {
    name: "while an init container runs, which ends before anybody looks again",
    reach: (scene) => then(scene.create(stories.initialising), wrote(scene, stories.initialising, "start", 1, "init")),
    within: [0, 100],
    meanwhile: (scene) =>
      then(open(scene, stories.initialising, "init"), wrote(scene, stories.initialising, "exit 0", 1, "init"))
  },
  {
    name: "between the init container and the others",
    reach: (scene) =>
      then(
        scene.create(stories.initialised),
        wrote(scene, stories.initialised, "start", 1, "init"),
        open(scene, stories.initialised, "init"),
        seen(scene, stories.initialised, "exited", "init")
      ),
    within: [0, 40]
  },
  {
    name: "while it runs",
    reach: (scene) =>
      then(scene.create(stories.running), scene.create(stories.waitingLong), isRunning(scene, stories.running)),
    within: [0, 100],
    meanwhile: (scene) => open(scene, stories.waitingLong, "first")
  },
  {
    name: "as it crashes",
    reach: (scene) =>
      then(
        open(scene, stories.running, "end"),
        lives(scene, stories.crashing),
        open(scene, stories.crashing, "first"),
        wrote(scene, stories.crashing, "exit 3"),
        open(scene, stories.waitingLong, "second")
      ),
    within: [0, 20]
  },
  {
    name: "just after its restart",
    reach: (scene) => wrote(scene, stories.crashing, "start", 2),
    within: [0, 10]
  },
  {
    name: "in its restart back-off",
    reach: (scene) =>
      then(open(scene, stories.crashing, "second"), waitsFor(scene, stories.crashing, "CrashLoopBackOff")),
    within: [0, 300]
  },
  {
    name: "when its only run fails and nobody is there to see it",
    reach: (scene) => lives(scene, stories.unseen),
    within: [0, 50],
    meanwhile: (scene) => then(open(scene, stories.unseen, "end"), wrote(scene, stories.unseen, "exit 22"))
  },
  {
    name: "as it succeeds under OnFailure",
    reach: (scene) =>
      then(
        lives(scene, stories.done),
        open(scene, stories.done, "end"),
        wrote(scene, stories.done, "exit 0")
      ),
    within: [0, 20]
  },
  {
    name: "after its end, before or while that is told",
    reach: (scene) =>
      then(
        lives(scene, stories.reported),
        open(scene, stories.reported, "end"),
        seen(scene, stories.reported, "exited")
      ),
    within: [0, 120]
  },
  {
    name: "as a restart back-off ends",
    reach: (scene) =>
      Effect.gen(function*() {
        yield* wrote(scene, stories.waitingLong, "exit 4")
        const ends = scene.ledger.lastAt(stories.waitingLong.name) + 10_000
        yield* Effect.sleep(Math.max(0, ends - 150 - (yield* Clock.currentTimeMillis)))
      }),
    within: [0, 400]
  },
  {
    name: "as it is deleted",
    reach: (scene) => then(lives(scene, stories.deleted), scene.remove(stories.deleted)),
    within: [0, 40]
  },
  {
    name: "in its grace period",
    reach: (scene) =>
      then(lives(scene, stories.graceful), scene.remove(stories.graceful), wrote(scene, stories.graceful, "term")),
    within: [0, 200]
  },
  {
    name: "after it ended on SIGTERM, before the API knows",
    reach: (scene) =>
      then(
        open(scene, stories.graceful, "term"),
        lives(scene, stories.handled),
        scene.remove(stories.handled),
        wrote(scene, stories.handled, "term"),
        open(scene, stories.handled, "term"),
        wrote(scene, stories.handled, "exit 0")
      ),
    within: [0, 60]
  },
  {
    name: "before it is deleted",
    reach: (scene) => lives(scene, stories.orphaned),
    within: [0, 10],
    meanwhile: (scene) => scene.remove(stories.orphaned)
  },
  {
    name: "before it is deleted by force",
    reach: (scene) => lives(scene, stories.abandoned),
    within: [0, 10],
    meanwhile: (scene) => scene.removeByForce(stories.abandoned)
  },
  {
    name: "before it ends and is deleted too",
    reach: (scene) => lives(scene, stories.goneTwice),
    within: [0, 10],
    meanwhile: (scene) =>
      then(
        open(scene, stories.goneTwice, "end"),
        wrote(scene, stories.goneTwice, "exit 24"),
        scene.remove(stories.goneTwice)
      )
  },
  {
    name: "as it is deleted after its end was told",
    reach: (scene) =>
      then(
        scene.create(stories.finished),
        scene.until(
          "finished is Failed",
          Effect.map(scene.pod("finished"), (pod) => pod?.status?.phase === "Failed")
        ),
        scene.remove(stories.finished)
      ),
    within: [0, 20]
  }
]
