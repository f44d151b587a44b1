/** The pods that live through the kills: what each does, and what has to be told of it in the end. */
import type { Pod } from "../../../core/kube/Pod.ts"
import { exit, gate, script, sleep, stay, type Step } from "./Ledger.ts"

/** What the API has to say of one container once everything has come to rest, and how often it ran. */
export interface Told {
  readonly starts: number
  readonly restarts: number
  /** Exit code of the last run; absent while it runs. */
  readonly exit?: number
  /** Exit code of the run before. */
  readonly before?: number
}

export interface Story {
  readonly name: string
  readonly policy: "Always" | "OnFailure" | "Never"
  /** By container, the steps of each run. */
  readonly init?: ReadonlyArray<ReadonlyArray<Step>>
  readonly main: ReadonlyArray<ReadonlyArray<Step>>
  readonly endsBehindGate?: boolean
  /** Filled from a ConfigMap of the pod's name. */
  readonly configured?: boolean
  /** What is told at last; or gone from API and device, and main wrote these lines. */
  readonly end:
    | { readonly phase: string; readonly main: Told; readonly init?: Told }
    | { readonly lines: ReadonlyArray<string> }
}

const once = (code: number): Story["end"] => ({
  phase: code === 0 ? "Succeeded" : "Failed",
  main: { starts: 1, restarts: 0, exit: code }
})
/** Runs once, for half a second, under Never. */
const brief = (name: string, code: number): Story => ({
  name,
  policy: "Never",
  main: [[sleep(0.5), exit(code)]],
  end: once(code)
})
const ended: Story["end"] = { lines: ["start", "term", "exit 0"] }
const behindGate = (name: string, policy: Story["policy"], code: number): Story => ({
  name,
  policy,
  main: [[gate("end"), exit(code)]],
  end: once(code)
})
const staying = (name: string, end: Story["end"] = ended): Story => ({ name, policy: "Always", main: [[stay]], end })
const crashing = (name: string): Story => ({
  name,
  policy: "OnFailure",
  main: [[gate("first"), exit(3)], [gate("second"), exit(4)], [exit(0)]],
  end: { phase: "Succeeded", main: { starts: 3, restarts: 2, exit: 0, before: 4 } }
})
const initialised = (name: string): Story => ({
  name,
  policy: "OnFailure",
  init: [[gate("init"), exit(0)]],
  main: [[sleep(0.3), exit(0)]],
  end: { phase: "Succeeded", init: { starts: 1, restarts: 0, exit: 0 }, main: { starts: 1, restarts: 0, exit: 0 } }
})

export const stories = {
  steady: staying("steady", { phase: "Running", main: { starts: 1, restarts: 0 } }),
  unborn: brief("unborn", 11),
  newborn: brief("newborn", 12),
  resolved: brief("resolved", 13),
  assigned: brief("assigned", 14),
  waiting: { ...brief("waiting", 15), configured: true },
  boxed: brief("boxed", 16),
  made: brief("made", 17),
  starting: brief("starting", 18),
  nearly: brief("nearly", 19),
  started: brief("started", 20),
  initialising: initialised("initialising"),
  initialised: initialised("initialised"),
  running: behindGate("running", "Never", 21),
  crashing: crashing("crashing"),
  waitingLong: crashing("waiting-long"),
  unseen: behindGate("unseen", "Never", 22),
  done: behindGate("done", "OnFailure", 0),
  reported: behindGate("reported", "Never", 23),
  deleted: staying("deleted"),
  graceful: { ...staying("graceful"), endsBehindGate: true },
  handled: { ...staying("handled"), endsBehindGate: true },
  orphaned: staying("orphaned"),
  abandoned: { ...staying("abandoned") },
  goneTwice: { ...behindGate("gone-twice", "Never", 24), end: { lines: ["start", "exit 24"] } },
  finished: { ...brief("finished", 25), end: { lines: ["start", "exit 25"] } }
} as const satisfies Readonly<Record<string, Story>>

export const podOf = (story: Story, image: string, folder: string): Pod => {
  const container = (name: string, runs: ReadonlyArray<ReadonlyArray<Step>>) => ({
    name,
    image,
    imagePullPolicy: "IfNotPresent",
    command: ["sh", "-c", script(folder, story.name, name, runs, story.endsBehindGate === true)],
    ...(story.configured === true
      ? { env: [{ name: "SETTING", valueFrom: { configMapKeyRef: { name: story.name, key: "setting" } } }] }
      : {}),
    volumeMounts: [{ name: "ledger", mountPath: folder }]
  })
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "edge", name: story.name },
    spec: {
      nodeName: "edge-1",
      restartPolicy: story.policy,
      terminationGracePeriodSeconds: 60, // nothing of this is ever killed for being slow
      automountServiceAccountToken: false,
      tolerations: [{ key: "arhat.dev/namespace", operator: "Exists" }],
      ...(story.init === undefined ? {} : { initContainers: [container("init", story.init)] }),
      containers: [container("main", story.main)],
      volumes: [{ name: "ledger", hostPath: { path: folder, type: "Directory" } }]
    }
  }
}
