/** The dialer of an MQTT method: files are read anew for each connection, the topic namespace once. */
import { type Duration, Effect, Redacted } from "effect"
import { execFile } from "node:child_process"
import { createHash } from "node:crypto"
import type { BrokerOptions } from "../../adapters/mqtt/MqttBroker.ts"
import { parseBrokerAddress } from "../../core/device/MqttConnectivity.ts"
import { topicNamespaceProblem } from "../../core/device/topicNamespace.ts"
import { type Dialer, TransportError } from "../../core/link/Transport.ts"
import type { MqttMethod, TopicNamespaceSource } from "./MqttMethod.ts"
import { readBytes, UnreadableFile } from "./readFile.ts"
import { tlsMaterial } from "./tlsMaterial.ts"

const execMillis = 10_000
/** More than any topic may have. */
const execBytes = 4096

const printedBy = (key: string, [command, ...args]: readonly [string, ...ReadonlyArray<string>]) =>
  Effect.callback<string, UnreadableFile>((resume) => {
    const limits = { timeout: execMillis, killSignal: "SIGKILL", maxBuffer: execBytes } as const
    const child = execFile(command, args, limits, (error, stdout) => {
      resume(
        error === null
          ? Effect.succeed(stdout)
          : Effect.fail(
            new UnreadableFile({
              key,
              detail: error.killed === true
                ? `${command} did not end within ${execMillis / 1000} s`
                : `${command}: ${error.message}`
            })
          )
      )
    })
    return Effect.sync(() => void child.kill("SIGKILL"))
  })

const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim()

/** `text` wins, then `file`, then `exec`. */
const topicNamespaceFrom = Effect.fnUntraced(function*(source: TopicNamespaceSource, key: string) {
  const found = (source.text ?? "") !== ""
    ? { key: `${key}.text`, text: source.text ?? "" }
    : (source.file ?? "") !== ""
    ? { key: `${key}.file`, text: textOf(yield* readBytes(`${key}.file`, source.file ?? "")) }
    : {
      key: `${key}.exec`,
      text: (yield* printedBy(`${key}.exec`, source.exec ?? ["false"])).trim()
    }
  const problem = topicNamespaceProblem(found.text)
  if (problem !== undefined) return yield* new UnreadableFile({ key: found.key, detail: `what it gives ${problem}` })
  return found.text
})

const passwordOf = ({ config }: MqttMethod, at: string) =>
  config.passwordFile === undefined
    ? Effect.succeed(config.password)
    : Effect.map(readBytes(`${at}.passwordFile`, config.passwordFile), textOf)

/**
 * The same at each start, so that the broker ends what a former life of this device has left. Another for each method: a better
 * one that is tried must not end the one that carries the session.
 */
const ownClientId = (device: string, place: number) =>
  `arhat-${createHash("sha256").update(device).digest("hex").slice(0, 12)}${place === 0 ? "" : `-${place + 1}`}`

/** `at` is the key of the method's `config`, for error messages; `device` is `namespace/name`; `place` is among the MQTT methods. */
export const mqttDialer = Effect.fnUntraced(function*(
  method: MqttMethod,
  options: {
    readonly at: string
    readonly device: string
    readonly place: number
    readonly dialTimeout: Duration.Duration
  }
) {
  const { at, device, dialTimeout, place } = options
  const { config } = method
  const topicNamespace = yield* topicNamespaceFrom(config.topicNamespaceFrom, `${at}.topicNamespaceFrom`)
  const address = parseBrokerAddress(config.endpoint)
  if (address === undefined) {
    return yield* new UnreadableFile({ key: `${at}.endpoint`, detail: `${config.endpoint} is no host:port` })
  }
  const broker = Effect.gen(function*(): Effect.fn.Return<BrokerOptions, UnreadableFile> {
    const tls = yield* tlsMaterial(config.tls, `${at}.tls`)
    const password = yield* passwordOf(method, at)
    const websocket = config.transport === "websocket"
    return {
      ...address,
      transport: tls === undefined ? (websocket ? "websocket" : "tcp") : websocket ? "secure websocket" : "tls",
      path: config.websocketPath,
      version: config.version,
      variant: config.variant === "aws-iot-core" ? "aws-iot-core" : "standard",
      ...(tls === undefined ? {} : { tls }),
      ...(config.username === undefined ? {} : { username: config.username }),
      ...(password === undefined ? {} : { password: Redacted.make(password) }),
      clientId: config.clientID ?? ownClientId(device, place),
      keepalive: config.keepaliveInterval,
      maxPayload: config.maxPayloadSize,
      connectTimeout: dialTimeout
    }
  })
  const [{ makeMqttDialer }, { brokerProblems }] = yield* Effect.promise(() =>
    Promise.all([import("../../adapters/mqtt/MqttDialer.ts"), import("../../adapters/mqtt/brokerRules.ts")])
  )
  const first = yield* broker
  const problems = brokerProblems(first)
  if (problems.length > 0) return yield* new UnreadableFile({ key: at, detail: problems.join("; ") })
  if (first.password !== undefined && first.tls === undefined) {
    yield* Effect.logWarning(`${at}: without TLS whoever is in between can read the broker's password`)
  }
  const dialerOf = (now: BrokerOptions): Dialer => makeMqttDialer({ broker: now, topicNamespace })
  return {
    ...dialerOf(first),
    connect: broker.pipe(
      Effect.mapError((unreadable) => new TransportError({ reason: "Refused", detail: unreadable.message })),
      Effect.flatMap((now) => dialerOf(now).connect)
    )
  }
})
