/** Speaks to a control plane's handler as a client would, without a door between. */
import { Effect, Layer, Stream } from "effect"
import { TokenSigner } from "../../../../adapters/kube/plane/authority/TokenSigner.ts"
import { ControllerSwitches } from "../../../../adapters/kube/plane/controller/controller.ts"
import { layerControllers } from "../../../../adapters/kube/plane/controller/controllers.ts"
import { ControlPlane, type ControlPlaneOptions } from "../../../../adapters/kube/plane/ControlPlane.ts"
import type { Json, JsonObject } from "../../../../adapters/kube/plane/object/json.ts"
import type { Caller } from "../../../../adapters/kube/plane/request/World.ts"

export const admin: Caller = { username: "admin", groups: ["system:masters"] }

const mediaTypes = {
  json: "application/json-patch+json",
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
  apply: "application/apply-patch+yaml"
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly json: JsonObject
}

export interface Asking {
  readonly body?: Json
  readonly patch?: keyof typeof mediaTypes
  readonly accept?: string
  readonly user?: Caller
  readonly token?: string
}

export const send = (method: string, url: string, { body, patch, accept, user = admin, token }: Asking = {}) =>
  Effect.gen(function*() {
    const plane = yield* ControlPlane
    const [path = "", query = ""] = url.split("?")
    return yield* plane.handle({
      method,
      path,
      query: new URLSearchParams(query),
      headers: {
        "content-type": patch === undefined ? "application/json" : mediaTypes[patch],
        ...(accept === undefined ? {} : { accept }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` })
      },
      body: body === undefined ? new Uint8Array() : new TextEncoder().encode(JSON.stringify(body)),
      ...(token === undefined ? { user } : {})
    })
  })

export const ask = (method: string, url: string, asking: Asking = {}) =>
  Effect.gen(function*() {
    const { status, headers, body } = yield* send(method, url, asking)
    const text = typeof body === "string"
      ? body
      : body instanceof Uint8Array
      ? new TextDecoder().decode(body)
      : yield* body.pipe(Stream.decodeText(), Stream.mkString)
    const answer: Answer = { status, headers, json: text.startsWith("{") ? JSON.parse(text) as JsonObject : { text } }
    return answer
  })

export interface Seen {
  readonly type: string
  readonly object: JsonObject
}

/** The events of a watch, as long as somebody reads them. */
export const watched = (url: string, asking: Asking = {}): Stream.Stream<Seen, never, ControlPlane> =>
  Stream.unwrap(
    Effect.map(send("GET", url, asking), ({ body }) =>
      typeof body === "string" || body instanceof Uint8Array
        ? Stream.die(new Error(`this is no watch: ${body.toString()}`))
        : body.pipe(
          Stream.orDie,
          Stream.decodeText(),
          Stream.splitLines,
          Stream.map((line) => JSON.parse(line) as Seen)
        ))
  )

/** A control plane in virtual time, with the controllers named. */
export const planeLayer = (controllers: ReadonlyArray<string> = [], options: ControlPlaneOptions = {}) =>
  Layer.mergeAll(layerControllers("the root CA")).pipe(
    Layer.provideMerge(ControlPlane.layer({ rootCa: "the root CA", ...options })),
    Layer.provideMerge(TokenSigner.layerMemory),
    Layer.provide(Layer.succeed(ControllerSwitches, (name) => controllers.includes(name)))
  )

export const pod = (
  name: string,
  more: { readonly spec?: JsonObject; readonly metadata?: JsonObject } = {}
): JsonObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, ...more.metadata },
  spec: { containers: [{ name: "c", image: "busybox:1" }], ...more.spec }
})

export const node = (
  name: string,
  more: { readonly labels?: JsonObject; readonly spec?: JsonObject; readonly status?: JsonObject } = {}
): JsonObject => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name, labels: more.labels ?? {} },
  ...(more.spec === undefined ? {} : { spec: more.spec }),
  status: {
    capacity: { cpu: "4", memory: "8Gi", pods: "110" },
    conditions: [{ type: "Ready", status: "True", reason: "KubeletReady" }],
    ...more.status
  }
})
