/** How a device's programs and its power go away. */
import { Effect, Fiber, Semaphore } from "effect"
import type { SimulatedDevice } from "../World.ts"
import type { Dice } from "./Dice.ts"
import { inEngineWeather } from "./engineWeather.ts"
import { lasting, type Victims } from "./Episode.ts"
import { inTheDark } from "./linkWeather.ts"

/** A device's plug is pulled by one at a time. */
const plugs = new WeakMap<SimulatedDevice, Semaphore.Semaphore>()
export const atThePlug = <A>(device: SimulatedDevice, work: Effect.Effect<A>): Effect.Effect<A> => {
  let plug = plugs.get(device)
  if (plug === undefined) plugs.set(device, plug = Semaphore.makeUnsafe(1))
  return plug.withPermit(work)
}

/** A process that dies says no goodbye: what its finalizers send is swallowed. */
export const killSilently = Effect.fnUntraced(function*(device: SimulatedDevice, dice: Dice) {
  if (dice.chance() < 0.5) return yield* device.agent.kill
  yield* inTheDark(device.transport, device.agent.kill)
})

const deaf = () => Effect.succeed({ _tag: "Fails" } as const)

/** Kills it in the middle of what it does: neither disk nor engine takes anything any more, so that no last words are heard. */
export const killAtWork = Effect.fnUntraced(
  function*(device: SimulatedDevice, dice: Dice, release: Effect.Effect<void>) {
    const dying = yield* Effect.forkChild(killSilently(device, dice), { startImmediately: true })
    yield* device.journal.fail("Broken")
    yield* inEngineWeather(device.runtime, deaf, Effect.andThen(release, Fiber.join(dying)))
    yield* device.journal.heal
  }
)

/** The power fails and comes back. */
export const powerCycle = Effect.fnUntraced(function*(
  { count, dice, note }: Victims,
  device: SimulatedDevice,
  boot: () => void
) {
  const containers = dice.chance() < 0.7 ? "exited" : "gone"
  yield* killSilently(device, dice)
  count(`power: containers ${containers}`)
  yield* device.runtime.powerOff(containers)
  yield* device.host.reboot
  boot()
  yield* lasting(dice, 1_000, 60_000)
  yield* device.runtime.startEngine
  if (dice.chance() < 0.3) yield* lasting(dice, 0, 5_000)
  yield* device.agent.start
  yield* note(`${device.name} is up again, containers ${containers}`)
})
