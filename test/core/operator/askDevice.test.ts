import { assert, describe, it } from "@effect/vitest"
import { Effect, SubscriptionRef } from "effect"
import { decodeEdgeDevice } from "../../../core/device/decodeEdgeDevice.ts"
import { LinkError, type Session } from "../../../core/link/Session.ts"
import { askWithin } from "../../../core/operator/askDevice.ts"

const edgeDevice = (unarySessionTimeout?: string) =>
  decodeEdgeDevice({
    metadata: { namespace: "edge", name: "edge-1", uid: "1" },
    spec: {
      connectivity: {
        method: "grpc",
        ...(unarySessionTimeout === undefined ? {} : { timers: { unarySessionTimeout } })
      },
      identity: { publicKey: Buffer.alloc(32, 7).toString("base64") }
    }
  })

describe("a request to a device", () => {
  it.effect("may take as long as its EdgeDevice says at that moment, a minute unless it says, or as the asker says", () =>
    Effect.gen(function*() {
      const waited: Array<number | undefined> = []
      const session: Pick<Session, "request"> = {
        request: (_, options) => {
          waited.push(options?.timeoutMillis)
          return Effect.fail(new LinkError({ reason: "Timeout", detail: "no answer" }))
        }
      }
      const device = yield* SubscriptionRef.make(yield* edgeDevice())
      const ask = askWithin({ device })
      const once = (more = {}) => Effect.flip(ask(session as Session, { _tag: "ListHeld" }, more))
      yield* once()
      yield* SubscriptionRef.set(device, yield* edgeDevice("5s"))
      yield* once()
      yield* once({ timeoutMillis: 20_000 })
      assert.deepStrictEqual(waited, [60_000, 5_000, 20_000])
    }))
})
