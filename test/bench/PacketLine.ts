/** A line of a device's own, a pair of virtual interfaces with one end in a network namespace: its packets are counted by the kernel. */
import { Effect, Schema } from "effect"
import { randomBytes } from "node:crypto"
import { existsSync, readFileSync } from "node:fs"
import { runProgramOk } from "../e2e/program.ts"

export interface Packets {
  /** From the IP header on, both directions. */
  readonly bytes: number
  readonly packets: number
}

export interface PacketLine {
  /** Of this machine, as seen from the namespace. */
  readonly host: string
  /** What a command is prefixed with to run at the far end. */
  readonly enter: readonly [command: string, ...args: ReadonlyArray<string>]
  readonly packets: Effect.Effect<Packets>
}

export class NoLine extends Schema.TaggedError<NoLine>()("NoLine", { detail: Schema.String }) {
  override get message() {
    return `packets cannot be counted here: ${this.detail}`
  }
}

const ethernet = 14
const ip = "/usr/sbin/ip"

const call = (...args: ReadonlyArray<string>) =>
  Effect.mapError(runProgramOk(ip, [...args]), ({ message }) => new NoLine({ detail: message }))

/** Needs root and iproute2; gone with the scope. */
export const packetLine = Effect.fnUntraced(function*(number: number) {
  if (process.getuid?.() !== 0 || !existsSync(ip)) {
    return yield* new NoLine({ detail: "it takes root and the program ip" })
  }
  const name = `bench${randomBytes(3).toString("hex")}`
  const [near, far] = [`${name}h`, `${name}d`]
  const subnet = `10.213.${number}`
  yield* Effect.acquireRelease(
    call("netns", "add", name),
    () => Effect.ignore(call("netns", "delete", name))
  )
  yield* Effect.acquireRelease(
    call("link", "add", near, "type", "veth", "peer", "name", far, "netns", name),
    () => Effect.ignore(call("link", "delete", near))
  )
  const inside = (...args: ReadonlyArray<string>) => call("-n", name, ...args)
  // As a wire would have it: no packet larger than its frame, and nothing on it but ours: no IPv6, and whom ARP would ask is known.
  for (const [at, device, address] of [[call, near, `${subnet}.1/30`], [inside, far, `${subnet}.2/30`]] as const) {
    yield* at("link", "set", device, "gso_max_segs", "1", "addrgenmode", "none")
    yield* at("address", "add", address, "dev", device)
    yield* at("link", "set", device, "up")
  }
  const macOf = Effect.fnUntraced(function*(at: typeof call, device: string) {
    const { stdout } = yield* at("-o", "link", "show", device)
    return /link\/ether (\S+)/u.exec(stdout)?.[1] ?? ""
  })
  yield* call(
    "neighbour",
    "replace",
    `${subnet}.2`,
    "lladdr",
    yield* macOf(inside, far),
    "dev",
    near,
    "nud",
    "permanent"
  )
  yield* inside(
    "neighbour",
    "replace",
    `${subnet}.1`,
    "lladdr",
    yield* macOf(call, near),
    "dev",
    far,
    "nud",
    "permanent"
  )

  const counter = (which: string) => Number(readFileSync(`/sys/class/net/${near}/statistics/${which}`, "utf8"))
  return {
    host: `${subnet}.1`,
    enter: [ip, "netns", "exec", name],
    packets: Effect.sync(() => {
      const packets = counter("rx_packets") + counter("tx_packets")
      return { packets, bytes: counter("rx_bytes") + counter("tx_bytes") - ethernet * packets }
    })
  } satisfies PacketLine
})
