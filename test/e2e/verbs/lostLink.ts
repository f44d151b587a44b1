/** What a person at kubectl reads when a device goes away under them, and while it is away. */
import { assert } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { mkdirSync } from "node:fs"
import { connect } from "node:net"
import { documented } from "../badInput/sentences.ts"
import { freePorts } from "../freePorts.ts"
import { apply, edgeDevice, eventually, prepareAgent } from "../Line.ts"
import { type Column, podSpec } from "./Column.ts"
import { refusal, refusedPort, saysInTime } from "./refusals.ts"
import { podsGo } from "./Site.ts"

/** A device of its own, which is killed and comes back, beside those of the table. */
export const losesTheLink = Effect.fnUntraced(function*(
  { clients, runtime }: Column,
  folder: string,
  way: { readonly operatorKey: string; readonly caData: string; readonly endpoint: string }
) {
  const device = `away-${runtime.name}`
  mkdirSync(`${folder}/${device}`)
  const [first] = clients
  const { kubectl } = first!
  const agent = yield* prepareAgent(`${folder}/${device}`, { device, ...way, runtime: runtime.config })
  yield* apply(kubectl, edgeDevice(device, agent.publicKey))
  const life = yield* agent.start
  const [port = 0, ...outside] = yield* freePorts(1 + clients.length)
  const pod = (name: string) => {
    const { containers: [main], ...spec } = podSpec(device, runtime)
    const echo = `busybox nc -ll -p ${port} -e /bin/busybox cat`
    const command = ["/bin/busybox", "sh", "-c", `echo here; ${echo} & while :; do busybox sleep 1; echo still; done`]
    return {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { namespace: "edge", name },
      spec: { ...spec, containers: [{ ...main, command }] }
    }
  }
  const left = `left-${runtime.name}`
  yield* apply(kubectl, pod(left))
  yield* eventually(kubectl, ["get", "pod", left, "-o", "jsonpath={.status.phase}"], (stdout) => stdout === "Running")

  const streams = clients.flatMap((client) =>
    [
      ["exec", left, "--", "/bin/busybox", "sh", "-c", "echo here; busybox sleep 10000"],
      ["logs", "-f", left],
      ["attach", left],
      ["port-forward", `pod/${left}`, `${outside[clients.indexOf(client)]}:${port}`]
    ].map((args) => ({ client, args, file: `${folder}/${device}/${client.name}-${args[0]}.log` }))
  )
  for (const { args, client, file } of streams) {
    yield* client.stays(args, file)
    yield* saysInTime(file, args[0] === "port-forward" ? /Forwarding from 127\.0\.0\.1/ : /here|still/)
  }
  const talks = yield* Effect.forEach(outside, talking)
  process.kill(life.pid, "SIGKILL")
  yield* Effect.exit(life.ended)

  const said = (sentence: string) => documented(sentence).replace("edge-1", device)
  const notConnected = new RegExp(said("device edge-1 is not connected: ask again when it is back"))
  for (const client of clients) {
    const own = { client, folder: `${folder}/${device}` }
    assert.match(yield* refusal(client, "exec", left, "--", "/bin/busybox", "true"), notConnected)
    assert.match(yield* refusal(client, "attach", left), notConnected)
    assert.match(yield* refusal(client, "logs", left), notConnected)
    yield* refusedPort(own, left, clients.indexOf(client) + 80, notConnected)
  }

  yield* agent.start
  yield* Effect.addFinalizer(() => Effect.ignore(kubectl(podsGo(device))))
  for (const over of talks) yield* over
  for (const { args, file } of streams) {
    const sentence = args[0] === "logs" || args[0] === "port-forward"
      ? said("the link to device edge-1 was lost (...): ask again")
      : said("the link to device edge-1 was lost (...): whether what was asked for came to its end is not known")
    yield* saysInTime(file, new RegExp(sentence.replace("(...)", "\\(.*\\)")))
  }
  yield* eventually(kubectl, ["logs", left], (stdout) => stdout.startsWith("here\nstill\n"))
})

/** A connection to a forwarded port that has answered once; what this gives waits for its end. */
const talking = Effect.fnUntraced(function*(port: number) {
  const over = yield* Deferred.make<void>()
  const answered = yield* Deferred.make<void>()
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() => connect({ host: "127.0.0.1", port })),
    (socket) => Effect.sync(() => socket.destroy())
  )
  socket.on("error", () => {})
  socket.on("data", () => Deferred.doneUnsafe(answered, Effect.void))
  socket.on("close", () => Deferred.doneUnsafe(over, Effect.void))
  socket.write("hello\n")
  yield* Deferred.await(answered).pipe(Effect.timeout("20 seconds"))
  return Deferred.await(over).pipe(Effect.timeout("60 seconds"))
})
