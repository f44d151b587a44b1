/** Why there is no session by some method, and whether time alone can mend it. */
import type { HandshakeFailed } from "../handshake.ts"
import type { NotRemembered, Refused } from "../Hello.ts"
import type { TransportError } from "../Transport.ts"

export type Failure = Refused | HandshakeFailed | TransportError | NotRemembered

/** Whether trying again soon is pointless until somebody mends it. */
export const hopeless = (error: Failure): boolean => {
  switch (error._tag) {
    case "TransportError":
      return error.reason === "Rejected"
    case "Refused":
      return error.code === "DuplicateIdentity" || error.code === "Deleted" || error.code === "WrongKey" ||
        error.code === "ProtocolVersion"
    case "HandshakeFailed":
      return error.reason === "WrongOperator"
    case "NotRemembered":
      return false
  }
}
