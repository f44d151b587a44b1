/** Clocks of hosts are wrong, set and set back. */
import { Effect } from "effect"
import { type Episodes, lasting } from "./Episode.ts"
import { atThePlug, powerCycle } from "./plug.ts"

export const clock = {
  clockJump: Effect.fnUntraced(function*({ clocks, count, dice, note }, device) {
    const all = [{ name: device.name, ...clocks.of(device) }, ...clocks.operators]
    const { jump, name } = dice.chance() < 0.6 ? all[0]! : dice.pick(all)
    const millis = Math.round(60_000 * 1440 ** dice.chance()) * (dice.chance() < 0.5 ? -1 : 1)
    count(`clock: ${name === device.name ? "device" : "operator"} ${millis < 0 ? "back" : "forward"}`)
    yield* note(`the clock of ${name} jumps by ${Math.round(millis / 1000)} s`)
    jump(millis)
    if (dice.chance() < 0.5) return
    yield* lasting(dice, 1_000, 60_000)
    yield* note(`the clock of ${name} is set back`)
    jump(-millis)
  }),
  // A board without a battery: it begins in 1970 until a time server is found, before or after it has linked.
  bootIn1970: (victims, device) =>
    atThePlug(
      device,
      Effect.gen(function*() {
        const { bootIn1970, step } = victims.clocks.of(device)
        yield* powerCycle(victims, device, bootIn1970)
        yield* lasting(victims.dice, 0, 60_000)
        yield* victims.note(`${device.name} has found a time server`)
        step()
      })
    )
} as const satisfies Episodes
