import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Ref, Stream } from "effect"
import { Base64 } from "effect/encoding"
import { TestClock } from "effect/testing"
import type { CertificateSigningRequest } from "../../../core/kube/kinds.ts"
import { KubeApi, KubeApiError } from "../../../core/kube/KubeApi.ts"
import { clusterSigned, type ClusterSignedOptions, requestCertificate } from "../../../core/kubelet/clusterSigned.ts"
import { KeyMaker } from "../../../core/kubelet/KeyMaker.ts"

const day = 24 * 3600 * 1000

/** Certificates are their own dates: `from..to`. */
const keys = Layer.succeed(
  KeyMaker,
  KeyMaker.of({
    request: (subject, names) =>
      Effect.succeed({
        request: `${subject.commonName} ${subject.organizations} ${names.ips} ${names.dns}`,
        privateKey: "key"
      }),
    selfSigned: () => Effect.die("not asked for"),
    validity: (certificate) => {
      const [notBefore, notAfter] = certificate.split("..").map(Number)
      return Effect.succeed({ notBefore: notBefore ?? 0, notAfter: notAfter ?? 0 })
    }
  })
)

type Signer = (csr: CertificateSigningRequest) => CertificateSigningRequest["status"]

/** An API server with requests only, signed by a function each time somebody looks. */
const signing = (signer: (now: number) => Signer) =>
  Effect.gen(function*() {
    const requests = new Map<string, CertificateSigningRequest>()
    const diary = yield* Ref.make<ReadonlyArray<string>>([])
    const note = (words: string) => Ref.update(diary, (all) => [...all, words])
    let down = false
    const unavailable = new KubeApiError({ reason: "Unavailable", status: 503, detail: "down" })
    const layer = Layer.mock(KubeApi, {
      create: Effect.fnUntraced(function*(_, object) {
        if (down) return yield* unavailable
        const name = `${object.metadata.generateName}${requests.size}`
        const created = { ...object, metadata: { ...object.metadata, name } }
        requests.set(name, created as unknown as CertificateSigningRequest)
        yield* note(`create ${name}`)
        return created
      }),
      replace: Effect.fnUntraced(function*(_, object, options) {
        const csr = object as unknown as CertificateSigningRequest
        requests.set(csr.metadata.name ?? "", csr)
        yield* note(`${options?.subresource} ${csr.status?.conditions?.map(({ type }) => type)}`)
        return object
      }),
      get: Effect.fnUntraced(function*(_, { name }) {
        if (down) return yield* unavailable
        const csr = requests.get(name)
        if (csr === undefined) return yield* new KubeApiError({ reason: "NotFound", status: 404, detail: name })
        return { ...csr, status: signer(yield* Clock.currentTimeMillis)(csr) } as never
      }),
      delete: (_, { name }) => note(`delete ${name}`)
    })
    return { layer, diary: Ref.get(diary), requests, fail: (next: boolean) => (down = next) }
  })

const approved = (csr: CertificateSigningRequest) =>
  csr.status?.conditions?.some(({ type }) => type === "Approved") === true
const options: ClusterSignedOptions = { nodeName: "edge-1", names: { dns: ["aranya.svc"], ips: ["10.0.0.1"] } }
const signIfApproved = (now: number): Signer => (csr) =>
  approved(csr) ? { ...csr.status, certificate: Base64.encode(`${now}..${now + 10 * day}`) } : csr.status

describe("certificates from the cluster's signer", () => {
  it.effect("asks as the signer demands, approves itself if told to, and takes what was issued", () =>
    Effect.gen(function*() {
      const { diary, layer, requests } = yield* signing(signIfApproved)
      const found = yield* requestCertificate({ ...options, approve: true, lifetime: "1 day" }).pipe(
        Effect.provide([layer, keys])
      )
      assert.deepStrictEqual(found, { certificate: `0..${10 * day}`, privateKey: "key" })
      assert.deepStrictEqual(yield* diary, ["create aranya-kubelet-serving-0", "approval Approved"])
      const { spec } = requests.get("aranya-kubelet-serving-0")!
      assert.deepStrictEqual(spec, {
        request: Base64.encode("system:node:edge-1 system:nodes 10.0.0.1 aranya.svc"),
        signerName: "kubernetes.io/kubelet-serving",
        usages: ["digital signature", "server auth"],
        expirationSeconds: 86_400
      })
    }))

  it.effect("waits for somebody to approve, through an outage of the API server", () =>
    Effect.gen(function*() {
      const { diary, fail, layer, requests } = yield* signing(signIfApproved)
      const fiber = yield* requestCertificate(options).pipe(Effect.provide([layer, keys]), Effect.forkChild)
      yield* TestClock.adjust("5 minutes")
      fail(true)
      yield* TestClock.adjust("2 minutes")
      fail(false)
      const name = "aranya-kubelet-serving-0"
      const csr = requests.get(name)!
      requests.set(name, { ...csr, status: { conditions: [{ type: "Approved", status: "True" }] } })
      yield* TestClock.adjust("11 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).privateKey, "key")
      assert.deepStrictEqual(yield* diary, [`create ${name}`])
    }))

  it.effect("takes its request back and says so when nobody approves, or the signer refuses", () =>
    Effect.gen(function*() {
      const { diary, layer } = yield* signing(signIfApproved)
      const waiting = yield* requestCertificate(options).pipe(
        Effect.provide([layer, keys]),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("16 minutes")
      assert.include(
        (yield* Fiber.join(waiting)).message,
        "nobody approved CertificateSigningRequest aranya-kubelet-serving-0"
      )
      assert.include(yield* diary, "delete aranya-kubelet-serving-0")

      const refusing = yield* signing(() => () => ({
        conditions: [{ type: "Failed", status: "True", reason: "SignerValidationFailure", message: "no SANs" }]
      }))
      const error = yield* requestCertificate({ ...options, approve: true }).pipe(
        Effect.provide([refusing.layer, keys]),
        Effect.flip
      )
      assert.include(error.message, "aranya-kubelet-serving-0 is Failed: no SANs")
    }))

  it.effect("renews at 70 to 90 % of the lifetime, for ever, and tries on when that fails", () =>
    Effect.gen(function*() {
      const { diary, fail, layer } = yield* signing(signIfApproved)
      const shown = yield* Ref.make<ReadonlyArray<number>>([])
      yield* clusterSigned({ ...options, approve: true }).pipe(
        Stream.runForEach(() =>
          Effect.flatMap(Clock.currentTimeMillis, (now) => Ref.update(shown, (all) => [...all, now / day]))
        ),
        Effect.provide([layer, keys]),
        Effect.forkScoped
      )
      const hours = (count: number) => Effect.repeat(TestClock.adjust("1 hour"), { times: count - 1 })
      yield* hours(6 * 24)
      assert.strictEqual((yield* Ref.get(shown)).length, 1)
      fail(true)
      yield* hours(4 * 24)
      assert.strictEqual((yield* Ref.get(shown)).length, 1)
      fail(false)
      yield* hours(1)
      const [first = -1, second = -1] = yield* Ref.get(shown)
      assert.strictEqual(first, 0)
      assert.isAbove(second, 10)
      yield* hours(10 * 24)
      const third = (yield* Ref.get(shown))[2] ?? -1
      assert.isAtLeast(third - second, 7)
      assert.isAtMost(third - second, 9.1)
      assert.strictEqual((yield* diary).filter((entry) => entry.startsWith("create")).length, 3)
    }))
})
