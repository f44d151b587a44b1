/** The power of a device fails, and what its disk had promised may fail with it. */
import { Effect } from "effect"
import { worldMillis } from "../../fakes/worldClock.ts"
import { type Episodes, lasting } from "./Episode.ts"
import { atThePlug, killSilently, powerCycle } from "./plug.ts"

export const power = {
  // A disk that lies about having written, found out when the power fails.
  lostWrites: ({ clocks, count, dice, forgetful, readmit }, device) =>
    atThePlug(
      device,
      Effect.gen(function*() {
        yield* device.journal.stopSyncing
        yield* lasting(dice, 500, 30_000)
        const containers = dice.chance() < 0.7 ? "exited" : "gone"
        yield* killSilently(device, dice)
        count(`power: containers ${containers}`)
        yield* device.runtime.powerOff(containers)
        forgetful.set(device.name, [...forgetful.get(device.name) ?? [], yield* worldMillis])
        yield* device.journal.crash
        yield* device.host.reboot
        clocks.of(device).boot()
        yield* lasting(dice, 500, 20_000)
        yield* device.runtime.startEngine
        yield* device.agent.start
        yield* readmit(device)
      })
    ),
  reboot: (victims, device) => atThePlug(device, powerCycle(victims, device, () => victims.clocks.of(device).boot()))
} as const satisfies Episodes
