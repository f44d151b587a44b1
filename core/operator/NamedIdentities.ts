/** The TLS certificates that EdgeDevices name for their connections; doors of the operator show them by server name. */
import { Context, Effect, Layer, Option, Stream, SubscriptionRef } from "effect"

export interface TlsIdentity {
  /** PEM, as are the others. */
  readonly cert: string
  readonly key: string
  /** Authorities of client certificates: with them a device must show one. */
  readonly clientCa: string | undefined
  /** Empty: the names in the certificate. */
  readonly serverNames: ReadonlyArray<string>
  /** Of two that claim a name the lesser has it: when its EdgeDevice was created, then its uid. */
  readonly since: string
  /** To be called with the reason where it cannot be used. */
  readonly refused: (why: string) => Effect.Effect<void>
}

/** Which Secret was read first is chance, and another one after each start. */
const byAge = (a: TlsIdentity, b: TlsIdentity) => a.since < b.since ? -1 : a.since > b.since ? 1 : 0

export class NamedIdentities extends Context.Service<NamedIdentities, {
  /** What this owner (an EdgeDevice's key) names from now on, or that it names nothing. */
  readonly set: (owner: string, identity: TlsIdentity | undefined) => Effect.Effect<void>
  /** All of them, now and at each change, the eldest first. */
  readonly changes: Stream.Stream<ReadonlyArray<TlsIdentity>>
}>()("aranya/operator/NamedIdentities") {
  static readonly layer = Layer.effect(
    NamedIdentities,
    Effect.gen(function*() {
      const named = yield* SubscriptionRef.make<ReadonlyMap<string, TlsIdentity>>(new Map())
      return NamedIdentities.of({
        set: (owner, identity) =>
          SubscriptionRef.updateSome(named, (before) => {
            if (before.get(owner) === identity) return Option.none()
            const after = new Map(before)
            if (identity === undefined) after.delete(owner)
            else after.set(owner, identity)
            return Option.some(after)
          }),
        changes: Stream.map(SubscriptionRef.changes(named), (all) => [...all.values()].sort(byAge))
      })
    })
  )
}
