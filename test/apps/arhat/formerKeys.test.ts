/** What becomes of the keys that the agents of 2020 and 2021 had, and this one has not. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { stringify } from "yaml"
import { ArhatConfig } from "../../../apps/arhat/ArhatConfig.ts"
import { decodeConfig } from "../../../core/config/decodeConfig.ts"

const grpc = (config: object = {}) => ({ name: "grpc", config: { endpoint: "aranya.example.com:8443", ...config } })
const mqtt = (config: object) => ({
  name: "mqtt",
  config: { endpoint: "broker.example.com:8883", topicNamespaceFrom: { text: "sites/1" }, ...config }
})

interface Written {
  readonly arhat?: object
  readonly connectivity?: object
  readonly [section: string]: unknown
}

const decode = ({ arhat = {}, connectivity = {}, ...rest }: Written) =>
  decodeConfig(ArhatConfig)(
    "arhat.yaml",
    stringify({
      arhat: { device: "edge-1", ...arhat },
      connectivity: { operatorKey: `${"A".repeat(43)}=`, methods: [grpc()], ...connectivity },
      ...rest
    }),
    () => undefined
  )

const logs = (sink: object) => ({ arhat: { log: [sink] } })
const ways = (...methods: ReadonlyArray<object>) => ({ connectivity: { methods } })
const remote = "volumes of storage classes cannot be mounted on devices: remove it"
const cluster = "there is no cluster network between devices, and abbot is not run: remove it"
const plugins = "plugins are not served yet, and runtimes are built in: remove it, and set runtime instead"

describe("a configuration of a former agent", () => {
  const refused: ReadonlyArray<readonly [key: string, written: Written, sentence: string]> = [
    [
      "arhat.log[0].kubeLog",
      logs({ kubeLog: true }),
      "kubectl logs of the host pod shows the first file in arhat.log: put that one first, and remove this"
    ],
    [
      "arhat.log[0].format",
      logs({ format: "console" }),
      "console is called pretty now: write pretty, or auto"
    ],
    [
      "arhat.node.machineIDFrom",
      { arhat: { node: { machineIDFrom: { exec: ["cat", "/id"] } } } },
      "the Node shows what /etc/machine-id of the device says: write it there, and remove this"
    ],
    [
      "arhat.node.extInfo",
      { arhat: { node: { extInfo: [{ valueFrom: { text: "a" }, operator: "=", applyTo: "metadata.labels['a']" }] } } },
      "write it into spec.node.labels and spec.node.annotations of the EdgeDevice, and remove this"
    ],
    ["arhat.pprof", { arhat: { pprof: { enabled: true } } }, "profiles are not served: remove it"],
    [
      "connectivity.method",
      { connectivity: { method: "auto" } },
      "the ways to the operator are listed in methods, each with its priority: list them there, and remove this"
    ],
    ...["coap", "nats"].map((name) =>
      [
        "connectivity.methods[1].name",
        ways(grpc(), { name, priority: 1, config: { endpoint: "a:1", clientID: "b" } }),
        `the operator does not speak ${name}: use grpc, or mqtt through a broker`
      ] as const
    ),
    [
      "connectivity.methods[0].config.version",
      ways(mqtt({ version: 5 })),
      "expected \"3.1.1\" or \"5\", in quotes"
    ],
    ...[grpc, mqtt].map((method) =>
      [
        "connectivity.methods[0].config.tls.cipherSuites",
        ways(method({ tls: { cipherSuites: [] } })),
        "name at least one, or leave the key out: then all are offered"
      ] as const
    ),
    ["storage", { storage: { driver: "sshfs", config: { args: ["-o", "ro"] }, successTimeWait: "5s" } }, remote],
    ["network", { network: { enabled: true } }, cluster],
    ["network", { network: { abbotExec: ["abbot"] } }, cluster],
    ["extension", { extension: { enabled: true, endpoints: [{ listen: "unix:///var/run/arhat.sock" }] } }, plugins],
    ["extension", { extension: { runtime: { wait: true } } }, plugins]
  ]
  it.effect.each(refused)(
    "is told in one sentence what to do about %s",
    ([key, written, sentence]) =>
      Effect.gen(function*() {
        const { problems } = yield* Effect.flip(decode(written))
        assert.deepStrictEqual(problems, [`${key}: ${sentence}`])
      })
  )

  const harmless: ReadonlyArray<readonly [what: string, written: Written]> = [
    ["logs that are not Kubernetes'", logs({ kubeLog: false })],
    ["nothing of the device itself", { arhat: { node: { machineIDFrom: { file: "", text: "" }, extInfo: [] } } }],
    ["profiles that are off", { arhat: { pprof: { enabled: false, listen: "localhost:8080" } } }],
    ["storage without a driver", { storage: { driver: "", config: {} } }],
    ["a network that is off", { network: { enabled: false, abbotExec: ["abbot"] } }],
    ["plugins that are off", { extension: { enabled: false, endpoints: [{ listen: "tcp://localhost:1" }] } }],
    ["a version in quotes", ways(mqtt({ version: "5" }))]
  ]
  it.effect.each(harmless)("may ask for %s", ([, written]) => decode(written))
})
