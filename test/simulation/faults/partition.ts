/** Devices and operators that are away for long. */
import { Effect } from "effect"
import { type Episodes, lasting } from "./Episode.ts"
import { atThePlug } from "./plug.ts"

const minutes = 60_000

export const partition = {
  apart: Effect.fnUntraced(function*({ dice }, { transport }) {
    yield* transport.weather({ blackHole: true })
    yield* lasting(dice, 3 * minutes, 30 * minutes)
    yield* transport.weather({ blackHole: false })
  }),
  turnedAway: Effect.fnUntraced(function*({ dice }, { transport }) {
    yield* transport.refuse("Refused")
    yield* transport.cut()
    yield* lasting(dice, 3 * minutes, 30 * minutes)
    yield* transport.refuse(undefined)
  }),
  // It comes up with nobody to hear.
  rebootApart: (victims, device) =>
    atThePlug(
      device,
      Effect.gen(function*() {
        const { clocks, dice, disturbed } = victims
        yield* device.transport.weather({ blackHole: true })
        yield* device.agent.kill
        disturbed.add(device.name)
        yield* device.runtime.powerOff("exited")
        yield* device.host.reboot
        clocks.of(device).boot()
        yield* lasting(dice, 1_000, 5 * minutes)
        yield* device.runtime.startEngine
        yield* device.agent.start
        yield* lasting(dice, 1 * minutes, 20 * minutes)
        yield* device.transport.weather({ blackHole: false })
      })
    ),
  operatorsAway: Effect.fnUntraced(function*({ dice, operators }) {
    for (const operator of operators) yield* operator.kill
    yield* lasting(dice, 1 * minutes, 15 * minutes)
    for (const operator of operators) yield* operator.start
  })
} as const satisfies Episodes
