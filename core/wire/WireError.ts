/** The one failure of encoding and decoding what is spoken over a link. */
import { Schema } from "effect"

/**
 * `Malformed`: these bytes are no such message; the peer is broken. `Unsupported`: a kind or value of a newer version: answer
 * a failure and go on. `Invalid`: a value out of its range. `TooLarge`: beyond what this message may have.
 */
export class WireError extends Schema.TaggedError<WireError>()("WireError", {
  reason: Schema.Literals(["Malformed", "Unsupported", "Invalid", "TooLarge"]),
  /** What was read or written: `Command`, `PodReport`. */
  subject: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `${this.subject}: ${this.detail}`
  }
}
