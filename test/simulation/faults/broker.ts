/** What a broker does wrong by itself, and what its other clients do with it. */
import { Effect } from "effect"
import { encodeCredit, Kind } from "../../../adapters/mqtt/envelope.ts"
import { topicsOf } from "../../../adapters/mqtt/topics.ts"
import { fairBroker } from "../../fakes/MemoryBroker.ts"
import { type Brokers, envelope } from "../brokers.ts"
import { topicNamespaceOf } from "../ways.ts"
import type { SimulatedDevice } from "../World.ts"
import type { Dice } from "./Dice.ts"
import { type Episode, type Episodes, lasting, type Victims } from "./Episode.ts"

/** For devices that come through a broker. */
const atBroker = (
  work: (victims: Victims & { readonly brokers: Brokers }, device: SimulatedDevice) => ReturnType<Episode>
): Episode =>
(victims, device) => {
  const { brokers, devices, dice } = victims
  const there = devices.filter(({ name }) => brokers?.overheard(name) !== undefined)
  if (brokers === undefined || there.length === 0) return Effect.succeed("missed" as const)
  return work({ ...victims, brokers }, there.includes(device) ? device : dice.pick(there))
}

const bytes = (dice: Dice, length: number) => Uint8Array.from({ length }, () => dice.between(0, 256))
const newId = (dice: Dice) => Buffer.from(bytes(dice, 8)).toString("hex")

/** What a stranger could put into one of the topics of a device. */
const forged = (dice: Dice, brokers: Brokers, device: string): readonly [topic: string, payload: Uint8Array] => {
  const { command, message, status } = topicsOf(topicNamespaceOf(device))
  const known = brokers.overheard(device)
  const id = known?.id ?? newId(dice)
  const topic = dice.pick([command, message, message, status])
  const whose = dice.chance() < 0.6 ? id : newId(dice)
  return dice.pick<() => readonly [string, Uint8Array]>([
    () => {
      const old = known === undefined || known.messages.length === 0 ? undefined : dice.pick(known.messages)
      return old === undefined ? [topic, bytes(dice, 40)] : [old.topic, old.payload]
    },
    () => [topic, bytes(dice, dice.between(0, 200))],
    () => [dice.pick([command, message]), envelope(Kind.Frame, whose, bytes(dice, dice.between(1, 300)))],
    () => [message, envelope(Kind.Open, newId(dice), bytes(dice, dice.between(1, 300)))],
    () => [dice.pick([command, message]), encodeCredit(whose, dice.between(0, 2 ** 31))],
    () => [dice.pick([command, message, status]), envelope(Kind.End, whose, bytes(dice, dice.pick([0, 16])))],
    () => [message, envelope(Kind.Ask, whose)],
    () => [command, envelope(Kind.Here, whose)],
    () => [command, Uint8Array.of(Kind.Doubt)]
  ])()
}

export const broker = {
  brokerRestarts: atBroker(Effect.fnUntraced(function*({ brokers, dice }) {
    for (let times = dice.between(1, 4); times > 0; times--) {
      yield* brokers.broker.stop(dice.chance() < 0.5)
      yield* lasting(dice, 100, dice.chance() < 0.7 ? 10_000 : 120_000)
      yield* brokers.broker.start
      yield* lasting(dice, 500, 20_000)
    }
  })),
  brokerDuplicates: atBroker(Effect.fnUntraced(function*({ brokers, dice }) {
    yield* brokers.broker.weather({ duplication: 0.2 + dice.chance() * 0.7 })
    yield* lasting(dice, 15_000, 60_000)
    yield* brokers.broker.weather({ duplication: 0 })
  })),
  brokerLoses: atBroker(Effect.fnUntraced(function*({ brokers, dice }) {
    yield* brokers.broker.weather({ loss: dice.chance() * 0.4 })
    yield* lasting(dice, 5_000, 60_000)
    yield* brokers.broker.weather({ loss: 0 })
  })),
  // In order within a topic only.
  brokerReorders: atBroker(Effect.fnUntraced(function*({ brokers, dice }) {
    yield* brokers.broker.weather({ delayMillis: [0, dice.between(50, 3_000)] })
    yield* lasting(dice, 5_000, 60_000)
    yield* brokers.broker.weather({ delayMillis: fairBroker.delayMillis })
  })),
  // The will of the connection before is said when the next one is up.
  lateWills: atBroker(Effect.fnUntraced(function*({ brokers, dice }, { transport }) {
    yield* brokers.broker.weather({ willMillis: dice.between(1_000, 30_000) })
    for (let times = dice.between(1, 5); times > 0; times--) {
      yield* transport.cut()
      yield* lasting(dice, 1_000, 20_000)
    }
    yield* brokers.broker.weather({ willMillis: 0 })
  })),
  retainedJunk: atBroker(Effect.fnUntraced(function*({ brokers, dice }, { name, transport }) {
    const { command, message, status } = topicsOf(topicNamespaceOf(name))
    const id = newId(dice)
    brokers.retains(id)
    yield* brokers.broker.retain(message, envelope(dice.pick([Kind.Frame, Kind.Ask]), id))
    yield* brokers.broker.retain(command, dice.chance() < 0.5 ? Uint8Array.of(Kind.Doubt) : bytes(dice, 30))
    yield* brokers.broker.retain(status, envelope(Kind.End, id))
    yield* transport.cut()
    for (const host of brokers.hosts()) yield* host.cut()
    yield* lasting(dice, 1_000, 30_000)
  })),
  strangers: atBroker(Effect.fnUntraced(function*({ brokers, dice }, { name }) {
    const until = dice.between(5, 60)
    for (let second = 0; second < until; second += 1) {
      for (let times = dice.between(0, 5); times > 0; times--) {
        const [topic, payload] = forged(dice, brokers, name)
        yield* brokers.say(topic, payload)
      }
      const id = brokers.overheard(name)?.id
      if (id !== undefined && dice.chance() < 0.2) yield* brokers.denies(name, id)
      yield* lasting(dice, 200, 1_500)
    }
  })),
  operatorOffBroker: atBroker(Effect.fnUntraced(function*({ brokers, dice }) {
    const host = dice.pick(brokers.hosts())
    const how = dice.pick(["cut", "dark", "refused"] as const)
    if (how !== "dark") yield* host.cut()
    if (how === "dark") yield* host.darken(true)
    if (how === "refused") yield* host.refuse(dice.pick(["Refused", "Rejected"] as const))
    yield* lasting(dice, 1_000, 200_000)
    yield* host.darken(false)
    yield* host.refuse(undefined)
  }))
} as const satisfies Episodes
