/** What the parts that serve one device share: who it is, what its owner wants, and the session with it, if there is one. */
import type { SubscriptionRef } from "effect"
import type { EdgeDevice } from "../device/EdgeDevice.ts"
import type { Session } from "../link/Session.ts"
import type { NodeReport } from "../wire/Event.ts"
import type { DeviceHold } from "./DeviceHold.ts"

export interface DeviceContext {
  /** `namespace/name` of the EdgeDevice. */
  readonly key: string
  readonly namespace: string
  /** Name of the EdgeDevice and of its Node. */
  readonly name: string
  readonly uid: string
  /** As last decoded without a fault. */
  readonly device: SubscriptionRef.SubscriptionRef<EdgeDevice>
  readonly session: SubscriptionRef.SubscriptionRef<Session | undefined>
  /** What the device said of itself last; kept while it is away. */
  readonly nodeReport: SubscriptionRef.SubscriptionRef<NodeReport | undefined>
  /**
   * Whether the Node of this name is this EdgeDevice's; undefined until that is known. A Node of somebody else, a real one or
   * another namespace's device, has pods that are none of this device's business.
   */
  readonly owned: SubscriptionRef.SubscriptionRef<boolean | undefined>
  /** Whether this process speaks for the device. */
  readonly hold: DeviceHold
  /** Add to a time by the device's clock to have ours, milliseconds. */
  readonly clockOffset: () => number
  /** The EdgeDevice is being deleted. */
  readonly leaving: () => boolean
}
