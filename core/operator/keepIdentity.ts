/** Keeps the TLS certificate that an EdgeDevice names: reads its Secret, follows every change of it, says what is wrong with it. */
import { Effect, Queue, Result, Stream, SubscriptionRef } from "effect"
import { Base64 } from "effect/encoding"
import type { Secret } from "../kube/kinds.ts"
import type { Reading } from "./brokerAccess.ts"
import type { DeviceContext } from "./DeviceContext.ts"
import { DeviceRegistry } from "./DeviceRegistry.ts"
import { EventRecorder } from "./EventRecorder.ts"
import { NamedIdentities, type TlsIdentity } from "./NamedIdentities.ts"
import { ReferencedObjects } from "./ReferencedObjects.ts"

const part = (secret: Secret, key: string): string | undefined => {
  const decoded = Base64.decodeString(secret.data?.[key] ?? "")
  return Result.isSuccess(decoded) && decoded.success !== "" ? decoded.success : undefined
}

/** What the Secret holds, or what is wrong with it. */
const identityIn = (secret: Secret | undefined): Reading<Omit<TlsIdentity, "refused" | "since">> => {
  if (secret === undefined) return { wrong: "it does not exist" }
  // Its mere presence used to mean yes.
  if (secret.data?.["insecureSkipVerify"] !== undefined) {
    return { wrong: "it has key insecureSkipVerify, and certificates are always verified: remove that key" }
  }
  const [cert, key] = [part(secret, "tls.crt"), part(secret, "tls.key")]
  if (cert === undefined || key === undefined) return { wrong: "it needs keys tls.crt and tls.key" }
  const serverName = part(secret, "serverName")?.trim()
  return {
    found: {
      cert,
      key,
      clientCa: part(secret, "client_ca.crt"),
      serverNames: serverName === undefined || serverName === "" ? [] : [serverName]
    }
  }
}

export const keepIdentity = Effect.fnUntraced(function*(context: DeviceContext) {
  const identities = yield* NamedIdentities
  const objects = yield* ReferencedObjects
  const events = yield* EventRecorder
  const registry = yield* DeviceRegistry

  const complain = (name: string, why: string) =>
    events.record({
      about: {
        apiVersion: "aranya.arhat.dev/v1alpha1",
        kind: "EdgeDevice",
        namespace: context.namespace,
        name: context.name,
        uid: context.uid,
        fieldPath: "spec.connectivity.grpc.tlsSecretRef"
      },
      type: "Warning",
      reason: "TlsSecretUnusable",
      message: `Secret ${context.namespace}/${name}: ${why}; the device is shown the operator's own certificate`
    })

  const take = Effect.fnUntraced(function*(name: string, secret: Secret | undefined) {
    const reading = identityIn(secret)
    yield* identities.set(
      context.key,
      "wrong" in reading ? undefined : {
        ...reading.found,
        since: `${registry.get(context.key)?.metadata.creationTimestamp ?? ""} ${context.uid}`,
        refused: (why) => complain(name, why)
      }
    )
    if ("wrong" in reading) yield* complain(name, reading.wrong)
  })

  yield* Effect.addFinalizer(() => identities.set(context.key, undefined))
  yield* SubscriptionRef.changes(context.device).pipe(
    Stream.map(({ spec }) => spec.connectivity.grpc?.tlsSecretRef?.name ?? ""),
    Stream.changes,
    Stream.switchMap((name) =>
      name === "" ? Stream.fromEffect(identities.set(context.key, undefined)) : Stream.scoped(Stream.unwrap(
        Effect.gen(function*() {
          const bell = yield* Queue.sliding<void>(1)
          const read = yield* objects.follow(
            "Secret",
            context.namespace,
            name,
            () => void Queue.offerUnsafe(bell, undefined)
          )
          yield* Queue.offer(bell, undefined)
          return Stream.fromQueue(bell).pipe(
            Stream.map(read),
            Stream.changes,
            Stream.mapEffect((secret) => take(name, secret))
          )
        })
      ))
    ),
    Stream.runDrain,
    Effect.forkScoped
  )
})
