/** The ways to the operator that the configuration names, best first. */
import { Effect } from "effect"
import { makeGrpcDialer } from "../../adapters/grpc/GrpcDialer.ts"
import type { ArhatConfig } from "./ArhatConfig.ts"
import { mqttDialer } from "./mqttDialer.ts"
import { tlsMaterial } from "./tlsMaterial.ts"

export const dialers = Effect.fnUntraced(function*({ arhat, connectivity }: ArhatConfig) {
  const { dialTimeout } = connectivity
  const methods = connectivity.methods
    .map((method, index) => ({ method, at: `connectivity.methods[${index}].config` }))
    .toSorted((a, b) => a.method.priority - b.method.priority)
  return yield* Effect.forEach(
    methods,
    ({ at, method }) =>
      method.name === "mqtt"
        ? mqttDialer(method, { at, device: `${arhat.namespace}/${arhat.device}`, dialTimeout })
        : Effect.map(tlsMaterial(method.config.tls, `${at}.tls`), (tls) =>
          makeGrpcDialer({
            target: method.config.endpoint,
            tls: tls ?? "insecure",
            maxFrame: method.config.maxPayloadSize,
            connectTimeout: dialTimeout
          }))
  )
})
