/** What the links of a device meet: several at once where several faults want it, and of what two of them say, the newer. */
import { Effect } from "effect"
import type { TransportError } from "../../../core/link/Transport.ts"
import { type Direction, fairWeather, type MemoryTransportControls, type Weather } from "../../fakes/MemoryTransport.ts"
import { overlapping } from "./overlapping.ts"

interface Going {
  readonly weather: Partial<Weather>
  /** Both unless given. */
  readonly direction?: Direction | undefined
}

const weathers = overlapping<MemoryTransportControls, Going>((transport, going) => {
  const prevailing = (of: Direction): Weather =>
    Object.assign(
      { ...fairWeather },
      ...going.filter(({ direction }) => direction === undefined || direction === of).map(({ weather }) => weather)
    )
  const toOperator = prevailing("toOperator")
  const toDevice = prevailing("toDevice")
  return JSON.stringify(toOperator) === JSON.stringify(toDevice)
    ? transport.weather(toOperator)
    : Effect.andThen(transport.weather(toOperator, "toOperator"), transport.weather(toDevice, "toDevice"))
})

export const inWeather = <A>(transport: MemoryTransportControls, going: Going, meanwhile: Effect.Effect<A>) =>
  weathers(transport, going, meanwhile)

/** Nothing arrives, and nobody notices. */
export const inTheDark = <A>(transport: MemoryTransportControls, meanwhile: Effect.Effect<A>, direction?: Direction) =>
  weathers(transport, { weather: { blackHole: true }, direction }, meanwhile)

/** It is refused, for the reason that was given last. */
export const whileRefused = overlapping<MemoryTransportControls, TransportError["reason"]>((transport, going) =>
  transport.refuse(going.at(-1))
)
