/** Who this operator process is: to the cluster a holder, to devices a key. */
import { Context } from "effect"

export class OperatorIdentity extends Context.Service<OperatorIdentity, {
  /** Unique per process start: each start is a takeover. */
  readonly holder: string
  /** The installation; a Node of another aranya is never touched. */
  readonly installation: string
  readonly version: string
  /** Namespace of the operator's own objects (key, revocations). */
  readonly namespace: string
  /** Name of the node the process runs on, for `status.hostNode`; empty outside a cluster. */
  readonly hostNode: string
  /** X25519, 32 bytes; devices pin the public half. */
  readonly privateKey: Uint8Array
}>()("aranya/operator/OperatorIdentity") {}
