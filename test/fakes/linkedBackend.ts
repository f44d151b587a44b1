/** The kubelet's backend of one node, whose device is at the other end of a session. */
import { Context, Effect, Layer } from "effect"
import { KubeletBackend } from "../../core/kubelet/KubeletBackend.ts"
import type { Session } from "../../core/link/Session.ts"
import { Fleet } from "../../core/operator/Fleet.ts"
import { kubeletBackend } from "../../core/operator/kubeletBackend.ts"
import { PodIndex } from "../../core/operator/PodIndex.ts"

export const linkedBackend = (session: Session) =>
  Effect.map(
    Layer.build(kubeletBackend.pipe(Layer.provide([
      Layer.mock(Fleet, {
        sessionOf: () => session,
        namespaceOf: () => "edge",
        serves: () => true,
        nodes: () => ["edge-1"],
        traffic: () => [],
        presence: () => []
      }),
      Layer.mock(PodIndex, { byUid: () => undefined, byName: () => undefined, onNode: () => [], learn: () => {} })
    ]))),
    (context) => Context.get(context, KubeletBackend)
  )
