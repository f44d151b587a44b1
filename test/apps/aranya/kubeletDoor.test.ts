/** The kubelet API's door while a person has yet to approve its certificate, over a real socket, in virtual time. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Ref, Stream } from "effect"
import { Base64 } from "effect/encoding"
import { TestClock } from "effect/testing"
import { connect } from "node:net"
import { createAuthority, readRequest, signRequest } from "../../../adapters/x509/certificate.ts"
import { AranyaConfig } from "../../../apps/aranya/AranyaConfig.ts"
import { kubeletDoor } from "../../../apps/aranya/kubeletDoor.ts"
import { decodeConfig } from "../../../core/config/decodeConfig.ts"
import type { CertificateSigningRequest } from "../../../core/kube/kinds.ts"
import { KubeApi, KubeApiError } from "../../../core/kube/KubeApi.ts"
import { NodeDoors } from "../../../core/operator/NodeDoors.ts"
import { freePorts } from "../../e2e/freePorts.ts"
import { FakeKubeletBackend } from "../../fakes/FakeKubeletBackend.ts"

const day = 24 * 3600 * 1000
const span = { notBefore: new Date(Date.now() - day), notAfter: new Date(Date.now() + day) }
const authority = createAuthority("cluster", span.notBefore, span.notAfter)

/** An API server whose signer signs what was approved by hand. */
const signing = Effect.gen(function*() {
  const requests = new Map<string, CertificateSigningRequest>()
  const diary = yield* Ref.make<ReadonlyArray<string>>([])
  const note = (words: string) => Ref.update(diary, (all) => [...all, words])
  let made = 0
  const layer = Layer.mock(KubeApi, {
    create: Effect.fnUntraced(function*(resource, object) {
      if (resource.kind === "TokenReview") return { ...object, status: { authenticated: false } }
      const name = `request-${made++}`
      const created = { ...object, metadata: { name } }
      requests.set(name, created as unknown as CertificateSigningRequest)
      yield* note(`create ${name}`)
      return created
    }),
    get: Effect.fnUntraced(function*(_, { name }) {
      const csr = requests.get(name)
      if (csr === undefined) return yield* new KubeApiError({ reason: "NotFound", status: 404, detail: name })
      if (csr.status?.conditions === undefined) return csr as never
      const asked = readRequest(Buffer.from(csr.spec.request, "base64").toString())
      const certificate = Base64.encode(signRequest(authority, asked, { ...span, purposes: ["server auth"] }))
      return { ...csr, status: { ...csr.status, certificate } } as never
    }),
    delete: (_, { name }) => note(`delete ${name}`),
    observe: () => Stream.concat(Stream.succeed({ _tag: "Synced" as const }), Stream.never)
  })
  const approve = (name: string) =>
    Effect.sync(() => {
      requests.set(name, { ...requests.get(name)!, status: { conditions: [{ type: "Approved", status: "True" }] } })
    })
  return { layer, approve, diary: Ref.get(diary) }
})

const listens = (port: number) =>
  Effect.callback<boolean>((resume) => {
    const socket = connect(port, "127.0.0.1")
    const tell = (answer: boolean) => () => {
      socket.destroy()
      resume(Effect.succeed(answer))
    }
    socket.on("connect", tell(true)).on("error", tell(false))
  })

/** A door of these settings, opening in the background. */
const opening = Effect.fnUntraced(function*(serving: object, kube: Layer.Layer<KubeApi>) {
  const [port = 0] = yield* freePorts(1)
  const yaml = JSON.stringify({ kubelet: { listen: "127.0.0.1", port, serving } })
  const config = yield* decodeConfig(AranyaConfig)("aranya.yaml", yaml, () => undefined)
  const fiber = yield* Layer.build(
    kubeletDoor(config, { address: "127.0.0.1", namespace: "aranya" }).pipe(
      Layer.provide(NodeDoors.layer),
      Layer.provide(FakeKubeletBackend.layer),
      Layer.provide(kube)
    )
  ).pipe(Effect.forkScoped)
  return { port, fiber }
})

/** Small steps: a fiber must have gone to sleep before the clock passes its hour. */
const pass = (minutes: number) => Effect.repeat(TestClock.adjust("10 seconds"), { times: minutes * 6 - 1 })

describe("the kubelet API's door", () => {
  it.effect("opens when its certificate was approved by hand, however late, within the time of the request", () =>
    Effect.gen(function*() {
      const { approve, diary, layer } = yield* signing
      const { fiber, port } = yield* opening({ mode: "csr", selfApprove: false }, layer)
      yield* pass(5)
      assert.deepStrictEqual(yield* diary, ["create request-0"])
      assert.isUndefined(fiber.pollUnsafe())
      yield* approve("request-0")
      yield* pass(1)
      yield* TestClock.withLive(
        Effect.repeat(Effect.delay(listens(port), "10 millis"), { until: (yes) => yes, times: 300 })
      )
      assert.isTrue(yield* listens(port))
      assert.deepStrictEqual(yield* diary, ["create request-0"])
    }).pipe(Effect.scoped))

  it.effect("is asked for anew while nobody approves, and not given up", () =>
    Effect.gen(function*() {
      const { diary, layer } = yield* signing
      const { fiber } = yield* opening({ mode: "csr", selfApprove: false }, layer)
      yield* pass(40)
      assert.isUndefined(fiber.pollUnsafe())
      assert.deepStrictEqual(yield* diary, [
        "create request-0",
        "delete request-0",
        "create request-1",
        "delete request-1",
        "create request-2"
      ])
    }).pipe(Effect.scoped))

  it.effect("is given up after two minutes where nobody has to be waited for", () =>
    Effect.gen(function*() {
      const { layer } = yield* signing
      const files = { mode: "files", cert: "/nowhere/tls.crt", key: "/nowhere/tls.key" }
      const { fiber } = yield* opening(files, layer)
      yield* pass(3)
      const exit = fiber.pollUnsafe()
      assert.include(String(exit), "no usable serving certificate after 2m")
    }).pipe(Effect.scoped))
})
