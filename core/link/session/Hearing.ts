/**
 * What is heard of the peer, and when: what it is known to have, when to ask whether it is there, and when a connection over which
 * nothing comes has to be given up. Times in monotonic milliseconds.
 */
import type { LinkTimings } from "../LinkTimings.ts"

/** A silence is suspicious only when it is so much longer than the longest that ended. */
const longerThanEver = 3
/** Bytes per millisecond that the slowest line carries: so long, too, may pass before what was sent can be answered. */
const slowestRate = 0.5
/** Numbered beats of which the answer may still come; older ones are worth nothing any more. */
const mostQuestions = 32

export class Hearing {
  /**
   * When this side sent the newest thing of which it knows that the peer has it. That it is the time of sending makes it a
   * lower bound: whenever the peer heard it, it was later, however long the answer was under way.
   */
  acknowledgedAt: number | undefined
  /** A device asks when that is older than this, whatever else it hears. */
  askWithin = Infinity

  private readonly timings: LinkTimings
  /** Whether something is under way that somebody waits for. */
  private readonly busy: () => boolean
  private heardAt = 0
  /** Whether anything was heard on the connection that is up, or was last. */
  spoken = false
  /** When the first segment left since anything was heard, and what was under way with it. */
  private unanswered: { readonly since: number; readonly bytes: number } | undefined
  /** The longest wait for an answer that came, forgotten by and by. */
  private slowestAnswer = 0
  /** Connections in a row that were given up with nothing acknowledged: the line may be slow, not dead. */
  private givenUp = 0
  private askedAt: number | undefined
  private questionedAt = -Infinity
  private questions: Array<{ readonly number: number; readonly at: number }> = []
  private nextQuestion = 1

  constructor(timings: LinkTimings, busy: () => boolean) {
    this.timings = timings
    this.busy = busy
  }

  /** On a new connection. */
  begin(now: number): void {
    this.heardAt = now
    this.spoken = false
    this.unanswered = undefined
    this.askedAt = undefined
    this.questions = []
    this.nextQuestion = 1
    this.questionedAt = -Infinity
  }

  /** Something came. */
  heard(now: number): void {
    this.heardAt = now
    this.spoken = true
    this.askedAt = undefined
    if (this.unanswered === undefined) return
    this.slowestAnswer = Math.max(now - this.unanswered.since, this.slowestAnswer * 63 / 64)
    this.unanswered = undefined
  }

  /** What was sent has arrived. */
  progressed(): void {
    this.givenUp = 0
  }

  /** The peer has what was sent then. */
  known(at: number): void {
    this.acknowledgedAt = Math.max(this.acknowledgedAt ?? -Infinity, at)
  }

  /** The peer has heard that question, and those before it. */
  answered(question: number): void {
    const asked = this.questions.findLast(({ number }) => number <= question)
    if (asked === undefined) return
    this.known(asked.at)
    this.questions = this.questions.filter(({ number }) => number > question)
  }

  /** Something that wants an answer was sent, with so much under way; whether nothing before it did. */
  awaitAnswer(now: number, underWay: number): boolean {
    const first = this.unanswered === undefined
    // The segments of one packet are answered together.
    if (this.unanswered === undefined || this.unanswered.since === now) {
      this.unanswered = { since: now, bytes: underWay }
    }
    return first
  }

  /** The number of a question that leaves now: only where somebody wants to know, since it costs two bytes either way; else 0. */
  question(now: number): number {
    this.askedAt = now
    this.questionedAt = now
    if (this.askWithin === Infinity) return 0
    const number = this.nextQuestion++
    this.questions = [...this.questions.slice(1 - mostQuestions), { number, at: now }]
    return number
  }

  /** When a device asks. */
  get askAt(): number {
    const { beatMillis, unansweredMillis } = this.timings
    // Repeated a few times before the limit, for transports that lose frames.
    const idle = this.askedAt !== undefined
      ? this.askedAt + beatMillis / 8
      // Whoever only receives has nothing unanswered by which a dead connection shows.
      : this.heardAt + (this.busy() ? Math.min(beatMillis, unansweredMillis) : beatMillis)
    if (this.askWithin === Infinity) return idle
    // Not in a loop with a peer that answers everything but this.
    const due = Math.max((this.acknowledgedAt ?? 0) + this.askWithin, this.questionedAt + this.askWithin / 8)
    return Math.min(idle, due)
  }

  /** When the peer will have been silent for too long although nothing was asked of it. */
  get silentAt(): number {
    return this.heardAt + 1.5 * this.timings.beatMillis
  }

  /**
   * When what was sent will have stayed without any answer for too long, on a line of that rate. Told by time alone, not by how
   * often it was sent again: a connection that takes nothing more lets no resend leave.
   */
  private unansweredAt(rate: number): number {
    if (this.unanswered === undefined) return Infinity
    const { bytes, since } = this.unanswered
    const travelling = bytes / Math.max(slowestRate, rate / 8)
    const patience = Math.max(this.timings.unansweredMillis, longerThanEver * this.slowestAnswer) + travelling
    return since + patience * 2 ** Math.min(this.givenUp, 4)
  }

  /** When the connection will have to be given up if nothing is heard until then. */
  giveUpAt(rate: number): number {
    return Math.min(this.silentAt, this.unansweredAt(rate))
  }

  /** The reason to give the connection up, if there is one by now. */
  giveUp(now: number, rate: number): string | undefined {
    if (now >= this.unansweredAt(rate)) {
      this.givenUp += 1
      return `nothing answered what was sent for ${Math.round((now - (this.unanswered?.since ?? now)) / 1000)} s`
    }
    return now >= this.silentAt ? "the peer was silent for too long" : undefined
  }
}
