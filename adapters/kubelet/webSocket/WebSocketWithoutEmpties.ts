/** WebSockets that hand on no message without bytes: in no protocol here does it mean anything. */
import { NodeWS } from "@effect/platform-node"

/** What waits for its reader is counted in bytes: any number of these would be kept. */
const isEmpty = (message: unknown): boolean =>
  (Buffer.isBuffer(message) || message instanceof ArrayBuffer) && message.byteLength === 0

export class WebSocketWithoutEmpties extends NodeWS.WebSocket {
  override emit(event: string | symbol, ...said: ReadonlyArray<unknown>): boolean {
    return event === "message" && isEmpty(said[0]) ? true : super.emit(event, ...said)
  }
}
