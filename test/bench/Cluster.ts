/** A bare client of an API server, independent of the product's: single calls, and a list that keeps itself up to date. */
import { Deferred, Effect, Schema } from "effect"
import { readFileSync } from "node:fs"
import { Agent, request } from "undici"
import { parse } from "yaml"

export class ClusterRefused extends Schema.TaggedError<ClusterRefused>()("ClusterRefused", {
  call: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `${this.call}: ${this.detail}`
  }
}

export interface KubeObject {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly uid?: string }
  readonly spec?: Readonly<Record<string, unknown>>
  readonly status?: {
    readonly phase?: string
    readonly conditions?: ReadonlyArray<{ readonly type: string; readonly status: string }>
    readonly containerStatuses?: ReadonlyArray<{ readonly restartCount: number; readonly state?: object }>
  }
}

/** The objects under a path, by name. */
export interface Observed {
  readonly objects: ReadonlyMap<string, KubeObject>
  /** The moment (`performance.now()`) at which the objects first fitted. */
  readonly until: (
    what: string,
    fits: (objects: ReadonlyMap<string, KubeObject>) => boolean,
    limitSeconds?: number
  ) => Effect.Effect<number, ClusterRefused>
}

interface Kubeconfig {
  readonly clusters: ReadonlyArray<
    { readonly cluster: { readonly server: string; readonly "certificate-authority-data": string } }
  >
  readonly users: ReadonlyArray<
    { readonly user: { readonly "client-certificate-data": string; readonly "client-key-data": string } }
  >
}

const pem = (data = "") => Buffer.from(data, "base64")

export const clusterAt = Effect.fnUntraced(function*(kubeconfigPath: string) {
  const { clusters: [one], users: [person] } = parse(readFileSync(kubeconfigPath, "utf8")) as Kubeconfig
  const server = one?.cluster.server ?? ""
  const dispatcher = yield* Effect.acquireRelease(
    Effect.sync(() =>
      new Agent({
        bodyTimeout: 0,
        connect: {
          ca: pem(one?.cluster["certificate-authority-data"]),
          cert: pem(person?.user["client-certificate-data"]),
          key: pem(person?.user["client-key-data"])
        }
      })
    ),
    (agent) => Effect.promise(() => agent.destroy())
  )

  const call = (method: "GET" | "POST" | "DELETE", path: string, body?: object) =>
    Effect.tryPromise({
      try: async (signal): Promise<unknown> => {
        const answer = await request(`${server}${path}`, {
          method,
          dispatcher,
          signal,
          headers: { "content-type": "application/json" },
          body: body === undefined ? null : JSON.stringify(body)
        })
        const text = await answer.body.text()
        if (answer.statusCode >= 300) throw new Error(`${answer.statusCode} ${text.slice(0, 300)}`)
        return `${answer.headers["content-type"]}`.startsWith("text/plain") ? text : JSON.parse(text)
      },
      catch: (cause) => new ClusterRefused({ call: `${method} ${path}`, detail: String(cause) })
    })

  /** Lives as long as the scope. */
  const observe = Effect.fnUntraced(function*(path: string) {
    const objects = new Map<string, KubeObject>()
    const waiting = new Set<() => void>()
    const take = (line: string) => {
      const { object, type } = JSON.parse(line) as { readonly type: string; readonly object: KubeObject }
      if (type === "BOOKMARK") return
      if (type === "DELETED") objects.delete(object.metadata.name)
      else objects.set(object.metadata.name, object)
      for (const look of [...waiting]) look()
    }
    const broken = yield* Deferred.make<never, ClusterRefused>()
    const refused = (detail: string) => new ClusterRefused({ call: `watch ${path}`, detail })
    yield* Effect.forkScoped(
      Effect.tryPromise({
        try: async (signal) => {
          const answer = await request(`${server}${path}?watch=1&timeoutSeconds=86400`, { dispatcher, signal })
          if (answer.statusCode !== 200) throw new Error(`${answer.statusCode} ${await answer.body.text()}`)
          answer.body.setEncoding("utf8")
          let rest = ""
          for await (const chunk of answer.body) {
            const lines = `${rest}${String(chunk)}`.split("\n")
            rest = lines.pop() ?? ""
            for (const line of lines) take(line)
          }
          throw new Error("it ended")
        },
        catch: (cause) => refused(String(cause))
      }).pipe(Effect.catch((error) => Deferred.fail(broken, error)))
    )
    const until: Observed["until"] = (what, fits, limitSeconds = 120) =>
      Effect.callback<number>((resume) => {
        const look = () => {
          if (!fits(objects)) return
          waiting.delete(look)
          resume(Effect.succeed(performance.now()))
        }
        waiting.add(look)
        look()
        return Effect.sync(() => waiting.delete(look))
      }).pipe(
        Effect.raceFirst(Deferred.await(broken)),
        Effect.timeoutOrElse({
          duration: `${limitSeconds} seconds`,
          orElse: () => Effect.fail(refused(`${what}: not so after ${limitSeconds} s`))
        })
      )
    return { objects, until } satisfies Observed
  })

  return { call, observe }
})
export type Cluster = Effect.Success<ReturnType<typeof clusterAt>>

export const condition = (object: KubeObject | undefined, type: string): string | undefined =>
  object?.status?.conditions?.find((each) => each.type === type)?.status

export const paths = {
  nodes: "/api/v1/nodes",
  pods: "/api/v1/namespaces/edge/pods",
  configMaps: "/api/v1/namespaces/edge/configmaps",
  edgeDevices: "/apis/aranya.arhat.dev/v1alpha1/namespaces/edge/edgedevices",
  leases: "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
} as const
