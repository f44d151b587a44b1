import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import type { AssignedVolume, PodAssignment } from "../../../core/pod/PodAssignment.ts"
import { assignmentContent, assignmentHash } from "../../../core/wire/assignment.ts"
import { holdingsDigest } from "../../../core/wire/holdings.ts"
import { assignment, container } from "./samples.ts"

const held = [
  { uid: "b", hash: "00ff", reportNumber: 1 },
  { uid: "a", hash: "00ff", reportNumber: 7 }
]
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")

describe("the holdings digest", () => {
  it.effect("is the same whatever the order, and another for every difference", () =>
    Effect.gen(function*() {
      const digest = (pods: typeof held) => Effect.map(holdingsDigest(pods), hex)
      const first = yield* digest(held)
      assert.strictEqual(yield* digest(held.toReversed()), first)
      const others = [
        yield* digest([]),
        yield* digest(held.slice(1)),
        yield* digest([{ ...held[0]!, reportNumber: 2 }, held[1]!]),
        yield* digest([{ ...held[0]!, hash: "00fe" }, held[1]!]),
        yield* digest([{ ...held[0]!, uid: "c" }, held[1]!])
      ]
      assert.strictEqual(new Set([first, ...others]).size, 6)
    }).pipe(Effect.provide(NodeCryptography.layer)))
})

describe("the content hash", () => {
  const volume = (token: string): AssignedVolume => ({
    _tag: "Files",
    name: "access",
    secret: true,
    files: [{ path: "token", mode: 0o600, content: new TextEncoder().encode(token), token: true }]
  })
  const hash = (changes: Partial<PodAssignment>) => assignmentHash({ ...assignment, ...changes })

  it.effect("does not see tokens, nor itself, nor the order of labels", () =>
    Effect.gen(function*() {
      const first = yield* hash({ volumes: [volume("one")], labels: { a: "1", b: "2" } })
      assert.match(first, /^[0-9a-f]{64}$/)
      assert.strictEqual(yield* hash({ volumes: [volume("two")], labels: { b: "2", a: "1" }, hash: "other" }), first)
    }).pipe(Effect.provide(NodeCryptography.layer)))

  it.effect("sees every other field", () =>
    Effect.gen(function*() {
      const changes: ReadonlyArray<Partial<PodAssignment>> = [
        {},
        { generation: 2 },
        { labels: {} },
        { annotations: {} },
        { restartPolicy: "Never" },
        { terminationGracePeriodSeconds: 5 },
        { activeDeadlineSeconds: 5 },
        { hostname: "other" },
        { hostDomain: "sub.default.svc.cluster.local" },
        { hostNetwork: true },
        { hostPID: true },
        { hostIPC: true },
        { shareProcessNamespace: true },
        { fsGroup: 1 },
        { sysctls: { "net.core.somaxconn": "1024" } },
        { dns: { ...assignment.dns, inheritHost: true } },
        { hostAliases: [{ ip: "10.0.0.1", hostnames: ["db"] }] },
        { pullCredentials: [{ registry: "r", username: "u", password: "p" }] },
        { volumes: [] },
        { volumes: [volume("one")] },
        { initContainers: [container] },
        { containers: [{ ...container, image: "other" }] },
        { containers: [{ ...container, env: [] }] }
      ]
      const hashes = yield* Effect.forEach(changes, hash)
      assert.strictEqual(new Set(hashes).size, changes.length)
    }).pipe(Effect.provide(NodeCryptography.layer)))

  it.effect("holds no content of a token", () =>
    Effect.gen(function*() {
      const content = yield* assignmentContent({ ...assignment, volumes: [volume("s3cr3t")] })
      assert.notInclude(Buffer.from(content).toString(), "s3cr3t")
    }))

  it.effect("is none of what no message can say, in so many words", () =>
    Effect.gen(function*() {
      const refused = yield* Effect.flip(hash({ terminationGracePeriodSeconds: 2 ** 53 }))
      assert.strictEqual(refused.message, "PodAssignment: 9007199254740992 is not a whole number")
    }).pipe(Effect.provide(NodeCryptography.layer)))
})
