/**
 * Connects to ports of localhost and hands the connections over: arhat runs itself with this in the network of a pod, where a server
 * may listen that hears nobody else. The bytes never come through here.
 */
import { connect, type Socket } from "node:net"

export interface DialAsked {
  readonly id: number
  readonly port: number
}

/** With the connection, unless it says why there is none. */
export interface DialAnswered {
  readonly id: number
  readonly refusal?: string
}

const patienceMillis = 5000

const attempt = (host: string, port: number) =>
  new Promise<Socket>((resolve, reject) => {
    const socket = connect({ host, port, allowHalfOpen: true })
    // Whatever the server says first is for who gets the connection.
    socket.pause()
    socket.setTimeout(patienceMillis, () => socket.destroy(new Error("no answer in time")))
    socket.once("error", reject)
    socket.once("connect", () => {
      socket.setTimeout(0)
      resolve(socket)
    })
  })

const answer = (answered: DialAnswered, socket?: Socket) => {
  process.send?.(answered, socket, {}, () => {})
}

/** Until whoever asks is gone. What listens on one family alone is found too. */
export const runDialProgram = (): void => {
  process.once("disconnect", () => process.exit(0))
  process.on("message", ({ id, port }: DialAsked) => {
    // Who finds nothing hears of the first address.
    const dialled = attempt("127.0.0.1", port).catch((refused: unknown) =>
      attempt("::1", port).catch(() => Promise.reject(refused))
    )
    void dialled.then(
      (socket) => answer({ id }, socket),
      (cause: unknown) => answer({ id, refusal: cause instanceof Error ? cause.message : String(cause) })
    )
  })
}
