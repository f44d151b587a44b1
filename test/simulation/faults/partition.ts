/** Devices and operators that are away for long. */
import { Effect } from "effect"
import { type Episodes, lasting } from "./Episode.ts"
import { killOperator } from "./killOperator.ts"
import { inTheDark, whileRefused } from "./linkWeather.ts"
import { atThePlug } from "./plug.ts"

const minutes = 60_000

export const partition = {
  apart: ({ dice }, { transport }) => inTheDark(transport, lasting(dice, 3 * minutes, 30 * minutes)),
  turnedAway: ({ dice }, { transport }) =>
    whileRefused(
      transport,
      "Refused",
      Effect.andThen(transport.cut(), lasting(dice, 3 * minutes, 30 * minutes))
    ),
  // It comes up with nobody to hear.
  rebootApart: (victims, device) =>
    atThePlug(
      device,
      inTheDark(
        device.transport,
        Effect.gen(function*() {
          const { clocks, dice } = victims
          yield* device.agent.kill
          yield* device.runtime.powerOff("exited")
          yield* device.host.reboot
          clocks.of(device).boot()
          yield* lasting(dice, 1_000, 5 * minutes)
          yield* device.runtime.startEngine
          yield* device.agent.start
          yield* lasting(dice, 1 * minutes, 20 * minutes)
        })
      )
    ),
  operatorsAway: Effect.fnUntraced(function*(victims) {
    const { dice, operators } = victims
    for (const operator of operators) yield* killOperator(victims, operator)
    yield* lasting(dice, 1 * minutes, 15 * minutes)
    for (const operator of operators) yield* operator.start
  })
} as const satisfies Episodes
