import { Effect } from "effect"
import { linkContract } from "../contracts/link.ts"
import { transportContract } from "../contracts/transport.ts"
import { MemoryTransport } from "./MemoryTransport.ts"

transportContract({
  name: "memory",
  make: Effect.gen(function*() {
    const { acceptor, dialer } = yield* MemoryTransport.make()
    const nowhere = (yield* MemoryTransport.make()).dialer
    return { acceptor, dialer, nowhere }
  })
})

linkContract({
  name: "memory, with faults,",
  make: Effect.gen(function*() {
    const { acceptor, dialer, weather } = yield* MemoryTransport.make()
    yield* weather({ loss: 0.02, duplication: 0.05, reorder: 0.05, delayMillis: [0, 5] })
    return { acceptor, dialer, nowhere: (yield* MemoryTransport.make()).dialer }
  })
})
