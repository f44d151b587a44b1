/** A container that cannot be made now for a reason of its own; it is tried again after a while. */
import { Schema } from "effect"

export class ContainerRefused extends Schema.TaggedError<ContainerRefused>()("ContainerRefused", {
  /** The waiting reason in the status. */
  reason: Schema.Literals([
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "CreateContainerConfigError",
    "CreateContainerError"
  ]),
  detail: Schema.String
}) {
  override get message() {
    return this.detail
  }
}
