/** What the agent's configuration file may say of the ways to its operator. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { stringify } from "yaml"
import { ArhatConfig } from "../../../apps/arhat/ArhatConfig.ts"
import { tlsMaterial } from "../../../apps/arhat/tlsMaterial.ts"
import { decodeConfig } from "../../../core/config/decodeConfig.ts"
import { knownCipherSuites } from "../../../core/link/cipherSuites.ts"

const decode = (...methods: ReadonlyArray<object>) =>
  decodeConfig(ArhatConfig)(
    "arhat.yaml",
    stringify({
      arhat: { device: "edge-1" },
      connectivity: { operatorKey: `${"A".repeat(43)}=`, methods }
    }),
    (name) => name === "MQTT_PASSWORD" ? "from the environment" : undefined
  )
const problems = (...methods: ReadonlyArray<object>) =>
  Effect.map(Effect.flip(decode(...methods)), (error) => error.problems)

const mqtt = (config: object = {}) => ({
  name: "mqtt",
  config: { endpoint: "broker.example.com:8883", topicNamespaceFrom: { text: "sites/1" }, ...config }
})
const grpc = (config: object = {}) => ({ name: "grpc", config: { endpoint: "aranya.example.com:8443", ...config } })

describe("the users of process pods", () => {
  const users = (process: object) =>
    decodeConfig(ArhatConfig)(
      "arhat.yaml",
      stringify({
        arhat: { device: "edge-1" },
        connectivity: { operatorKey: `${"A".repeat(43)}=`, methods: [grpc()] },
        runtime: { process }
      }),
      () => undefined
    )

  it.effect("are never root, at least one, and numbers that a system has", () =>
    Effect.gen(function*() {
      const { runtime } = yield* users({ firstUid: 1, uids: 1 })
      assert.deepInclude(runtime.process, { firstUid: 1, uids: 1 })
      yield* users({ firstUid: 4_294_967_294, uids: 1 })
      for (
        const [process, problem] of [
          [{ firstUid: 0 }, ".firstUid: expected the number of a user that is not root, 1 or more"],
          [{ firstUid: -5 }, ".firstUid: expected the number of a user that is not root, 1 or more"],
          [{ uids: 0 }, ".uids: expected how many users there are, 1 or more"],
          [
            { firstUid: 4_294_967_294, uids: 2 },
            ": firstUid and uids go beyond 4294967294, the last number a user can have: lower one of them"
          ]
        ] as const
      ) {
        const error = yield* Effect.flip(users(process))
        assert.deepStrictEqual(error.problems, [`runtime.process${problem}`])
      }
    }))
})

describe("the agent's ways to its operator", () => {
  it.effect("may be several, each with its own settings and priority", () =>
    Effect.gen(function*() {
      const config = yield* decode(
        { ...grpc({ maxPayloadSize: 4096 }), priority: 10 },
        { ...mqtt({ username: "edge-1", password: "$MQTT_PASSWORD", tls: { caCert: "/ca" } }), priority: 1 }
      )
      const [second, first] = config.connectivity.methods
      assert.deepInclude(second, { name: "grpc", priority: 10 })
      assert.strictEqual(second?.config.maxPayloadSize, 4096)
      assert.strictEqual(first?.name, "mqtt")
      if (first?.name !== "mqtt") return
      const { keepaliveInterval, ...rest } = first.config
      assert.strictEqual(Duration.toSeconds(keepaliveInterval), 120)
      assert.deepStrictEqual(rest, {
        endpoint: "broker.example.com:8883",
        variant: "standard",
        version: "3.1.1",
        transport: "tcp",
        websocketPath: "/mqtt",
        topicNamespaceFrom: { text: "sites/1" },
        username: "edge-1",
        password: "from the environment",
        maxPayloadSize: 131_072,
        tls: { enabled: true, caCert: "/ca" }
      })
    }))

  const bad: ReadonlyArray<readonly [what: string, method: object, problem: string]> = [
    [
      "a method nobody serves",
      { name: "pigeon", config: { endpoint: "a:1" } },
      ": expected a method with name grpc or mqtt"
    ],
    [
      "an operator without an address",
      grpc({ endpoint: "" }),
      ".config.endpoint: write host:port, such as aranya.example.com:8443"
    ],
    [
      "an operator without a port",
      grpc({ endpoint: "https://aranya.example.com" }),
      ".config.endpoint: write host:port, such as aranya.example.com:8443"
    ],
    [
      "a broker without a port",
      mqtt({ endpoint: "tcp://broker" }),
      ".config.endpoint: write host:port, such as broker.example.com:8883"
    ],
    [
      "no topic namespace",
      mqtt({ topicNamespaceFrom: {} }),
      ".config.topicNamespaceFrom: give one of text, file and exec: the same text as spec.connectivity.mqtt.topicNamespace "
      + "of the EdgeDevice"
    ],
    [
      "wildcards in its topics",
      mqtt({ topicNamespaceFrom: { text: "#" } }),
      ".config.topicNamespaceFrom: text holds a + or a #, which are wildcards: leave them out"
    ],
    [
      "a variant without both ends",
      mqtt({ variant: "azure-iot-hub" }),
      ".config.variant: azure-iot-hub is not spoken at both ends yet: use a broker of variant standard or aws-iot-core, or "
      + "method grpc"
    ],
    [
      "a variant whose service has ended",
      mqtt({ variant: "gcp-iot-core" }),
      ".config.variant: the service of gcp-iot-core has ended: use a broker of variant standard or aws-iot-core, or method grpc"
    ],
    [
      "AWS without a Thing",
      mqtt({ variant: "aws-iot-core" }),
      ".config: clientID is required with variant aws-iot-core: it is the name of the device's Thing"
    ],
    ["a password of nobody", mqtt({ passwordFile: "/p" }), ".config: a password needs its username"],
    [
      "two passwords",
      mqtt({ username: "u", password: "p", passwordFile: "/p" }),
      ".config: password and passwordFile: give one of them"
    ]
  ]
  it.effect.each(bad)("cannot be %s: one sentence says so", ([, method, problem]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* problems(method), [`connectivity.methods[0]${problem}`])
    }))

  const tlsKeys: ReadonlyArray<readonly [key: string, asks: unknown, harmless: unknown, sentence: string]> = [
    [
      "insecureSkipVerify",
      true,
      false,
      "verification cannot be switched off: put the authority that signed the certificate into caCert, and its name into serverName"
    ],
    [
      "keyLogFile",
      "/tmp/keys",
      "",
      "keys of connections are never written down: remove it, and look at what is said with log level debug"
    ],
    [
      "allowInsecureHashes",
      true,
      false,
      "certificates signed by way of MD5 or SHA-1 prove nothing: have them signed anew, and remove this"
    ],
    [
      "preSharedKey",
      { identityHint: "x" },
      null,
      "pre-shared keys of TLS are not supported: use certificates, the link proves the device's own key in any case"
    ],
    ["verifyClientCert", true, false, "it is a setting of servers, and this side is the client: remove it"]
  ]
  it.effect.each(tlsKeys)(
    "have no TLS key %s, which is refused by name unless it asks for nothing",
    ([key, asks, harmless, sentence]) =>
      Effect.gen(function*() {
        for (const method of [mqtt, grpc]) {
          yield* decode(method({ tls: { [key]: harmless } }))
          assert.deepStrictEqual(yield* problems(method({ tls: { [key]: asks } })), [
            `connectivity.methods[0].config.tls.${key}: ${sentence}`
          ])
        }
      })
  )

  /** Every key that a tls section had in 2021, and what becomes of it. */
  it.effect("know each TLS key of former agents: it takes effect, or is refused by name", () =>
    Effect.gen(function*() {
      const written: Readonly<Record<string, unknown>> = {
        enabled: true,
        caCert: "/ca",
        caCertData: Buffer.from("pem of a CA").toString("base64"),
        cert: "/cert",
        certData: Buffer.from("pem of a certificate").toString("base64"),
        key: "/key",
        keyData: Buffer.from("pem of a key").toString("base64"),
        serverName: "broker.example.com",
        cipherSuites: ["TLS_AES_128_GCM_SHA256"],
        insecureSkipVerify: true,
        keyLogFile: "/tmp/keys",
        allowInsecureHashes: true,
        preSharedKey: { serverHintMapping: ["a"], identityHint: "b" },
        verifyClientCert: true
      }
      const refused = new Set(tlsKeys.map(([key]) => key))
      for (const [key, value] of Object.entries(written)) {
        for (const method of [mqtt, grpc]) {
          if (refused.has(key)) {
            const [problem] = yield* problems(method({ tls: { [key]: value } }))
            assert.match(problem ?? "", new RegExp(`^connectivity\\.methods\\[0\\]\\.config\\.tls\\.${key}: `, "u"))
            continue
          }
          const config = yield* decode(method({ tls: { [key]: value } }))
          assert.deepInclude(config.connectivity.methods[0]?.config.tls, { [key]: value })
        }
      }
      // What is decoded is also what both transports are given.
      const { caCertData, certData, cipherSuites, keyData, serverName } = written
      const data = { caCertData, certData, keyData, serverName, cipherSuites, hybridKeyExchange: true }
      const { connectivity } = yield* decode(grpc({ tls: data }))
      const material = yield* tlsMaterial(connectivity.methods[0].config.tls, "tls")
      const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes)
      assert.strictEqual(text(material?.ca), "pem of a CA")
      assert.strictEqual(text(material?.identity?.cert), "pem of a certificate")
      assert.strictEqual(text(material?.identity?.key), "pem of a key")
      assert.strictEqual(material?.serverName, serverName)
      assert.deepStrictEqual<unknown>(material?.cipherSuites, cipherSuites)
      assert.isTrue(material?.hybridKeyExchange)
      const off = yield* decode(grpc({ tls: { enabled: false } }))
      assert.isUndefined(yield* tlsMaterial(off.connectivity.methods[0].config.tls, "tls"))
    }))

  it.effect("take cipher suites by their IANA names, and no others", () =>
    Effect.gen(function*() {
      for (const method of [mqtt, grpc]) {
        const config = yield* decode(method({ tls: { cipherSuites: knownCipherSuites } }))
        assert.deepStrictEqual(config.connectivity.methods[0]?.config.tls.cipherSuites, knownCipherSuites as never)
        assert.deepStrictEqual(
          yield* problems(method({ tls: { cipherSuites: ["TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"] } })),
          [
            "connectivity.methods[0].config.tls.cipherSuites[1]: no cipher suite by this IANA name is offered; these are: "
            + knownCipherSuites.join(", ")
          ]
        )
      }
    }))
})
