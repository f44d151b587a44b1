/** Limits of authentication and authorisation at the kubelet API, with a kubelet's own defaults. */
import { Context, type Duration, Schema } from "effect"

/** Who asks, as far as it was proven. */
export interface Identity {
  readonly user: string
  readonly uid?: string
  readonly groups: ReadonlyArray<string>
  readonly extra?: Readonly<Record<string, ReadonlyArray<string>>>
  /** A certificate comes from this cluster's own components, a token from anybody who may speak to the API. */
  readonly by: "certificate" | "token"
}

/** Who asks or whether they may could not be found out; nobody is let in meanwhile. */
export class AccessUndecided extends Schema.TaggedError<AccessUndecided>()("AccessUndecided", {
  detail: Schema.String
}) {
  override get message() {
    return this.detail
  }
}

export const KubeletAccess = Context.Reference<{
  readonly authenticatedFor: Duration.Input
  /** A token that is refused: long enough to blunt a guesser, short enough for a new ServiceAccount. */
  readonly unauthenticatedFor: Duration.Input
  readonly allowedFor: Duration.Input
  readonly deniedFor: Duration.Input
  /** Longest bearer token that is looked at, characters. */
  readonly tokenLimit: number
  /** Verdicts remembered, of each sort. */
  readonly remembered: number
  /** Questions to the API server at a time; strangers cannot make more. */
  readonly concurrency: number
}>("aranya/kubelet/KubeletAccess", {
  defaultValue: () => ({
    authenticatedFor: "2 minutes",
    unauthenticatedFor: "10 seconds",
    allowedFor: "5 minutes",
    deniedFor: "30 seconds",
    tokenLimit: 16 * 1024,
    remembered: 4096,
    concurrency: 8
  })
})
