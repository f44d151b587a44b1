/**
 * One shared watch of all pods, kept only where a served node is concerned, indexed by node and by uid.
 * Whoever serves a node hears which of its pods changed; the newest object is read from here.
 */
import { Context, Deferred, Effect, Layer, Queue, Schedule, type Scope, Stream } from "effect"
import { KubeApi, type KubeApiError } from "../kube/KubeApi.ts"
import { type Pod, Pods } from "../kube/Pod.ts"

/** Never gives up: a node whose pods are unknown cannot be served. */
const backfillRetry = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")]).pipe(
  Schedule.jittered
)

/** Names of nodes that are remembered for having pods although nobody serves them; beyond that any node may have some. */
const nodesPassedOver = 20_000

/** Versions of one object are compared as numbers; the API allows that since 1.35 and every server before behaved so. */
const isOlder = (pod: Pod, than: Pod) =>
  Number(pod.metadata.resourceVersion ?? 0) < Number(than.metadata.resourceVersion ?? 0)

export class PodIndex extends Context.Service<PodIndex, {
  /** Completes once the first complete list is in. */
  readonly synced: Effect.Effect<void>
  /** The pod as last seen, while it exists in the API. */
  readonly byUid: (uid: string) => Pod | undefined
  readonly byName: (namespace: string, name: string) => Pod | undefined
  readonly onNode: (node: string) => ReadonlyArray<Pod>
  /** Serves a node for as long as the scope lives: its pods are kept, and each change tells its uid to all who serve it. */
  readonly serve: (node: string, changed: (uid: string) => void) => Effect.Effect<void, never, Scope.Scope>
  /** Puts in what an own write returned, so that the next read does not wait for the watch. */
  readonly learn: (pod: Pod) => void
}>()("aranya/operator/PodIndex") {
  static readonly layer = Layer.effect(
    PodIndex,
    Effect.gen(function*() {
      const api = yield* KubeApi
      const synced = yield* Deferred.make<void>()
      const pods = new Map<string, Pod>()
      const names = new Map<string, string>()
      const served = new Map<string, { readonly uids: Set<string>; readonly listeners: Set<(uid: string) => void> }>()

      /** Nodes with pods that the watch passed over, or that were dropped when the node was no longer served. */
      const passedOver = new Set<string>()
      let passedOverAll = false
      const passOver = (node: string) => {
        if (passedOver.size >= nodesPassedOver) passedOverAll = true
        else if (node !== "") passedOver.add(node)
      }

      /** Asked for and not yet seen in the watch: where that begins anew without them, nothing tells that they are gone. */
      const unwatched = new Set<string>()
      let lists = 0
      let asking = 0
      /** Deleted while somebody asks, whose answer may be older. */
      const justDeleted = new Set<string>()

      const nameKey = (namespace: string | undefined, name: string | undefined) => `${namespace ?? ""}/${name ?? ""}`

      const put = (pod: Pod) => {
        const uid = pod.metadata.uid
        const node = served.get(pod.spec.nodeName ?? "")
        if (uid === undefined || node === undefined) return
        const known = pods.get(uid)
        if (known !== undefined && isOlder(pod, known)) return
        pods.set(uid, pod)
        names.set(nameKey(pod.metadata.namespace, pod.metadata.name), uid)
        node.uids.add(uid)
        for (const changed of node.listeners) changed(uid)
      }

      const remove = (uid: string): Pod | undefined => {
        const pod = pods.get(uid)
        if (pod === undefined) return undefined
        pods.delete(uid)
        unwatched.delete(uid)
        const key = nameKey(pod.metadata.namespace, pod.metadata.name)
        if (names.get(key) === uid) names.delete(key)
        return pod
      }

      const drop = (uid: string) => {
        if (asking > 0) justDeleted.add(uid)
        const node = served.get(remove(uid)?.spec.nodeName ?? "")
        node?.uids.delete(uid)
        for (const changed of node?.listeners ?? []) changed(uid)
      }

      // A pod bound to the node before it was served has been passed over by the watch: ask for those.
      const listOn = (node: string): Effect.Effect<ReadonlyArray<Pod>, KubeApiError> =>
        Effect.suspend(() => {
          const before = lists
          // What was asked before the watch began anew may be older than that.
          return api.list(Pods, { fieldSelector: `spec.nodeName=${node}` }).pipe(
            Effect.flatMap((found) => lists === before ? Effect.succeed(found) : listOn(node))
          )
        })

      const backfill = (node: string) =>
        Effect.suspend(() => {
          asking += 1
          return listOn(node)
        }).pipe(
          Effect.tap((found) =>
            Effect.sync(() => {
              passedOver.delete(node)
              const there = new Set(found.map((pod) => pod.metadata.uid ?? ""))
              for (const uid of unwatched) if (pods.get(uid)?.spec.nodeName === node && !there.has(uid)) drop(uid)
              for (const pod of found) {
                const { uid = "" } = pod.metadata
                if (justDeleted.has(uid)) continue
                const watched = pods.has(uid)
                put(pod)
                if (!watched && pods.has(uid)) unwatched.add(uid)
              }
            })
          ),
          Effect.ensuring(Effect.sync(() => {
            asking -= 1
            if (asking === 0) justDeleted.clear()
          })),
          Effect.tapError((error) => Effect.logWarning(`pods of node ${node}: ${error.message}`)),
          Effect.retry({ schedule: backfillRetry }),
          Effect.asVoid
        )

      /** The watch has begun anew, and what it did not list may be gone. */
      const backfillUnwatched = Effect.suspend(() => {
        const nodes = new Set([...unwatched].flatMap((uid) => pods.get(uid)?.spec.nodeName ?? []))
        return Effect.forEach(nodes, backfill, { concurrency: 4, discard: true })
      })

      const begunAnew = yield* Queue.sliding<void>(1)
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(Queue.take(begunAnew), backfillUnwatched)))

      yield* api.observe(Pods, {}, {
        keep: (raw) => {
          const node = (raw as unknown as { spec?: { nodeName?: string } }).spec?.nodeName ?? ""
          if (served.has(node)) return true
          passOver(node)
          return false
        }
      }).pipe(
        Stream.runForEach((observation) => {
          switch (observation._tag) {
            case "Set":
              return Effect.sync(() => {
                unwatched.delete(observation.object.metadata.uid ?? "")
                put(observation.object)
              })
            case "Deleted":
              return Effect.sync(() => drop(observation.object.metadata.uid ?? ""))
            case "Synced":
              return Effect.suspend(() => {
                lists += 1
                Queue.offerUnsafe(begunAnew, undefined)
                return Deferred.succeed(synced, undefined)
              })
          }
        }),
        Effect.forkScoped
      )

      return PodIndex.of({
        synced: Deferred.await(synced),
        byUid: (uid) => pods.get(uid),
        byName: (namespace, name) => {
          const uid = names.get(nameKey(namespace, name))
          return uid === undefined ? undefined : pods.get(uid)
        },
        onNode: (node) => [...(served.get(node)?.uids ?? [])].flatMap((uid) => pods.get(uid) ?? []),
        serve: (node, changed) =>
          Effect.acquireRelease(
            Effect.sync(() => {
              const entry = served.get(node) ?? { uids: new Set(), listeners: new Set() }
              entry.listeners.add(changed)
              served.set(node, entry)
            }),
            () =>
              Effect.sync(() => {
                const entry = served.get(node)
                if (entry === undefined) return
                entry.listeners.delete(changed)
                if (entry.listeners.size > 0) return
                if (entry.uids.size > 0) passOver(node)
                for (const uid of entry.uids) remove(uid)
                served.delete(node)
              })
          ).pipe(
            Effect.andThen(Deferred.await(synced)),
            Effect.andThen(Effect.suspend(() => passedOverAll || passedOver.has(node) ? backfill(node) : Effect.void)),
            Effect.orDie
          ),
        // An answer that comes after the pod is gone does not bring it back.
        learn: (pod) => {
          if (pods.has(pod.metadata.uid ?? "")) put(pod)
        }
      })
    })
  )
}
