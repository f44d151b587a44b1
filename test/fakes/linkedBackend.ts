/** The kubelet's backend of one node, whose device is at the other end of a session. */
import { Context, Effect, Layer } from "effect"
import type { Pod } from "../../core/kube/Pod.ts"
import { KubeletBackend } from "../../core/kubelet/KubeletBackend.ts"
import type { Session } from "../../core/link/Session.ts"
import { Fleet } from "../../core/operator/Fleet.ts"
import { kubeletBackend } from "../../core/operator/kubeletBackend.ts"
import { PodIndex } from "../../core/operator/PodIndex.ts"

export const fleetWith = (session: Session | undefined) =>
  Layer.mock(Fleet, {
    sessionOf: () => session,
    namespaceOf: () => "edge",
    serves: () => true,
    nodes: () => ["edge-1"],
    traffic: () => [],
    presence: () => []
  })

export const indexOf = (pods: ReadonlyArray<Pod>) =>
  Layer.mock(PodIndex, { byUid: () => undefined, byName: () => undefined, onNode: () => pods, learn: () => {} })

export const linkedBackend = (session: Session) =>
  Effect.map(
    Layer.build(kubeletBackend.pipe(Layer.provide([fleetWith(session), indexOf([])]))),
    (context) => Context.get(context, KubeletBackend)
  )
