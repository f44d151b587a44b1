/** How an EdgeDevice's broker is reached, from what its spec says and the Secrets it names hold. */
import { Duration, Redacted, Result } from "effect"
import { Base64 } from "effect/encoding"
import { type MqttConnectivity, parseBrokerAddress } from "../device/MqttConnectivity.ts"
import type { Secret } from "../kube/kinds.ts"
import type { BrokerAccess } from "./Brokers.ts"

/** What is wrong with a Secret, or what it says. */
export type Reading<A> = { readonly wrong: string } | { readonly found: A }

const wrong = (sentence: string) => ({ wrong: sentence })

const part = (secret: Secret, key: string): string | undefined => {
  const decoded = Base64.decodeString(secret.data?.[key] ?? "")
  return Result.isSuccess(decoded) && decoded.success !== "" ? decoded.success : undefined
}

const tlsOf = (
  mqtt: MqttConnectivity,
  secret: Secret | undefined
): Reading<BrokerAccess["tls"]> => {
  const name = mqtt.tlsSecretRef?.name ?? ""
  const at = `Secret ${name} of spec.connectivity.mqtt.tlsSecretRef`
  if (mqtt.tlsSecretRef === undefined) return { found: undefined }
  if (name === "") return { found: { ca: undefined, identity: undefined, serverName: undefined } }
  if (secret === undefined) return wrong(`${at} does not exist`)
  // Its mere presence used to mean yes.
  if (secret.data?.["insecureSkipVerify"] !== undefined) {
    return wrong(
      `${at} has key insecureSkipVerify, and the broker's certificate is always verified: remove that key and put the `
        + "broker's authority under ca.crt"
    )
  }
  const [cert, key] = [part(secret, "tls.crt"), part(secret, "tls.key")]
  if ((cert === undefined) !== (key === undefined)) return wrong(`${at} needs both tls.crt and tls.key, or neither`)
  if (mqtt.variant === "aws-iot-core" && cert === undefined) {
    return wrong(`${at} needs tls.crt and tls.key: aws-iot-core knows its clients by certificates`)
  }
  const serverName = part(secret, "serverName")?.trim()
  return {
    found: {
      ca: part(secret, "ca.crt"),
      identity: cert === undefined || key === undefined ? undefined : { cert, key: Redacted.make(key) },
      serverName: serverName === "" ? undefined : serverName
    }
  }
}

const basicAuth = "kubernetes.io/basic-auth"

const loginOf = (mqtt: MqttConnectivity, secret: Secret | undefined): Reading<BrokerAccess["login"]> => {
  if (mqtt.userPassRef === undefined) return { found: undefined }
  const at = `Secret ${mqtt.userPassRef.name} of spec.connectivity.mqtt.userPassRef`
  if (secret === undefined) return wrong(`${at} does not exist`)
  // Whoever names a Secret here has it shown to a broker of his choice: those that are no logins are none of a broker's business.
  if (secret.type !== basicAuth) return wrong(`${at} needs type ${basicAuth}`)
  const [username, password] = [part(secret, "username"), part(secret, "password")]
  if (username === undefined || password === undefined) return wrong(`${at} needs keys username and password`)
  return { found: { username, password: Redacted.make(password) } }
}

export const brokerAccess = (
  mqtt: MqttConnectivity,
  tlsSecret: Secret | undefined,
  loginSecret: Secret | undefined
): Reading<BrokerAccess> => {
  const tls = tlsOf(mqtt, tlsSecret)
  if ("wrong" in tls) return tls
  const login = loginOf(mqtt, loginSecret)
  if ("wrong" in login) return login
  const address = parseBrokerAddress(mqtt.broker)
  if (address === undefined) return wrong(`spec.connectivity.mqtt.broker ${mqtt.broker} is no host:port`)
  return {
    found: {
      ...address,
      transport: mqtt.transport,
      websocketPath: mqtt.websocketPath,
      version: mqtt.version,
      variant: mqtt.variant,
      tls: tls.found,
      login: login.found,
      clientId: mqtt.clientID === "" ? undefined : mqtt.clientID,
      keepaliveMillis: Duration.toMillis(mqtt.keepaliveInterval),
      maxPayload: mqtt.maxPayloadSize
    }
  }
}
