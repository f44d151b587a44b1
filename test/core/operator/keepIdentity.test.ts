import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream, SubscriptionRef } from "effect"
import { Base64 } from "effect/encoding"
import { TestClock } from "effect/testing"
import { decodeEdgeDevice } from "../../../core/device/decodeEdgeDevice.ts"
import type { Secret } from "../../../core/kube/kinds.ts"
import type { Session } from "../../../core/link/Session.ts"
import { DeviceRegistry } from "../../../core/operator/DeviceRegistry.ts"
import { type EventDraft, EventRecorder } from "../../../core/operator/EventRecorder.ts"
import { keepIdentity } from "../../../core/operator/keepIdentity.ts"
import { NamedIdentities, type TlsIdentity } from "../../../core/operator/NamedIdentities.ts"
import { ReferencedObjects } from "../../../core/operator/ReferencedObjects.ts"
import type { NodeReport } from "../../../core/wire/Event.ts"

const deviceNaming = (secret: string | undefined) =>
  decodeEdgeDevice({
    metadata: { namespace: "edge", name: "edge-1", uid: "u-1", generation: 1 },
    spec: {
      connectivity: { method: "grpc", ...(secret === undefined ? {} : { grpc: { tlsSecretRef: { name: secret } } }) }
    }
  })

const secretOf = (data: Readonly<Record<string, string>>): Secret => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { namespace: "edge", name: "tls" },
  data: Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Base64.encode(text)]))
})

/** A device, the Secrets there are, and what comes of them. */
const stage = Effect.fnUntraced(function*(named: string | undefined) {
  const secrets = new Map<string, Secret>()
  const listeners = new Map<string, () => void>()
  const told: Array<EventDraft> = []
  const follow = (kind: string, namespace: string, name: string, changed: () => void) =>
    Effect.sync(() => {
      assert.strictEqual(`${kind} ${namespace}`, "Secret edge")
      listeners.set(name, changed)
      return () => secrets.get(name)
    })
  const device = yield* SubscriptionRef.make(yield* deviceNaming(named))
  const context = {
    key: "edge/edge-1",
    namespace: "edge",
    name: "edge-1",
    uid: "u-1",
    device,
    session: yield* SubscriptionRef.make<Session | undefined>(undefined),
    nodeReport: yield* SubscriptionRef.make<NodeReport | undefined>(undefined),
    owned: yield* SubscriptionRef.make<boolean | undefined>(true),
    clockOffset: () => 0,
    hold: { epoch: () => 1, stands: () => Effect.succeed(true), standsYet: Effect.succeed(true) },
    leaving: () => false
  }
  let seen: ReadonlyArray<TlsIdentity> = []
  const identities = yield* NamedIdentities
  yield* Effect.forkScoped(Stream.runForEach(identities.changes, (all) => Effect.sync(() => seen = all)))
  const keep = keepIdentity(context).pipe(Effect.provide(Layer.mergeAll(
    Layer.mock(EventRecorder, { record: (draft) => Effect.sync(() => void told.push(draft)) }),
    Layer.mock(DeviceRegistry, {
      keys: () => [],
      get: () => ({
        apiVersion: "aranya.arhat.dev/v1alpha1",
        kind: "EdgeDevice",
        metadata: { namespace: "edge", name: "edge-1", uid: "u-1", creationTimestamp: "2026-01-01T00:00:00Z" }
      })
    }),
    Layer.mock(ReferencedObjects, { follow: follow as ReferencedObjects["Service"]["follow"] })
  )))
  return {
    keep,
    told,
    seen: () => seen.map(({ refused: _, ...rest }) => rest),
    first: () => seen[0],
    device,
    put: (name: string, secret: Secret) => {
      secrets.set(name, secret)
      listeners.get(name)?.()
    },
    /** Lets every fiber that is ready run, and those that it wakes. */
    settle: Effect.repeat(TestClock.adjust("1 milli"), { times: 20 })
  }
})

const since = "2026-01-01T00:00:00Z u-1"

const pair = { "tls.crt": "CERT", "tls.key": "KEY" }

describe("the certificate an EdgeDevice names", () => {
  it.effect("is read from its Secret, follows it, and goes with the device", () =>
    Effect.gen(function*() {
      const { keep, put, seen, settle } = yield* stage("tls")
      put("tls", secretOf({ ...pair, "client_ca.crt": "CA", serverName: "edge-1.example" }))
      yield* Effect.scoped(Effect.gen(function*() {
        yield* keep
        yield* settle
        assert.deepStrictEqual(seen(), [
          { cert: "CERT", key: "KEY", clientCa: "CA", serverNames: ["edge-1.example"], since }
        ])
        put("tls", secretOf({ ...pair, "tls.crt": "NEWER" }))
        yield* settle
        assert.deepStrictEqual(seen(), [{ cert: "NEWER", key: "KEY", clientCa: undefined, serverNames: [], since }])
      }))
      yield* settle
      assert.deepStrictEqual(seen(), [])
    }).pipe(Effect.scoped, Effect.provide(NamedIdentities.layer)))

  it.effect("comes after those of elder devices, whichever was read first", () =>
    Effect.gen(function*() {
      const identities = yield* NamedIdentities
      const { keep, put, seen, settle } = yield* stage("tls")
      const other = { ...pair, cert: "", key: "", clientCa: undefined, serverNames: [], refused: () => Effect.void }
      yield* identities.set("edge/twin", { ...other, since: "2026-01-01T00:00:00Z u-2" })
      put("tls", secretOf(pair))
      yield* keep
      yield* settle
      yield* identities.set("edge/elder", { ...other, since: "2025-12-31T23:59:59Z u-3" })
      yield* settle
      assert.deepStrictEqual(seen().map((each) => each.since.slice(-3)), ["u-3", "u-1", "u-2"])
    }).pipe(Effect.scoped, Effect.provide(NamedIdentities.layer)))

  it.effect("may be another after an edit, or none", () =>
    Effect.gen(function*() {
      const { device, keep, put, seen, settle } = yield* stage(undefined)
      put("one", secretOf(pair))
      put("two", secretOf({ ...pair, "tls.crt": "SECOND" }))
      yield* keep
      yield* settle
      assert.deepStrictEqual(seen(), [])
      for (const [name, cert] of [["one", "CERT"], ["two", "SECOND"], [undefined, undefined]] as const) {
        yield* SubscriptionRef.set(device, yield* deviceNaming(name))
        yield* settle
        assert.strictEqual(seen()[0]?.cert, cert)
      }
    }).pipe(Effect.scoped, Effect.provide(NamedIdentities.layer)))

  it.effect("is missed aloud: an event says what is wrong with the Secret", () =>
    Effect.gen(function*() {
      const { first, keep, put, seen, settle, told } = yield* stage("tls")
      yield* keep
      yield* settle
      put("tls", secretOf({ "tls.crt": "CERT" }))
      yield* settle
      assert.deepStrictEqual(seen(), [])
      for (const written of ["true", ""]) {
        put("tls", secretOf({ ...pair, insecureSkipVerify: written }))
        yield* settle
        assert.deepStrictEqual(seen(), [])
      }
      put("tls", secretOf(pair))
      yield* settle
      yield* first()?.refused("its certificate or key cannot be used: no start line") ?? Effect.void
      assert.deepStrictEqual(
        told.map(({ message, reason }) => `${reason}: ${message}`),
        [
          "it does not exist",
          "it needs keys tls.crt and tls.key",
          "it has key insecureSkipVerify, and certificates are always verified: remove that key",
          "it has key insecureSkipVerify, and certificates are always verified: remove that key",
          "its certificate or key cannot be used: no start line"
        ]
          .map((why) =>
            `TlsSecretUnusable: Secret edge/tls: ${why}; the device is shown the operator's own certificate`
          )
      )
    }).pipe(Effect.scoped, Effect.provide(NamedIdentities.layer)))
})
