/** What kubectl says where there is nothing to talk to: a refusal reaches the person who asked, with what to do about it. */
import { assert } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { existsSync, readFileSync } from "node:fs"
import { connect } from "node:net"
import { documented } from "../badInput/sentences.ts"
import { freePorts } from "../freePorts.ts"
import { apply, eventually, NotAsExpected } from "../Line.ts"
import type { Client, Column } from "./Column.ts"
import type { Cell } from "./Row.ts"

/** One pod with a container that runs, one whose image cannot be had, and one that has ended. */
const halfUp = (column: Column, name: string) => {
  const pod = column.podOf(name, "while :; do sleep 1; done") as {
    readonly spec: { readonly containers: ReadonlyArray<object> }
  }
  const [main] = pod.spec.containers
  const more = [
    // Nobody answers there, and at once.
    { ...main, name: "stuck", image: "127.0.0.1:9/none:1" },
    { ...main, name: "ended", command: ["/bin/busybox", "true"] }
  ]
  return { ...pod, spec: { ...pod.spec, containers: [main, ...more] } }
}

/** What kubectl says, to whomever it says it, when it does not do what it was asked for. */
export const refusal = Effect.fnUntraced(function*({ kubectl }: Client, ...args: ReadonlyArray<string>) {
  const { exitCode, stderr, stdout } = yield* kubectl(args)
  assert.notStrictEqual(exitCode, 0, `kubectl ${args.join(" ")} says ${stdout}`)
  return stdout + stderr
})

/** What is in a file, once it fits. */
export const saysInTime = (file: string, fits: RegExp) =>
  Effect.suspend(() => {
    const seen = existsSync(file) ? readFileSync(file, "utf8") : ""
    return fits.test(seen) ? Effect.succeed(seen) : Effect.fail(new NotAsExpected({ what: `${fits}`, seen }))
  }).pipe(Effect.retry(Schedule.spaced("200 millis").pipe(Schedule.upTo({ times: 300 }))))

/** What port-forward says of a connection to a port of a pod that cannot be had. */
export const refusedPort = Effect.fnUntraced(
  function*({ client, folder }: Pick<Cell, "client" | "folder">, pod: string, port: number, fits: RegExp) {
    const [outside = 0] = yield* freePorts(1)
    const file = `${folder}/${pod}-${port}.log`
    yield* client.stays(["port-forward", `pod/${pod}`, `${outside}:${port}`], file)
    yield* saysInTime(file, /Forwarding from 127\.0\.0\.1/)
    yield* Effect.acquireRelease(
      Effect.sync(() => connect({ host: "127.0.0.1", port: outside }).on("error", () => {})),
      (socket) => Effect.sync(() => socket.destroy())
    )
    return yield* saysInTime(file, fits)
  },
  Effect.scoped
)

const switchedOff = (what: string, key: string) =>
  `${what}: switched off on this device; arhat.host.${key}: true in its own configuration allows it`

export const saysWhyNot = Effect.fnUntraced(function*({ client, column, folder, index }: Cell) {
  const half = column.pod(`half-${index}`)
  yield* apply(client.kubectl, halfUp(column, `half-${index}`))
  const states = ["main", "stuck", "ended"].map((name) => `{.status.containerStatuses[?(@.name=='${name}')].state}`)
  yield* eventually(
    client.kubectl,
    ["get", "pod", half, "-o", `jsonpath=${states.join(" ")}`],
    (stdout) => /running.*ImagePull.*terminated/.test(stdout)
  )
  const command = ["--", "/bin/busybox", "true"]
  for (const name of ["stuck", "ended"]) {
    const words = `container not found ("${name}")`
    assert.include(yield* refusal(client, "exec", half, "-c", name, ...command), words)
    assert.include(yield* refusal(client, "attach", half, "-c", name), words)
  }
  assert.match(
    yield* refusal(client, "logs", half, "-c", "stuck"),
    /container "stuck" in pod "[^"]*" is waiting to start: (image can't be pulled|trying and failing to pull image)/
  )
  const unknown = [["exec", half, "-c", "nobody", ...command], ["attach", half, "-c", "nobody"], [
    "logs",
    half,
    "-c",
    "nobody"
  ]]
  for (const args of unknown) assert.match(yield* refusal(client, ...args), /container.*nobody/)
  const noPod = [["exec", "no-such-pod", ...command], ["attach", "no-such-pod"], ["logs", "no-such-pod"], [
    "port-forward",
    "no-such-pod",
    "80"
  ]]
  for (const args of noPod) assert.include(yield* refusal(client, ...args), "pods \"no-such-pod\" not found")

  const host = column.name
  assert.include(
    yield* refusal(client, "exec", host, ...command),
    documented(switchedOff("commands on the host", "allowExec"))
  )
  assert.include(yield* refusal(client, "attach", host), switchedOff("a shell on the host", "allowAttach"))
  assert.include(yield* refusal(client, "logs", host), switchedOff("the agent's log", "allowLog"))
  const ports = switchedOff("ports of the host", "allowPortForward")
  yield* refusedPort(
    { client, folder },
    host,
    9,
    new RegExp(`error forwarding port 9 to pod ${host}, uid .*: ${ports}`)
  )
  documented("nobody answers at port 80: connect ECONNREFUSED")
  yield* refusedPort(
    { client, folder },
    column.pod("shell"),
    9,
    /error forwarding port 9 to pod .*: nobody answers at port 9: connect ECONNREFUSED /
  )
})
