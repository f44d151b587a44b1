/** The pods of a storm: one recipe per behaviour, its life written in the container's command, so that any runtime can play it. */
import { Effect } from "effect"
import type { Pod } from "../../core/kube/Pod.ts"
import type { ContainerSpec } from "../../core/pod/ContainerRuntime.ts"
import { crashes, exits, forever, type Program, type Script } from "../fakes/runtime/Program.ts"

export interface Recipe {
  readonly name: string
  /** What the pod comes to when nothing disturbs it any more. */
  readonly outcome: "runs" | "crashes" | "ends"
  readonly spec: (chance: () => number) => Omit<Pod["spec"], "nodeName">
}

/** What the Secret says that pods mount, found in nothing else. */
export const secretText = "open sesame 4711"

/** The first is what pods begin with. */
export const images = ["busybox:1.36", "busybox:1.37"] as const
const image = images[0]
const lives = (...words: ReadonlyArray<string | number>) => ({ image, command: ["life", ...words.map(String)] })
const between = (chance: () => number, least: number, most: number) => Math.floor(least + chance() * (most - least))

export const recipes: ReadonlyArray<Recipe> = [
  {
    name: "steady",
    outcome: "runs",
    spec: () => ({ restartPolicy: "Always", containers: [{ name: "main", ...lives("forever") }] })
  },
  {
    name: "crashing",
    outcome: "crashes",
    spec: (chance) => ({
      restartPolicy: "Always",
      containers: [{ name: "main", ...lives("exit", 1, between(chance, 0, 20_000)) }]
    })
  },
  {
    name: "job",
    outcome: "ends",
    spec: (chance) => ({
      restartPolicy: "OnFailure",
      containers: [{ name: "main", ...lives("crash", between(chance, 0, 4), 0, between(chance, 0, 30_000)) }]
    })
  },
  {
    name: "once",
    outcome: "ends",
    spec: (chance) => ({
      restartPolicy: "Never",
      containers: [{ name: "main", ...lives("exit", chance() < 0.5 ? 0 : 3, between(chance, 0, 60_000)) }]
    })
  },
  {
    name: "pair",
    outcome: "ends",
    spec: (chance) => ({
      restartPolicy: "Never",
      containers: [
        { name: "first", ...lives("exit", 0, between(chance, 0, 5_000)) },
        { name: "second", ...lives("exit", 0, between(chance, 0, 90_000)) }
      ]
    })
  },
  {
    name: "stubborn",
    outcome: "runs",
    spec: () => ({
      restartPolicy: "Always",
      terminationGracePeriodSeconds: 5,
      containers: [{ name: "main", ...lives("ignoring") }]
    })
  },
  {
    name: "prepared",
    outcome: "runs",
    spec: (chance) => ({
      restartPolicy: "Always",
      initContainers: [{ name: "prepare", ...lives("crash", between(chance, 0, 2), 0, between(chance, 0, 3_000)) }],
      containers: [{ name: "main", ...lives("forever") }, { name: "side", ...lives("forever") }]
    })
  },
  {
    name: "configured",
    outcome: "runs",
    spec: () => ({
      restartPolicy: "Always",
      containers: [{
        name: "main",
        ...lives("forever"),
        env: [{ name: "COLOUR", valueFrom: { configMapKeyRef: { name: "settings", key: "colour" } } }],
        volumeMounts: [{ name: "keys", mountPath: "/keys" }, { name: "settings", mountPath: "/settings" }]
      }],
      volumes: [{ name: "keys", secret: { secretName: "keys" } }, { name: "settings", configMap: { name: "settings" } }]
    })
  },
  {
    name: "talking",
    outcome: "runs",
    spec: (chance) => ({
      restartPolicy: "Always",
      containers: [{ name: "main", ...lives("talking", between(chance, 2_000, 10_000)) }]
    })
  },
  {
    name: "hurried",
    outcome: "ends",
    spec: (chance) => ({
      restartPolicy: "Always",
      activeDeadlineSeconds: between(chance, 5, 120),
      containers: [{ name: "main", ...lives("forever") }]
    })
  }
]

/** Prints a line from time to time: the attempt, and the line's number. A disk that forgot an attempt has it run anew. */
const talks = (everyMillis: number, printed: Map<string, number>): Program => ({ print, spec }) => {
  const id = `${spec.uid}#${spec.attempt}`
  printed.set(id, 0)
  return Effect.forever(Effect.suspend(() => {
    const line = printed.get(id) ?? 0
    printed.set(id, line + 1)
    return Effect.andThen(print(`${spec.attempt} ${line}\n`), Effect.sleep(everyMillis))
  }))
}

/** How often a container that nobody disturbs begins, by its command; undefined where there is no end to it. */
export const beginnings = ({ restartPolicy }: Omit<Pod["spec"], "nodeName">, command: ReadonlyArray<string>) => {
  const [, life, first] = command
  if (life === "crash") return Number(first) + 1
  return life === "exit" && restartPolicy === "Always" ? undefined : 1
}

/** The life a container's command asks for; `printed` counts lines by `uid#attempt`. */
export const lifeOf = (printed: Map<string, number> = new Map()) => (spec: ContainerSpec): Partial<Script> => {
  const [life = "", ...words] = (spec.command ?? []).slice(1)
  const [first = 0, second = 0, third = 0] = words.map(Number)
  switch (life) {
    case "exit":
      return { run: exits(first, second) }
    case "crash":
      return { run: crashes(first, { after: 500, then: exits(second, third) }) }
    case "ignoring":
      return { run: forever, onTerm: "ignored" }
    case "talking":
      return { run: talks(first, printed) }
    case "forever":
      return { run: forever }
    default:
      return { run: () => Effect.die(new Error(`no such life: ${spec.command?.join(" ")}`)) }
  }
}
