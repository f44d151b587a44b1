import { Effect } from "effect"
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
