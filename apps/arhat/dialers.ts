/** The ways to the operator that the configuration names, best first. */
import { Duration, Effect } from "effect"
import { makeGrpcDialer } from "../../adapters/grpc/GrpcDialer.ts"
import type { Dialer } from "../../core/link/Transport.ts"
import type { ArhatConfig } from "./ArhatConfig.ts"
import { mqttDialer } from "./mqttDialer.ts"
import { tlsMaterial } from "./tlsMaterial.ts"

export const dialers = Effect.fnUntraced(function*({ arhat, connectivity }: ArhatConfig) {
  const methods = connectivity.methods
    .map((method, index) => ({ method, at: `connectivity.methods[${index}].config` }))
    .toSorted((a, b) => a.method.priority - b.method.priority)
  return yield* Effect.forEach(methods, ({ at, method }) => {
    const { dialTimeout = connectivity.dialTimeout } = method
    const dialer = method.name === "mqtt"
      ? mqttDialer(method, { at, device: `${arhat.namespace}/${arhat.device}`, dialTimeout })
      : Effect.map(tlsMaterial(method.config.tls, `${at}.tls`), (tls) => {
        const { endpoint, keepaliveInterval, maxPayloadSize } = method.config
        return makeGrpcDialer({
          target: endpoint,
          tls: tls ?? "insecure",
          maxFrame: maxPayloadSize,
          connectTimeout: dialTimeout,
          ...(keepaliveInterval === undefined ? {} : { keepalive: keepaliveInterval })
        })
      })
    return Effect.map(dialer, (made): Dialer => ({ ...made, dialTimeoutMillis: Duration.toMillis(dialTimeout) }))
  })
})
