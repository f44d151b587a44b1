/** The peer broke the protocol, or went beyond what this side has room for; the connection is over. */
import { Schema } from "effect"

export class SpdyError extends Schema.TaggedError<SpdyError>()("SpdyError", {
  detail: Schema.String
}) {
  override get message() {
    return `SPDY: ${this.detail}`
  }
}
