/** The product did something else than the upstream test asserts. */
import { Schema } from "effect"

export class Deviation extends Schema.TaggedError<Deviation>()("Deviation", { detail: Schema.String }) {
  override get message() {
    return this.detail
  }
}
