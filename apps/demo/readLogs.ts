/** A container's log through the API server, as kubectl reads it; for hosts that have no kubectl. */
import { Effect, Schema } from "effect"
import { readFileSync } from "node:fs"
import { request } from "node:https"
import { parse } from "yaml"

export class LogsUnreadable extends Schema.TaggedError<LogsUnreadable>()("LogsUnreadable", { detail: Schema.String }) {
  override get message() {
    return this.detail
  }
}

interface Kubeconfig {
  readonly clusters: ReadonlyArray<
    { readonly cluster: { readonly server: string; readonly "certificate-authority-data": string } }
  >
  readonly users: ReadonlyArray<{
    readonly user: { readonly "client-certificate-data": string; readonly "client-key-data": string }
  }>
}

const pem = (data: string | undefined) => Buffer.from(data ?? "", "base64")
const most = 64 * 1024

export const readLogs = (kubeconfigPath: string, namespace: string, pod: string) =>
  Effect.callback<string, LogsUnreadable>((resume) => {
    const config = parse(readFileSync(kubeconfigPath, "utf8")) as Kubeconfig
    const cluster = config.clusters[0]?.cluster
    const user = config.users[0]?.user
    const url = new URL(`/api/v1/namespaces/${namespace}/pods/${pod}/log?limitBytes=${most}`, cluster?.server)
    const fail = (detail: string) => resume(Effect.fail(new LogsUnreadable({ detail })))
    const asked = request(url, {
      ca: pem(cluster?.["certificate-authority-data"]),
      cert: pem(user?.["client-certificate-data"]),
      key: pem(user?.["client-key-data"]),
      timeout: 20_000
    }, (answer) => {
      let text = ""
      answer.setEncoding("utf8")
      answer.on("data", (chunk: string) => {
        if (text.length < most) text += chunk
      })
      answer.once("end", () => answer.statusCode === 200 ? resume(Effect.succeed(text)) : fail(text))
      answer.once("error", (error) => fail(error.message))
    })
    asked.once("error", (error) => fail(error.message))
    asked.once("timeout", () => asked.destroy(new Error("no answer in 20 s")))
    asked.end()
    return Effect.sync(() => asked.destroy())
  })
