/** What befalls the way between a device and its operators. */
import { Effect } from "effect"
import { fairWeather } from "../../fakes/MemoryTransport.ts"
import { type Episodes, lasting } from "./Episode.ts"
import { atThePlug } from "./plug.ts"

export const link = {
  badLink: Effect.fnUntraced(function*({ count, dice }, { transport }) {
    const { between, chance } = dice
    const direction = dice.pick([undefined, "toOperator", "toDevice"] as const)
    const weather = {
      loss: chance() * 0.4,
      duplication: chance() * 0.3,
      reorder: chance() * 0.3,
      corruption: chance() < 0.3 ? chance() * 0.1 : 0,
      truncation: chance() < 0.3 ? chance() * 0.1 : 0,
      delayMillis: [between(0, 20), between(20, 900)],
      bytesPerSecond: chance() < 0.3 ? between(500, 20_000) : 0
    } as const
    yield* transport.weather(weather, direction)
    for (const kind of ["loss", "duplication", "reorder", "corruption", "truncation"] as const) {
      if (weather[kind] > 0) count(`link: ${kind}`)
    }
    if (weather.bytesPerSecond > 0) count("link: thin")
    yield* lasting(dice, 5_000, 120_000)
    yield* transport.weather({ ...fairWeather })
  }),
  cut: (_, { transport }) => transport.cut(),
  flap: Effect.fnUntraced(function*({ dice }, { transport }) {
    for (let times = dice.between(2, 12); times > 0; times--) {
      yield* transport.cut()
      yield* lasting(dice, 50, 8_000)
    }
  }),
  blackHole: Effect.fnUntraced(function*({ dice }, { transport }) {
    yield* transport.weather({ blackHole: true })
    yield* lasting(dice, 2_000, 420_000)
    yield* transport.weather({ blackHole: false })
  }),
  deafDevice: Effect.fnUntraced(function*({ dice }, { transport }) {
    yield* transport.weather({ blackHole: true }, "toDevice")
    yield* lasting(dice, 2_000, 420_000)
    yield* transport.weather({ blackHole: false }, "toDevice")
  }),
  muteDevice: Effect.fnUntraced(function*({ dice }, { transport }) {
    yield* transport.weather({ blackHole: true }, "toOperator")
    yield* lasting(dice, 2_000, 420_000)
    yield* transport.weather({ blackHole: false }, "toOperator")
  }),
  // The device is back at once, while the operator still holds the connection of the life before.
  halfOpen: ({ dice }, device) =>
    atThePlug(
      device,
      Effect.gen(function*() {
        yield* device.transport.weather({ blackHole: true })
        yield* device.agent.kill
        yield* device.transport.weather({ blackHole: false })
        yield* lasting(dice, 0, 3_000)
        yield* device.agent.start
      })
    ),
  everybodyFlaps: Effect.fnUntraced(function*({ devices, dice }) {
    for (let times = dice.between(1, 6); times > 0; times--) {
      for (const { transport } of devices) yield* transport.cut()
      yield* lasting(dice, 50, 20_000)
    }
  }),
  refused: Effect.fnUntraced(function*({ dice }, { transport }) {
    yield* transport.refuse(dice.pick(["Refused", "Rejected"] as const))
    if (dice.chance() < 0.7) yield* transport.cut()
    yield* lasting(dice, 2_000, 400_000)
    yield* transport.refuse(undefined)
  })
} as const satisfies Episodes
