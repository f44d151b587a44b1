/** Calls whose device has not proven its key: strangers may open as many as they like, and shall keep nobody out. */

/** By one HTTP/2 connection, which a proxy may share among devices, and altogether. One of them makes room for the next. */
export const unprovenInConnection = 256
export const unprovenAtAll = 8192

interface Call {
  readonly siblings: Set<Call>
  readonly giveUp: () => void
}

export class UnprovenCalls {
  private readonly random: { readonly nextDoubleUnsafe: () => number }
  private readonly all = new Set<Call>()
  private readonly byConnection = new WeakMap<object, Set<Call>>()

  constructor(random: { readonly nextDoubleUnsafe: () => number }) {
    this.random = random
  }

  /** What it gives is to be called once the call has proven its key, or is over; `giveUp` is called at most once, before that. */
  add(connection: object, giveUp: () => void): () => void {
    const siblings = this.byConnection.get(connection) ?? new Set()
    this.byConnection.set(connection, siblings)
    if (siblings.size >= unprovenInConnection) this.makeRoom(siblings)
    if (this.all.size >= unprovenAtAll) this.makeRoom(this.all)
    const call: Call = { siblings, giveUp }
    siblings.add(call)
    this.all.add(call)
    return () => this.forget(call)
  }

  /** Any of them, by chance: under a flood the oldest would always be the one that means it. */
  private makeRoom(calls: ReadonlySet<Call>): void {
    let left = Math.floor(this.random.nextDoubleUnsafe() * calls.size)
    for (const call of calls) {
      if (left-- > 0) continue
      this.forget(call)
      return call.giveUp()
    }
  }

  private forget(call: Call): void {
    call.siblings.delete(call)
    this.all.delete(call)
  }
}
