/** The rows of the table of verbs: what a person does with kubectl, and what has to come of it. */
import { assert } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { createHash, randomBytes } from "node:crypto"
import { createReadStream, writeFileSync } from "node:fs"
import { request } from "node:http"
import { freePorts } from "../freePorts.ts"
import { eventually, NotAsExpected } from "../Line.ts"
import { runProgram } from "../program.ts"
import { type Client, type Column, podSpec } from "./Column.ts"
import { saysWhyNot } from "./refusals.ts"
import type { Cell, Row } from "./Row.ts"

const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")

const digestOf = (path: string) =>
  Effect.callback<string>((resume) => {
    const hash = createHash("sha256")
    createReadStream(path).on("data", (part) => hash.update(part)).on("end", () =>
      resume(Effect.succeed(hash.digest("hex")))).on("error", (error) =>
        resume(Effect.die(error)))
  })

const shell = (...script: ReadonlyArray<string>) => ["--", "/bin/busybox", "sh", "-c", ...script]

const quoted = (words: ReadonlyArray<string>) => words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ")

/** In a terminal of 123 columns and 41 lines. */
const inTerminal = ({ command, env }: Client, args: ReadonlyArray<string>) =>
  runProgram("script", ["-qec", `stty rows 41 cols 123; ${quoted([...command, ...args])}`, "/dev/null"], { env })

const ok = (outcome: { readonly exitCode: number; readonly stdout: string; readonly stderr: string }) => {
  assert.strictEqual(outcome.exitCode, 0, outcome.stderr)
  return outcome.stdout
}

/** The log of one of the column's pods. */
const logs = ({ client, column }: Cell, pod: string, ...options: ReadonlyArray<string>) =>
  Effect.map(client.kubectl(["logs", column.pod(pod), ...options]), ok)

const ask = (port: number, path: string) =>
  Effect.callback<string>((resume) => {
    const asked = request({ host: "127.0.0.1", port, path, agent: false }, (response) => {
      const parts: Array<Buffer> = []
      response.on("data", (part: Buffer) => parts.push(part))
      response.on("end", () => resume(Effect.succeed(`${response.statusCode} ${digest(Buffer.concat(parts))}`)))
      response.on("error", (error) => resume(Effect.succeed(`broken: ${error.message}`)))
    })
    asked.on("error", (error) => resume(Effect.succeed(`failed: ${error.message}`)))
    asked.end()
    return Effect.sync(() => asked.destroy())
  })

const forwards = Effect.fnUntraced(function*(cell: Cell, pod: string, inside: number, requests: number) {
  const { client, column, folder } = cell
  const [outside = 0] = yield* freePorts(1)
  yield* client.stays(["port-forward", `pod/${column.pod(pod)}`, `${outside}:${inside}`], `${folder}/${pod}.log`)
  const whole = `200 ${digest(column.page)}`
  yield* ask(outside, "/page").pipe(
    Effect.flatMap((seen) =>
      seen === whole ? Effect.void : Effect.fail(new NotAsExpected({ what: "the first answer", seen }))
    ),
    Effect.retry(Schedule.spaced("100 millis").pipe(Schedule.upTo({ times: 300 })))
  )
  const answers = yield* Effect.forEach(Array.from({ length: requests }), () => ask(outside, "/page"), {
    concurrency: "unbounded"
  })
  assert.deepStrictEqual([...new Set(answers)], [whole])
})

const copies = Effect.fnUntraced(function*({ client, column, folder, index }: Cell, bytes: number) {
  writeFileSync(`${folder}/up`, randomBytes(bytes))
  const inside = `${column.site}/copy-${index}`
  ok(yield* client.kubectl(["cp", `${folder}/up`, `${column.pod("shell")}:${inside}`]))
  ok(yield* client.kubectl(["cp", `${column.pod("shell")}:${inside}`, `${folder}/down`]))
  const [up, between, down] = yield* Effect.all([
    digestOf(`${folder}/up`),
    digestOf(inside),
    digestOf(`${folder}/down`)
  ])
  assert.deepStrictEqual([between, down], [up, up])
  ok(yield* client.kubectl(["exec", column.pod("shell"), ...shell(`rm ${inside}`)]))
})

const newestOnly = ({ name }: Client) => name === "WebSocket" ? undefined : "the same bytes by whatever client"
const modern = ({ name }: Client) =>
  name === "kubectl 1.20" ? "adds containers by an API that clusters have not served since 1.25" : undefined
const needsTerminal = ({ runtime }: Column) =>
  runtime.name === "docker" ? undefined : "terminals of pods as processes have a table of their own"

export const rows: ReadonlyArray<Row> = [
  {
    verb: "logs",
    shows: "all, the end, a part, with times, and since a time or so many seconds",
    does: Effect.fnUntraced(function*(cell) {
      const whole = yield* Effect.suspend(() => logs(cell, "talker")).pipe(
        Effect.flatMap((seen) =>
          seen.includes("three")
            ? Effect.succeed(seen)
            : Effect.fail(new NotAsExpected({ what: "three lines", seen }))
        ),
        Effect.retry(Schedule.spaced("300 millis").pipe(Schedule.upTo({ times: 60 })))
      )
      assert.deepStrictEqual(whole.trim().split("\n").toSorted(), ["one", "three", "two"])
      assert.strictEqual(yield* logs(cell, "talker", "--tail=1"), "three\n")
      assert.strictEqual(yield* logs(cell, "talker", "--tail=0"), "")
      assert.strictEqual(yield* logs(cell, "talker", "--limit-bytes=2"), whole.slice(0, 2))
      assert.strictEqual(yield* logs(cell, "talker", "--since=1h"), whole)
      const timed = (yield* logs(cell, "talker", "--timestamps")).trim().split("\n")
      for (const line of timed) assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (one|two|three)$/)
      const [time = ""] = timed.find((line) => line.endsWith("three"))?.split(" ") ?? []
      const second = `${time.slice(0, 19)}Z`
      assert.strictEqual(yield* logs(cell, "talker", `--since-time=${second}`), "three\n")
      // Long enough after the last line in any case: the pod has run since the table was set up.
      yield* Effect.sleep("2 seconds")
      assert.strictEqual(yield* logs(cell, "talker", "--since=1s"), "")
    })
  },
  {
    verb: "logs",
    shows: "of the run before, and of the one that runs",
    does: Effect.fnUntraced(function*(cell) {
      const { client, column } = cell
      yield* eventually(
        client.kubectl,
        [
          "get",
          "pod",
          column.pod("phoenix"),
          "-o",
          "jsonpath={.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}"
        ],
        (stdout) => stdout === "1 true"
      )
      assert.strictEqual(yield* logs(cell, "phoenix", "--previous"), "life 1\n")
      assert.strictEqual(yield* logs(cell, "phoenix"), "life 2\n")
      const none = yield* client.kubectl(["logs", column.pod("talker"), "--previous"])
      assert.strictEqual(none.exitCode, 1)
      assert.match(none.stderr, /previous terminated container "main" in pod "[^"]*" not found/)
    })
  },
  {
    verb: "logs -f",
    shows: "every line once and in order across rotation and a restart of the container, to the end of each run",
    lasts: true,
    not: (_, client) => newestOnly(client),
    does: Effect.fnUntraced(function*({ client, column }) {
      // More than the 10 MiB after which either runtime begins another file, no faster than a log is written in life.
      const lines = 12_000
      const kilobyte = "x".repeat(990)
      const script =
        `n=$(cat ${column.site}/floods 2>/dev/null); n=$((n+1)); echo $n >${column.site}/floods; until [ $n -eq 1 ] || [ -e ${column.site}/go ]; do sleep 0.2; done; i=0; while [ $i -lt ${lines} ]; do i=$((i+1)); echo $n $i ${kilobyte}; [ $((i % 400)) -ne 0 ] || sleep 0.1; done; [ $n -gt 1 ]`
      yield* Effect.acquireRelease(
        client.kubectl(["apply", "-f", "-"], {
          stdin: JSON.stringify(column.podOf("flood", script, {}, { restartPolicy: "OnFailure" }))
        }),
        () => Effect.ignore(client.kubectl(["delete", "pod", column.pod("flood"), "--wait=false"]))
      )
      for (const run of [1, 2]) {
        yield* eventually(
          client.kubectl,
          [
            "get",
            "pod",
            column.pod("flood"),
            "-o",
            "jsonpath={.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}"
          ],
          (stdout) => stdout === `${run - 1} true`
        )
        // A run that has ended is kept until the next one has: a slow reader is given the time it needs.
        if (run === 2) writeFileSync(`${column.site}/go`, "")
        const followed = yield* client.kubectl(["logs", "-f", column.pod("flood")])
        const seen = ok(followed).trimEnd().split("\n").map((line) => line.slice(0, line.indexOf(" x")))
        const at = seen.findIndex((line, index) => line !== `${run} ${index + 1}`)
        const around = JSON.stringify(seen.slice(Math.max(0, at - 3), at + 4).map((line) => line.slice(0, 200)))
        assert.strictEqual(at, -1, `run ${run} goes wrong in line ${at + 1} of ${seen.length}: ${around}`)
        assert.strictEqual(seen.length, lines, `run ${run} ends with ${seen.at(-1)}`)
      }
    })
  },
  {
    verb: "exec",
    shows: "what the command said on both streams, its exit code, and what cannot be run",
    does: Effect.fnUntraced(function*({ client, column }) {
      const exec = (...args: ReadonlyArray<string>) => client.kubectl(["exec", column.pod("shell"), ...args])
      const said = yield* exec(...shell("echo out; echo err >&2; exit 0"))
      assert.deepStrictEqual({ ...said, stderr: said.stderr.trim() }, { stdout: "out\n", stderr: "err", exitCode: 0 })
      for (const code of [1, 126, 137, 255]) {
        assert.strictEqual((yield* exec(...shell(`exit ${code}`))).exitCode, code)
      }
      const none = yield* exec("--", "/no/such/program")
      assert.notStrictEqual(none.exitCode, 0)
      assert.match(none.stdout + none.stderr, /no\/such\/program/)
      const nobody = yield* client.kubectl(["exec", column.pod("shell"), "-c", "nobody", "--", "true"])
      assert.match(nobody.stderr, /nobody/)
      assert.notStrictEqual(nobody.exitCode, 0)
    })
  },
  {
    verb: "exec -i",
    shows: "gives the command its input, its end, and hears what comes after",
    does: Effect.fnUntraced(function*({ client, column }) {
      const stdin = "a line of input\n".repeat(20_000)
      const counted = yield* client.kubectl(
        ["exec", "-i", column.pod("shell"), ...shell("busybox wc -c; echo after; exit 4")],
        { stdin }
      )
      assert.deepStrictEqual([counted.stdout.trim().split(/\s+/), counted.exitCode], [[`${stdin.length}`, "after"], 4])
    })
  },
  {
    verb: "exec -it",
    shows: "has a terminal as large as the person's own",
    not: needsTerminal,
    does: Effect.fnUntraced(function*({ client, column }) {
      const script = "until busybox stty size | busybox grep 41; do busybox sleep 0.1; done; echo done"
      const typed = yield* inTerminal(client, ["exec", "-it", column.pod("shell"), ...shell(script)])
      assert.match(typed.stdout, /41 123[^]*done/)
    })
  },
  {
    verb: "attach",
    shows: "speaks with the process itself until that ends",
    does: Effect.fnUntraced(function*({ client, column, index }) {
      const heard = yield* client.kubectl(["attach", "-i", column.pod(`listener-${index}`)], { stdin: "one\ntwo\n" })
      assert.match(heard.stdout, /heard one\nheard two\n2 lines/)
    })
  },
  { verb: "cp", shows: "brings 3 MB up and down byte for byte", does: (cell) => copies(cell, 3_000_000) },
  {
    verb: "cp",
    shows: "brings 100 MB up and down byte for byte",
    lasts: true,
    not: (_, client) => newestOnly(client),
    does: (cell) => copies(cell, 100_000_000)
  },
  {
    verb: "port-forward",
    shows: "answers 100 requests at once",
    inTurn: true,
    does: (cell) => forwards(cell, "web", cell.column.ports.web, 100)
  },
  {
    verb: "port-forward",
    shows: "reaches a server on IPv6",
    does: (cell) => forwards(cell, "web6", cell.column.ports.web6, 3)
  },
  {
    verb: "run",
    shows: "--rm -i --restart=Never ends with the exit code of the pod, which is gone",
    does: Effect.fnUntraced(function*({ client, column, index }) {
      const name = column.pod(`run-${index}`)
      const { containers: _, ...spec } = podSpec(column.name, column.runtime)
      const ran = yield* client.kubectl([
        "run",
        name,
        "--rm",
        "-i",
        "--restart=Never",
        `--image=${column.runtime.image}`,
        "--image-pull-policy=IfNotPresent",
        `--overrides=${JSON.stringify({ apiVersion: "v1", spec })}`,
        "--command",
        ...shell("while read line; do echo heard $line; done; exit 3")
      ], { stdin: "one\ntwo\n" })
      assert.match(ran.stdout, /heard one\nheard two\n/)
      assert.strictEqual(ran.exitCode, 3, ran.stderr)
      yield* eventually(
        client.kubectl,
        ["get", "pod", name, "--ignore-not-found", "-o", "name"],
        (stdout) => stdout === ""
      )
    })
  },
  {
    verb: "run",
    shows: "-it gives a shell in a terminal",
    not: needsTerminal,
    does: Effect.fnUntraced(function*({ client, column, index }) {
      const { containers: _, ...spec } = podSpec(column.name, column.runtime)
      const ran = yield* inTerminal(client, [
        "run",
        column.pod(`typed-${index}`),
        "--rm",
        "-it",
        "--restart=Never",
        `--image=${column.runtime.image}`,
        "--image-pull-policy=IfNotPresent",
        `--overrides=${JSON.stringify({ apiVersion: "v1", spec })}`,
        "--command",
        ...shell("until busybox stty size | busybox grep 41; do busybox sleep 0.1; done; echo done; exit 5")
      ])
      assert.match(ran.stdout, /41 123[^]*done/)
      assert.strictEqual(ran.exitCode, 5, ran.stdout)
    })
  },
  {
    verb: "debug",
    shows: "adds a container that sees its target's processes, by logs and exec too, and touches nothing else",
    not: (_, client) => modern(client),
    does: Effect.fnUntraced(function*({ client, column, index }) {
      const pod = column.pod("shell")
      const { image, name: runtime } = column.runtime
      const identity = [
        "get",
        "pod",
        pod,
        "-o",
        "jsonpath={.status.phase} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}"
      ]
      const before = ok(yield* client.kubectl(identity))
      const debug = (name: string, more: ReadonlyArray<string>, script: string, stdin = "") =>
        client.kubectl([
          "debug",
          pod,
          `--image=${image}`,
          "--image-pull-policy=IfNotPresent",
          "--target=main",
          `--container=${name}`,
          ...more,
          ...shell(script)
        ], { stdin })
      const talked = yield* debug(
        `asked-${index}`,
        ["-i"],
        "read line; echo heard $line; busybox cat /proc/1/cmdline",
        "me\n"
      )
      assert.match(talked.stdout, /heard me/, talked.stderr)
      if (runtime === "docker") assert.include(talked.stdout, "trap 'exit 0' TERM")

      ok(yield* debug(`stays-${index}`, ["--attach=false"], "echo looking; while :; do sleep 1; done"))
      yield* eventually(
        client.kubectl,
        [
          "get",
          "pod",
          pod,
          "-o",
          `jsonpath={.status.ephemeralContainerStatuses[?(@.name=='stays-${index}')].state.running.startedAt}`
        ],
        (stdout) => stdout !== ""
      )
      // It runs before it has said anything.
      yield* eventually(client.kubectl, ["logs", pod, "-c", `stays-${index}`], (stdout) => stdout === "looking\n")
      const inside = yield* client.kubectl(["exec", pod, "-c", `stays-${index}`, ...shell("busybox ps")])
      assert.match(ok(inside), /trap 'exit 0' TERM|exit 0/)
      assert.strictEqual(ok(yield* client.kubectl(identity)), before)
    })
  },
  {
    verb: "debug -it",
    shows: "gives a shell in a terminal",
    not: (column, client) => needsTerminal(column) ?? modern(client),
    does: Effect.fnUntraced(function*({ client, column, index }) {
      const typed = yield* inTerminal(client, [
        "debug",
        "-it",
        column.pod("shell"),
        `--image=${column.runtime.image}`,
        "--target=main",
        `--container=typed-${index}`,
        ...shell("until busybox stty size | busybox grep 41; do busybox sleep 0.1; done; echo done")
      ])
      assert.match(typed.stdout, /41 123[^]*done/)
    })
  },
  {
    verb: "every verb",
    shows: "says why not, where a container waits, has ended or is unknown, or the device's owner does not allow it",
    does: saysWhyNot
  }
]
