/** The two halves of the control plane's state, and who is asking when. */
import type { Moment } from "../object/Moment.ts"
import type { Registry } from "../registry/Registry.ts"
import type { AdmissionContext } from "../registry/ResourceType.ts"
import type { Store } from "../store/Store.ts"

export interface World {
  readonly store: Store
  readonly registry: Registry
}

export interface Caller {
  readonly username: string
  readonly groups: ReadonlyArray<string>
  readonly uid?: string
  readonly extra?: Readonly<Record<string, ReadonlyArray<string>>>
}

export interface Asking {
  readonly user: Caller
  readonly moment: Moment
  readonly dryRun: boolean
}

export const admission = (world: World, { user, moment }: Asking): AdmissionContext => ({
  store: world.store,
  moment,
  user: { username: user.username, groups: user.groups, ...(user.uid === undefined ? {} : { uid: user.uid }) }
})

/** Controllers act as this user; it may do everything. */
export const controllerUser: Caller = {
  username: "system:kube-controller-manager",
  groups: ["system:masters", "system:authenticated"]
}
