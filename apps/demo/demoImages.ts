/** The images the demo runs in docker: pulled where there is a registry, made from the host's static busybox where there is none. */
import { Effect, Schema } from "effect"
import { existsSync, readFileSync } from "node:fs"
import { request } from "node:http"
import { tarOf } from "./tarOf.ts"

export class NoImages extends Schema.TaggedError<NoImages>()("NoImages", { detail: Schema.String }) {
  override get message() {
    return this.detail
  }
}

interface Answer {
  readonly status: number
  readonly body: string
}

const longestAnswer = 1024 * 1024

const call = (socketPath: string, method: string, path: string, body?: Buffer) =>
  Effect.callback<Answer, NoImages>((resume) => {
    const fail = (error: Error) =>
      resume(Effect.fail(new NoImages({ detail: `docker ${method} ${path}: ${error.message}` })))
    const asked = request({ socketPath, method, path, timeout: 120_000 }, (answer) => {
      let text = ""
      answer.setEncoding("utf8")
      answer.on("data", (chunk: string) => {
        if (text.length < longestAnswer) text += chunk
      })
      answer.once("end", () => resume(Effect.succeed({ status: answer.statusCode ?? 0, body: text })))
      answer.once("error", fail)
    })
    asked.once("error", fail)
    asked.once("timeout", () => asked.destroy(new Error("no answer within two minutes")))
    asked.end(body)
    return Effect.sync(() => asked.destroy())
  })

/** Whether a docker engine answers on the socket. */
export const dockerAnswers = (socketPath: string) =>
  existsSync(socketPath)
    ? call(socketPath, "GET", "/_ping").pipe(
      Effect.map(({ status }) => status === 200),
      // Not an engine, or not for us: the demo goes on without it.
      Effect.catch(() => Effect.succeed(false))
    )
    : Effect.succeed(false)

const present = (socketPath: string, image: string) =>
  Effect.map(call(socketPath, "GET", `/images/${encodeURIComponent(image)}/json`), ({ status }) => status === 200)

const pull = Effect.fnUntraced(function*(socketPath: string, image: string) {
  if (yield* present(socketPath, image)) return true
  const [name = "", tag = ""] = image.split(/:(?=[^:/]*$)/u)
  yield* call(socketPath, "POST", `/images/create?fromImage=${encodeURIComponent(name)}&tag=${encodeURIComponent(tag)}`)
  return yield* present(socketPath, image)
})

const busyboxPath = () => ["/bin/busybox", "/usr/bin/busybox"].find((path) => existsSync(path))
const applets = [
  "sh",
  "sleep",
  "cat",
  "echo",
  "date",
  "ls",
  "env",
  "id",
  "hostname",
  "trap",
  "true",
  "false",
  "wget",
  "httpd"
]

const importImage = Effect.fnUntraced(function*(socketPath: string, image: string, change: string) {
  if (yield* present(socketPath, image)) return
  const busybox = busyboxPath()
  if (busybox === undefined) {
    return yield* new NoImages({
      detail: "no registry can be reached and this host has no static busybox: install Debian's busybox-static"
    })
  }
  const [name = "", tag = ""] = image.split(/:(?=[^:/]*$)/u)
  const archive = tarOf([
    { path: "bin/", mode: 0o755 },
    { path: "tmp/", mode: 0o1777 },
    { path: "etc/", mode: 0o755 },
    { path: "bin/busybox", mode: 0o755, content: readFileSync(busybox) },
    ...applets.map((applet) => ({ path: `bin/${applet}`, mode: 0o777, link: "busybox" }))
  ])
  const query = `fromSrc=-&repo=${encodeURIComponent(name)}&tag=${encodeURIComponent(tag)}&changes=${
    encodeURIComponent(change)
  }`
  const { body, status } = yield* call(socketPath, "POST", `/images/create?${query}`, archive)
  if (status !== 200) return yield* new NoImages({ detail: `docker did not import ${image}: ${body.trim()}` })
})

export const demoImages = Effect.fnUntraced(function*(socketPath: string) {
  const pulled = { busybox: "busybox:1.36", pause: "registry.k8s.io/pause:3.10" }
  if ((yield* pull(socketPath, pulled.pause)) && (yield* pull(socketPath, pulled.busybox))) return pulled
  const made = { busybox: "aranya.local/busybox:demo", pause: "aranya.local/pause:demo" }
  yield* importImage(socketPath, made.busybox, "CMD [\"sh\"]")
  yield* importImage(socketPath, made.pause, "ENTRYPOINT [\"/bin/busybox\",\"sleep\",\"2147483647\"]")
  return made
})
