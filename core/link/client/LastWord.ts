/** When the newest thing left this device of which it knows that the operator has it, over all connections and sessions. */
import type { Conversation } from "../session/Conversation.ts"

export class LastWord {
  private at: number | undefined
  private live: Conversation | undefined
  private within = Infinity

  /** The operator has what left at this monotonic millisecond. */
  private learn(at: number | undefined): void {
    if (at !== undefined) this.at = Math.max(this.at ?? -Infinity, at)
  }

  /** A session began; what the former one knew stays known. */
  follow(conversation: Conversation): void {
    this.learn(this.live?.acknowledgedAt)
    this.live = conversation
    conversation.askWithin = this.within
  }

  /** Monotonic milliseconds; undefined before there was any. */
  get acknowledgedAt(): number | undefined {
    this.learn(this.live?.acknowledgedAt)
    return this.at
  }

  /** The operator is asked for a word whenever the last is older than this. */
  askWithin(millis: number): void {
    this.within = millis
    const { live } = this
    live?.step(() => {
      live.askWithin = millis
    })
  }
}
