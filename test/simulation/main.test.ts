import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { planOf, planText } from "./plan.ts"
import { operatorsOf } from "./sizes.ts"
import type { TraceEvent } from "./trace.ts"

const main = fileURLToPath(new URL("./main.ts", import.meta.url))

const simulate = (...args: ReadonlyArray<string>) =>
  new Promise<{ readonly code: unknown; readonly stdout: string; readonly stderr: string }>((resolve) => {
    execFile(process.execPath, [main, ...args], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stdout, stderr })
    })
  })

const hashOf = ({ stderr }: { readonly stderr: string }): string =>
  /hash of all \d+ stories ([0-9a-f]+)/u.exec(stderr)?.[1] ?? stderr

/** Pods of many kinds, in a world as small as can be. */
const plan = {
  ...planOf({ seed: 1, size: "small", profile: "calm" }),
  ciphers: "quick",
  operators: 1,
  late: [],
  settings: true,
  calm: 1_000,
  lasts: 20_000,
  deeds: [{ at: 0, what: "create", device: 1, seed: 1 }, { at: 15_000, what: "delete", device: 1, seed: 1 }]
} as const

describe("npm run simulate", () => {
  it(
    "says how it is used, and refuses what makes no sense with another exit code than a storm that fails",
    async () => {
      const help = await simulate("--help")
      assert.strictEqual(help.code, 0)
      assert.include(help.stdout, "--shrink")
      for (const args of [["--profile", "nothing"], ["--plan", "{}"], ["--seeds", "0"]]) {
        const refused = await simulate(...args)
        assert.strictEqual(refused.code, 2, args.join(" "))
        assert.notStrictEqual(refused.stderr, "")
        assert.strictEqual(refused.stdout, "")
      }
    },
    60_000
  )

  it("tells the same stories in other processes, to the last line, also of two operators", async () => {
    const alone = [1, 2, 3, 4, 5, 6].find((seed) => operatorsOf(seed) !== operatorsOf(seed + 1))
    const worlds = [
      ["--seed", String(alone), "--seeds", "2", "--size", "small"],
      [
        "--seed",
        "7",
        "--seeds",
        "3",
        "--size",
        "brief",
        "--profile",
        "methods",
        "--profile",
        "partition",
        "--profile",
        "budgets"
      ]
    ]
    for (const world of worlds) {
      const first = hashOf(await simulate(...world, "--no-shrink", "--workers", "1"))
      assert.match(first, /^[0-9a-f]{64}$/u)
      assert.strictEqual(hashOf(await simulate(...world, "--no-shrink", "--workers", "2")), first, world.join(" "))
    }
  }, 240_000)

  it("plays a plan and writes what happened; what fails is made small, told, and can be played again", async () => {
    const folder = mkdtempSync(join(tmpdir(), "simulate-"))
    try {
      const [file, jsonl, html] = ["plan.json", "storm.jsonl", "storm.html"].map((name) => join(folder, name))
      writeFileSync(file ?? "", planText(plan))
      const well = await simulate("--plan", file ?? "", "--workers", "1", "--trace", jsonl ?? "")
      assert.deepStrictEqual([well.code, well.stdout], [0, "{\"passed\":1,\"failed\":0,\"skipped\":0}\n"], well.stderr)
      const events = readFileSync(jsonl ?? "", "utf8").trim().split("\n").map((line) => JSON.parse(line) as TraceEvent)
      assert.include(well.stderr, `${events.length} events`)
      for (const { actor, at, kind, text } of events) {
        assert.deepStrictEqual([typeof at, typeof actor, typeof kind, typeof text], [
          "number",
          "string",
          "string",
          "string"
        ])
      }
      assert.deepStrictEqual(events.map(({ at }) => at), events.map(({ at }) => at).toSorted((a, b) => a - b))

      const wrong = { ...plan, deeds: [...plan.deeds, { at: 16_000, what: "miracle", device: 1, seed: 1 }] }
      const options = ["--workers", "1", "--trace", html ?? "", "--shrink", "--json"]
      const failed = await simulate("--plan", planText(wrong), ...options)
      assert.strictEqual(failed.code, 1, failed.stderr)
      assert.strictEqual(failed.stdout, "{\"passed\":[],\"failed\":[\"seed 1\"],\"skipped\":{}}\n")
      assert.match(failed.stderr, /this is left: 1 device, .* 1 deed: miracle/)
      assert.include(readFileSync(html ?? "", "utf8"), "nobody knows how to do miracle")
      const small = /--plan '(.*)'/.exec(failed.stderr.split("this is left").at(-1) ?? "")?.[1] ?? ""
      const again = await simulate("--plan", small, "--workers", "1", "--no-shrink")
      assert.strictEqual(again.code, 1)
      assert.include(again.stderr, "nobody knows how to do miracle")
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }, 120_000)
})
