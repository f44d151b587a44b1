/** What befalls the way between a device and its operators. */
import { Effect } from "effect"
import { type Episodes, lasting } from "./Episode.ts"
import { inTheDark, inWeather, whileRefused } from "./linkWeather.ts"
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
    for (const kind of ["loss", "duplication", "reorder", "corruption", "truncation"] as const) {
      if (weather[kind] > 0) count(`link: ${kind}`)
    }
    if (weather.bytesPerSecond > 0) count("link: thin")
    yield* inWeather(transport, { weather, direction }, lasting(dice, 5_000, 120_000))
  }),
  cut: (_, { transport }) => transport.cut(),
  flap: Effect.fnUntraced(function*({ dice }, { transport }) {
    for (let times = dice.between(2, 12); times > 0; times--) {
      yield* transport.cut()
      yield* lasting(dice, 50, 8_000)
    }
  }),
  blackHole: ({ dice }, { transport }) => inTheDark(transport, lasting(dice, 2_000, 420_000)),
  deafDevice: ({ dice }, { transport }) => inTheDark(transport, lasting(dice, 2_000, 420_000), "toDevice"),
  muteDevice: ({ dice }, { transport }) => inTheDark(transport, lasting(dice, 2_000, 420_000), "toOperator"),
  // The device is back at once, while the operator still holds the connection of the life before.
  halfOpen: ({ dice }, device) =>
    atThePlug(
      device,
      Effect.gen(function*() {
        yield* inTheDark(device.transport, device.agent.kill)
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
    const reason = dice.pick(["Refused", "Rejected"] as const)
    const hangUp = dice.chance() < 0.7 ? transport.cut() : Effect.void
    yield* whileRefused(transport, reason, Effect.andThen(hangUp, lasting(dice, 2_000, 400_000)))
  })
} as const satisfies Episodes
