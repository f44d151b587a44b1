/** One shared watch of the Nodes that aranya made, by name; each device's keeper hears when its own changed. */
import { Context, Deferred, Effect, Layer, type Scope, Stream } from "effect"
import { KubeApi } from "../kube/KubeApi.ts"
import { type Node, Nodes } from "../kube/Node.ts"
import { labels, roleEdgeDevice } from "../node/nodeNames.ts"

export class NodeIndex extends Context.Service<NodeIndex, {
  readonly synced: Effect.Effect<void>
  readonly get: (name: string) => Node | undefined
  /** Calls `changed` at each change of this Node while the scope lives. */
  readonly follow: (name: string, changed: () => void) => Effect.Effect<void, never, Scope.Scope>
  /** Puts in what an own write returned. */
  readonly learn: (node: Node) => void
  /** Takes out what an own write found to be gone. */
  readonly forget: (node: Node) => void
}>()("aranya/operator/NodeIndex") {
  static readonly layer = Layer.effect(
    NodeIndex,
    Effect.gen(function*() {
      const api = yield* KubeApi
      const synced = yield* Deferred.make<void>()
      const nodes = new Map<string, Node>()
      // Several where EdgeDevices of different namespaces have the same name: one of them owns the Node.
      const followers = new Map<string, Set<() => void>>()

      /** Uid of the last that went, by name, while somebody follows it. */
      const gone = new Map<string, string>()

      const put = (node: Node) => {
        const { name = "", uid } = node.metadata
        const known = nodes.get(name)
        if (
          known !== undefined && known.metadata.uid === uid
          && Number(known.metadata.resourceVersion ?? 0) > Number(node.metadata.resourceVersion ?? 0)
        ) return
        nodes.set(name, node)
      }

      const forget = ({ metadata: { name = "", uid = "" } }: Node) => {
        if (followers.has(name)) gone.set(name, uid)
        if (nodes.get(name)?.metadata.uid === uid) nodes.delete(name)
      }

      yield* api.observe(Nodes, { labelSelector: `${labels.role}=${roleEdgeDevice}` }).pipe(
        Stream.runForEach((observation) =>
          Effect.suspend(() => {
            if (observation._tag === "Synced") return Deferred.succeed(synced, undefined)
            const name = observation.object.metadata.name ?? ""
            if (observation._tag === "Set") {
              // It may have lost its label for a while.
              gone.delete(name)
              put(observation.object)
            } else forget(observation.object)
            for (const changed of followers.get(name) ?? []) changed()
            return Effect.void
          })
        ),
        Effect.forkScoped
      )

      return NodeIndex.of({
        synced: Deferred.await(synced),
        get: (name) => nodes.get(name),
        follow: (name, changed) =>
          Effect.acquireRelease(
            Effect.sync(() => followers.set(name, (followers.get(name) ?? new Set()).add(changed))),
            () =>
              Effect.sync(() => {
                const others = followers.get(name)
                if (others?.delete(changed) !== true || others.size > 0) return
                followers.delete(name)
                gone.delete(name)
              })
          ),
        // An answer that comes after the Node is gone does not bring it back, not even that it was made. Which of two has the name
        // now is for the watch to say, or for whoever finds that one of them is gone.
        learn: (node) => {
          const { name = "", uid = "" } = node.metadata
          const known = nodes.get(name)
          if (gone.get(name) !== uid && (known === undefined || known.metadata.uid === uid)) put(node)
        },
        forget
      })
    })
  )
}
