/** The certificate of the kubelet API kept in a Secret: an in-memory control plane behind it, a TLS client before it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Queue, Stream } from "effect"
import { Base64, Yaml } from "effect/encoding"
import { readFileSync } from "node:fs"
import * as KubeClient from "../../../adapters/kube/client/KubeClient.ts"
import { KubeClientConfig } from "../../../adapters/kube/client/KubeClientConfig.ts"
import { TokenSigner } from "../../../adapters/kube/plane/authority/TokenSigner.ts"
import { ControlPlane } from "../../../adapters/kube/plane/ControlPlane.ts"
import { layerMemoryClient } from "../../../adapters/kube/plane/memory/layerMemoryClient.ts"
import type { JsonObject } from "../../../adapters/kube/plane/object/json.ts"
import { Secrets } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { secretCertificate } from "../../../core/kubelet/certificateSources.ts"
import { FakeKubeletBackend, podWith } from "../../fakes/FakeKubeletBackend.ts"
import { FakeReviews } from "../../fakes/FakeReviews.ts"
import { ask } from "../kube/plane/asking.ts"
import { collected, door, nameShown, open, servers, serving } from "./door.ts"

const anew = servers.issue("/O=system:nodes/CN=system:node:renewed", "serverAuth")
const at = { namespace: "aranya", name: "aranya-kubelet-tls" }
const field = "kubelet.serving.tlsSecretRef"

const plane = ControlPlane.layer().pipe(Layer.provideMerge(TokenSigner.layerMemory))
const clientOf = (username: string, ...groups: ReadonlyArray<string>) =>
  Layer.fresh(KubeClient.layer).pipe(
    Layer.provide(Layer.succeed(KubeClientConfig, {
      server: "http://plane",
      identity: Effect.succeed({}),
      identityRefused: () => Effect.void
    })),
    Layer.provide(Layer.fresh(layerMemoryClient({ username, groups: [...groups, "system:authenticated"] })))
  )
const administrator = clientOf("admin", "system:masters")
const operator = clientOf("system:serviceaccount:aranya:aranya", "system:serviceaccounts")

/** What deploy/rbac.yaml gives in the operator's own namespace, and nothing of what it gives in the whole cluster. */
const ownRights = readFileSync(new URL("../../../deploy/rbac.yaml", import.meta.url), "utf8").split(/^---$/mu)
  .filter((text) => /^kind: (Role|RoleBinding)$/mu.test(text) && /^ {2}namespace: aranya$/mu.test(text))
  .map((text) => Yaml.parse(text) as JsonObject)

const dataOf = (parts: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(parts).map(([key, text]) => [key, Base64.encode(text)]))
const pair = ({ cert, key }: { readonly cert: string; readonly key: string }) =>
  dataOf({ "tls.crt": cert, "tls.key": key })

/** Until it holds, or the test has waited long enough. */
const eventually = <R>(holds: Effect.Effect<boolean, never, R>) =>
  Effect.flatMap(
    Effect.repeat(Effect.delay(holds, "10 millis"), { until: (yes) => yes, times: 500 }),
    (held) => held ? Effect.void : Effect.die(new Error("waited in vain"))
  )

/** The operator's rights are those of its own namespace; the Secrets are an administrator's. */
const stage = Effect.gen(function*() {
  const api = yield* Effect.provide(KubeApi, administrator)
  const must = (path: string, body: JsonObject) =>
    Effect.map(ask("POST", path, { body }), ({ json, status }) => assert.strictEqual(status, 201, JSON.stringify(json)))
  yield* must("/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name: at.namespace } })
  for (const right of ownRights) {
    const kind = String(right["kind"]).toLowerCase()
    yield* must(`/apis/rbac.authorization.k8s.io/v1/namespaces/${at.namespace}/${kind}s`, right)
  }
  const own = yield* Layer.build(operator)
  return { api, certificates: Stream.provideContext(secretCertificate({ ...at, field }), own) }
})

/** All that is logged as a warning while the effect runs. */
const warned = () => {
  const said: Array<string> = []
  const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
    if (logLevel === "Warn") said.push(String(message))
  })
  return { said, layer: Logger.layer([logger]) }
}

const remedy = "kubectl create secret tls -n aranya aranya-kubelet-tls --cert=FILE --key=FILE makes one"
const named = "Secret aranya/aranya-kubelet-tls (kubelet.serving.tlsSecretRef)"

describe("the serving certificate in a Secret", () => {
  it.live("is told with each change, and what is missing in one sentence", () => {
    const { layer, said } = warned()
    return Effect.gen(function*() {
      const { api, certificates } = yield* stage
      const taken: Array<string> = []
      yield* certificates.pipe(
        Stream.runForEach(({ certificate, privateKey, source }) =>
          Effect.sync(() => taken.push(`${certificate} ${privateKey}: ${source}`))
        ),
        Effect.forkScoped
      )
      yield* eventually(Effect.sync(() => said.length === 1))
      yield* api.create(Secrets, {
        metadata: at,
        type: "kubernetes.io/tls",
        data: dataOf({ "tls.crt": "c1", "tls.key": "k1" })
      })
      yield* eventually(Effect.sync(() => taken.length === 1))
      const change = (data: Readonly<Record<string, string | null>>) =>
        api.patch(Secrets, at, { type: "merge", body: { data } })
      yield* change(dataOf({ "tls.crt": "c2", "tls.key": "k2" }))
      yield* eventually(Effect.sync(() => taken.length === 2))
      yield* api.delete(Secrets, at)
      yield* eventually(Effect.sync(() => said.length === 2))
      yield* api.create(Secrets, { metadata: at, type: "Opaque", data: dataOf({ "tls.crt": "c3" }) })
      yield* eventually(Effect.sync(() => said.length === 3))
      yield* change(dataOf({ "tls.key": "" }))
      yield* change(dataOf({ "tls.key": "k3" }))
      yield* eventually(Effect.sync(() => taken.length === 3))
      const source = `: tls.crt and tls.key of ${named}`
      assert.deepStrictEqual(taken, [`c1 k1${source}`, `c2 k2${source}`, `c3 k3${source}`])
      const gone = `${named} does not exist: ${remedy}; until then its last certificate goes on`
      assert.deepStrictEqual(said, [
        gone,
        gone,
        `${named} has no tls.key in base64: ${remedy}; until then its last certificate goes on`
      ])
    }).pipe(Effect.provide(plane), Effect.provide(layer), Effect.scoped)
  })

  it.live("is shown to new connections once it changes, while running streams go on and a broken one changes nothing", () => {
    const { layer, said } = warned()
    return Effect.gen(function*() {
      const { api, certificates } = yield* stage
      yield* api.create(Secrets, { metadata: at, type: "kubernetes.io/tls", data: pair(serving) })
      yield* Effect.gen(function*() {
        const reviews = yield* FakeReviews
        const backend = yield* FakeKubeletBackend
        yield* reviews.allow("kube-apiserver get proxy")
        yield* backend.add("edge-1", podWith("web", { running: {} }))
        const pieces = yield* Queue.unbounded<Uint8Array>()
        yield* backend.log(() => Stream.fromQueue(pieces))
        const write = (text: string) => Queue.offer(pieces, new TextEncoder().encode(text))
        yield* write("before\n")
        const stream = yield* open("/containerLogs/shop/web/main?follow=true")
        const received = collected(stream.response)
        const change = (data: Readonly<Record<string, string>>) =>
          api.patch(Secrets, at, { type: "merge", body: { data } })
        assert.strictEqual(yield* nameShown, "system:node:edge-1")
        yield* change(pair(anew))
        yield* eventually(Effect.map(Effect.orDie(nameShown), (name) => name === "system:node:renewed"))
        yield* change(pair({ cert: anew.cert, key: serving.key }))
        yield* eventually(Effect.sync(() => said.length === 1))
        yield* change(dataOf({ "tls.crt": "no PEM" }))
        yield* eventually(Effect.sync(() => said.length === 2))
        yield* api.delete(Secrets, at)
        yield* eventually(Effect.sync(() => said.length === 3))
        assert.strictEqual(yield* nameShown, "system:node:renewed")
        yield* write("after\n")
        yield* eventually(Effect.sync(() => received() === "before\nafter\n"))
        const broken = "the kubelet API keeps the serving certificate it has, if any: the new one, "
          + `tls.crt and tls.key of ${named}, cannot be used: `
        assert.deepStrictEqual(said, [
          `${broken}the key is not that of the certificate; put the two that belong together there`,
          `${broken}it is not PEM; put PEM there, beginning with -----BEGIN`,
          `${named} does not exist: ${remedy}; until then its last certificate goes on`
        ])
      }).pipe(Effect.provide(door({ certificates })))
    }).pipe(Effect.provide(plane), Effect.provide(layer), Effect.scoped)
  })

  it.live("is waited for where the first one cannot be used", () => {
    const { layer, said } = warned()
    return Effect.gen(function*() {
      const { api, certificates } = yield* stage
      yield* api.create(Secrets, {
        metadata: at,
        type: "kubernetes.io/tls",
        data: pair({ cert: anew.cert, key: serving.key })
      })
      yield* eventually(Effect.sync(() => said.length === 1)).pipe(
        Effect.andThen(api.patch(Secrets, at, { type: "merge", body: { data: pair(anew) } })),
        Effect.forkScoped
      )
      yield* Effect.provide(open("/healthz"), door({ certificates }))
    }).pipe(Effect.provide(plane), Effect.provide(layer), Effect.scoped)
  })
})
