/** The ways to the operator that the configuration names, best first. */
import { Duration, Effect } from "effect"
import { parseBrokerAddress } from "../../core/device/MqttConnectivity.ts"
import type { Dialer } from "../../core/link/Transport.ts"
import type { ArhatConfig } from "./ArhatConfig.ts"
import { grpcDialer } from "./grpcDialer.ts"
import { mqttDialer } from "./mqttDialer.ts"

/** A broker keeps one connection for each clientID, whatever port it comes by. */
const sharedNames = ({ connectivity }: ArhatConfig): ReadonlyArray<string> => {
  const seen = new Map<string, string>()
  return connectivity.methods.flatMap((method, index) => {
    if (method.name !== "mqtt" || method.config.clientID === undefined) return []
    const { clientID, endpoint } = method.config
    const key = `connectivity.methods[${index}].config.clientID`
    const name = JSON.stringify([parseBrokerAddress(endpoint)?.host.toLowerCase(), clientID])
    const first = seen.get(name)
    if (first === undefined) {
      seen.set(name, key)
      return []
    }
    return [
      `${first} and ${key} are the same at one broker, which keeps one connection for each: to try one method ends the other. ` +
      "Give them clientIDs of their own"
    ]
  })
}

export const dialers = Effect.fnUntraced(function*(config: ArhatConfig) {
  const { arhat, connectivity } = config
  for (const warning of sharedNames(config)) yield* Effect.logWarning(warning)
  const methods = connectivity.methods
    .map((method, index, all) => ({
      method,
      at: `connectivity.methods[${index}].config`,
      place: all.slice(0, index).filter(({ name }) => name === method.name).length
    }))
    .toSorted((a, b) => a.method.priority - b.method.priority)
  return yield* Effect.forEach(methods, ({ at, method, place }) => {
    const { dialTimeout = connectivity.dialTimeout } = method
    const dialer = method.name === "mqtt"
      ? mqttDialer(method, { at, device: `${arhat.namespace}/${arhat.device}`, place, dialTimeout })
      : grpcDialer(method, { at, dialTimeout })
    return Effect.map(dialer, (made): Dialer => ({ ...made, dialTimeoutMillis: Duration.toMillis(dialTimeout) }))
  })
})
