/** Where the kubelet API of each Node is found: at the listener of all Nodes, or at one of its own where that is wished. */
import { Context, Effect, Equal, FiberMap, Layer, Option, Schedule, type Scope, Stream, SubscriptionRef } from "effect"
import type { CertificateSubject } from "../kubelet/KeyMaker.ts"
import { OperatorSettings } from "./OperatorSettings.ts"

/** What the certificate of a Node's own listener says besides the Node's name. */
export type DoorSubject = Partial<Omit<CertificateSubject, "commonName">>

export interface Endpoint {
  readonly address: string
  readonly port: number
}

const again = Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("1 minute")]).pipe(Schedule.jittered)

export class NodeDoors extends Context.Service<NodeDoors, {
  /** Undefined where there is no kubelet API at all. */
  readonly endpointOf: (node: string) => Endpoint | undefined
  /** A listener of its own for this Node, or none. */
  readonly wish: (node: string, subject: DoorSubject | undefined) => Effect.Effect<void>
  /** Calls `changed` when the endpoint of this Node does, while the scope lives; the wish goes with the scope. */
  readonly follow: (node: string, changed: () => void) => Effect.Effect<void, never, Scope.Scope>
  /**
   * Opens and closes listeners as they are wished, for ever. `open` returns the port; the listener lives as long as its scope.
   * One that cannot be opened is tried again; its Node is found at the listener of all Nodes meanwhile.
   */
  readonly run: <E extends { readonly message: string }, R>(
    open: (node: string, subject: DoorSubject) => Effect.Effect<number, E, R | Scope.Scope>
  ) => Effect.Effect<never, never, R>
}>()("aranya/operator/NodeDoors") {
  static readonly layer = Layer.effect(
    NodeDoors,
    Effect.gen(function*() {
      const { kubelet } = yield* OperatorSettings
      const wishes = yield* SubscriptionRef.make<ReadonlyMap<string, DoorSubject>>(new Map())
      const ports = new Map<string, number>()
      const followers = new Map<string, Set<() => void>>()
      const tell = (node: string) => {
        for (const changed of followers.get(node) ?? []) changed()
      }

      const wish = (node: string, subject: DoorSubject | undefined) =>
        SubscriptionRef.updateSome(wishes, (before) => {
          if (Equal.equals(before.get(node), subject)) return Option.none()
          const after = new Map(before)
          if (subject === undefined) after.delete(node)
          else after.set(node, subject)
          return Option.some(after)
        })

      return NodeDoors.of({
        endpointOf: (node) => kubelet === undefined ? undefined : { ...kubelet, port: ports.get(node) ?? kubelet.port },
        wish,
        follow: (node, changed) =>
          Effect.acquireRelease(
            Effect.sync(() => followers.set(node, (followers.get(node) ?? new Set()).add(changed))),
            () =>
              Effect.suspend(() => {
                const others = followers.get(node)
                others?.delete(changed)
                if (others !== undefined && others.size > 0) return Effect.void
                followers.delete(node)
                return wish(node, undefined)
              })
          ),
        run: (open) =>
          Effect.gen(function*() {
            const doors = yield* FiberMap.make<string>()
            let before: ReadonlyMap<string, DoorSubject> = new Map()
            const door = (node: string, subject: DoorSubject) =>
              Effect.gen(function*() {
                const port = yield* open(node, subject)
                yield* Effect.acquireRelease(
                  Effect.sync(() => {
                    ports.set(node, port)
                    tell(node)
                  }),
                  () =>
                    Effect.sync(() => {
                      // Another one may have taken its place.
                      if (ports.get(node) === port) ports.delete(node)
                      tell(node)
                    })
                )
                return yield* Effect.never
              }).pipe(
                Effect.scoped,
                Effect.tapError((error) =>
                  Effect.logWarning(`Node ${node} has no listener of its own: ${error.message}`)
                ),
                Effect.retry(again)
              )
            yield* Stream.runForEach(
              SubscriptionRef.changes(wishes),
              Effect.fnUntraced(function*(after) {
                for (const node of before.keys()) if (!after.has(node)) yield* FiberMap.remove(doors, node)
                for (const [node, subject] of after) {
                  if (before.get(node) !== subject) yield* FiberMap.run(doors, node, door(node, subject))
                }
                before = after
              })
            )
            return yield* Effect.never
          }).pipe(Effect.scoped)
      })
    })
  )
}
