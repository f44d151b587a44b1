/** Every mistake that people make, and the sentence each of them sees; docs/troubleshooting.md has the same sentences. */
import { assert, it as plain, layer } from "@effect/vitest"
import { Effect, Option } from "effect"
import { Base64 } from "effect/encoding"
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parse, stringify } from "yaml"
import { NodeCryptography } from "../../adapters/crypto/NodeCryptography.ts"
import { Cryptography } from "../../core/link/Cryptography.ts"
import { decodeFrame } from "../../core/link/frames.ts"
import { makeAuthority } from "../adapters/grpc/certificates.ts"
import { connectByHand, dial } from "./badInput/rogue.ts"
import { documented, says } from "./badInput/sentences.ts"
import { kubectlPath, logged, run, Site } from "./badInput/Site.ts"
import { apply, edgeDevice, eventually } from "./Line.ts"

const edgeDeviceOf = (name: string, spec: object) => ({ ...edgeDevice(name, ""), spec })
const grpc = { connectivity: { method: "grpc" } }

const pod = (name: string, container: object, spec: object = {}) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name },
  spec: {
    nodeName: "edge-1",
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 1,
    tolerations: [{ key: "arhat.dev/namespace", operator: "Exists" }],
    containers: [{
      name: "main",
      image: "virtualimage.arhat.dev/hostexec",
      command: ["sleep", "1000"],
      ...container
    }],
    ...spec
  }
})

/** One condition of an EdgeDevice as `True|Reason|Message`. */
const condition = (type: string) =>
  `jsonpath={range .status.conditions[?(@.type=="${type}")]}{.status}|{.reason}|{.message}{end}`

const waiting =
  "jsonpath={.status.phase}|{range .status.containerStatuses[*]}{.state.waiting.reason}|{.state.waiting.message}{end}"

/** Kubectl for one object in the namespace of the devices. */
const asking = Effect.gen(function*() {
  const { kubectl } = yield* Site
  return {
    kubectl,
    get: (what: ReadonlyArray<string>, output: string) => ["get", ...what, "-n", "edge", "-o", output],
    /** kubectl describe, once it shows the sentence. */
    describes: (what: ReadonlyArray<string>, sentence: string) =>
      Effect.map(
        eventually(kubectl, ["describe", ...what, "-n", "edge"], (out) =>
          out.replaceAll(/\s+/gu, " ").includes(sentence)),
        (out) =>
          says(out, sentence)
      ),
    connected: (name: string) =>
      eventually(
        kubectl,
        ["get", "edgedevice", name, "-n", "edge", "-o", condition("Connected")],
        (out) => out.startsWith("True|")
      )
  }
})

/** edge-1, a device with nothing wrong, connected; started by the first test that wants it. */
const goodDevice = Effect.gen(function*() {
  const { agent, kubectl, once } = yield* Site
  return yield* once(
    "edge-1",
    Effect.gen(function*() {
      const good = yield* agent("edge-1")
      yield* apply(kubectl, edgeDevice("edge-1", good.publicKey))
      yield* good.start
      yield* eventually(kubectl, ["get", "node", "edge-1", "--no-headers"], (out) => / Ready /.test(out))
      return good
    })
  )
})

const notConnected = ({ msg }: { readonly msg: string }) => msg.startsWith("not connected: ")

if (Option.isNone(kubectlPath)) {
  plain("bad input", () => console.warn("SKIPPED what a person sees of bad input: there is no kubectl on the PATH"))
} else {
  layer(Site.layer, { excludeTestServices: true, timeout: "3 minutes" })("bad input", (it) => {
    it.effect(
      "an EdgeDevice that the API server can refuse is refused by kubectl apply, and nothing is stored",
      () =>
        Effect.gen(function*() {
          const { kubectl } = yield* asking
          const refused = (spec: object) =>
            Effect.map(
              kubectl(["apply", "-f", "-"], { stdin: stringify(edgeDeviceOf("edge-2", spec)) }),
              ({ exitCode, stderr, stdout }) => {
                assert.strictEqual(exitCode, 1)
                assert.strictEqual(stdout, "")
                return stderr
              }
            )
          says(
            yield* refused({ connectivity: { method: "carrier-pigeon" } }),
            `The EdgeDevice "edge-2" is invalid: spec.connectivity.method: Unsupported value: "carrier-pigeon": supported values: "grpc"`
          )
          says(
            yield* refused({}),
            `The EdgeDevice "edge-2" is invalid: spec.connectivity: Required value`
          )
          says(yield* refused({ ...grpc, nodes: {} }), `strict decoding error: unknown field "spec.nodes"`)
          says(
            yield* refused({ ...grpc, identity: { publicKey: "abc" } }),
            `spec.identity.publicKey: Invalid value: "abc": spec.identity.publicKey in body should match '^[A-Za-z0-9+/]{43}=$'`
          )
          const found = yield* kubectl(["get", "edgedevice", "edge-2", "-n", "edge"])
          assert.match(found.stderr, /NotFound/)
        }),
      120_000
    )

    it.effect(
      "an EdgeDevice that only the operator can refuse says so in its condition Invalid, and heals",
      () =>
        Effect.gen(function*() {
          const { describes, get, kubectl } = yield* asking
          const labels = { "arhat.dev/role": "mine" }
          const sentence =
            "spec.node.labels[arhat.dev/role] is set by aranya itself (arhat.dev/*, kubernetes.io/hostname, kubernetes.io/os, kubernetes.io/arch, type): choose another key."
          yield* apply(kubectl, edgeDeviceOf("edge-3", { ...grpc, node: { labels } }))
          yield* eventually(
            kubectl,
            get(["edgedevice", "edge-3"], condition("Invalid")),
            (out) => out === `True|SpecInvalid|${sentence}`
          )
          yield* describes(["edgedevice", "edge-3"], sentence)
          const node = yield* kubectl(["get", "node", "edge-3"])
          assert.match(node.stderr, /NotFound/)

          yield* apply(kubectl, edgeDeviceOf("edge-3", { ...grpc, node: { labels: { role: "mine" } } }))
          yield* eventually(
            kubectl,
            get(["edgedevice", "edge-3"], condition("Invalid")),
            (out) => out === "False|Understood|"
          )
          yield* eventually(
            kubectl,
            ["get", "node", "edge-3", "-o", "jsonpath={.metadata.labels.role}"],
            (out) => out === "mine"
          )
        }),
      120_000
    )

    it.effect(
      "an EdgeDevice field that this version does not act on is refused by name, never stored silently",
      () =>
        Effect.gen(function*() {
          const { get, kubectl } = yield* asking
          const sentence =
            "spec.peripherals is not supported by this version: peripherals are not served yet, so remove them."
          yield* apply(kubectl, edgeDeviceOf("edge-4", { ...grpc, peripherals: [{ name: "lamp" }] }))
          yield* eventually(
            kubectl,
            get(["edgedevice", "edge-4"], condition("Invalid")),
            (out) => out === `True|SpecInvalid|${documented(sentence)}`
          )
          // A real API server says it at once: the same sentence is a CEL rule of the definition.
          const definition = fileURLToPath(new URL("../../deploy/crd/edgedevices.yaml", import.meta.url))
          const { spec } = parse(readFileSync(definition, "utf8")) as {
            readonly spec: { readonly versions: ReadonlyArray<{ readonly schema: unknown }> }
          }
          assert.include(JSON.stringify(spec.versions[0]?.schema), sentence)
        }),
      120_000
    )

    for (
      const [program, text, sentence] of [
        ["aranya", "kubelet: { adress: 10.0.0.7 }", "unknown key kubelet.adress, did you mean address?"],
        [
          "aranya",
          "nonsense: 1",
          "unknown key nonsense (known here: aranya, connectivity, kubelet, pod)"
        ],
        ["arhat", "arhat: { devise: edge-1 }", "unknown key arhat.devise, did you mean device?"],
        [
          "arhat",
          "connectivity: { operatorKey: x }",
          "connectivity.operatorKey: expected the operator's public key, 32 bytes in base64"
        ],
        ["arhat", "arhat: [", "it cannot be read as YAML: "]
      ] as const
    ) {
      it.effect(`${program} does not start with ${text}: ${sentence}`, () =>
        Effect.gen(function*() {
          const { folder } = yield* Site
          const file = `${folder}/config.yaml`
          writeFileSync(file, text)
          for (const command of ["run", "check-config"]) {
            const { exitCode, stderr, stdout } = yield* run(program, command, "-c", file)
            assert.strictEqual(exitCode, 1)
            assert.strictEqual(stdout, "")
            assert.isTrue(stderr.startsWith(`error: ${file}: `), stderr)
            says(stderr, sentence)
            assert.lengthOf(stderr.trimEnd().split("\n"), 1)
          }
        }), 60_000)
    }

    it.effect(
      "an agent with another CA than the operator's says which to give it, and goes on trying",
      () =>
        Effect.gen(function*() {
          const { agent, endpoint, kubectl } = yield* Site
          const stranger = makeAuthority("a stranger").cert
          const lost = yield* agent("edge-5", { caData: Base64.encode(stranger) })
          yield* apply(kubectl, edgeDevice("edge-5", lost.publicKey))
          const daemon = yield* lost.start
          const [line] = yield* logged(lost.logFile, notConnected)
          assert.strictEqual(line?.level, "warn")
          const told = /^not connected: a credential was not accepted: (\S+): (.*); next try in (\d+) s$/u.exec(
            line?.msg ?? ""
          )
          assert.strictEqual(told?.[1], endpoint)
          assert.strictEqual(
            told?.[2],
            documented(
              "unable to verify the first certificate; the operator's certificate is not of an authority in tls.caCert: put ca.crt of the operator's Secret aranya-grpc-tls there, or the CA that signed connectivity.grpc.cert"
            )
          )
          // Only a person can help: it tries again every 2.5 to 5 minutes, for ever.
          assert.isAtLeast(Number(told?.[3]), 150)
          assert.isAtMost(Number(told?.[3]), 300)
          assert.isTrue(existsSync(`/proc/${daemon.pid}`))
        }),
      120_000
    )

    it.effect(
      "an agent with another operator's key says what to compare, and goes on trying",
      () =>
        Effect.gen(function*() {
          const { agent, kubectl } = yield* Site
          const { x25519Public } = yield* Cryptography
          const other = Base64.encode(x25519Public(new Uint8Array(32).fill(7)))
          const lost = yield* agent("edge-6", { operatorKey: other })
          yield* apply(kubectl, edgeDevice("edge-6", lost.publicKey))
          yield* lost.start
          const lines = yield* logged(lost.logFile, notConnected, 2)
          for (const { level, msg } of lines) {
            assert.strictEqual(level, "warn")
            says(msg, "the handshake failed (NoAnswer): no answer to the first message")
            says(
              msg,
              "An operator whose public key is not connectivity.operatorKey cannot read it: compare that with what `aranya key` prints"
            )
            assert.match(msg, /; next try in \d s$/)
          }
        }).pipe(Effect.provide(NodeCryptography.layer)),
      180_000
    )

    it.effect(
      "a device with another key than its EdgeDevice knows is told so, its owner too, and both can mend it",
      () =>
        Effect.gen(function*() {
          const { agent } = yield* Site
          const { connected, describes, kubectl } = yield* asking
          const right = yield* agent("edge-7")
          const another = yield* agent("edge-7-before")
          yield* apply(kubectl, edgeDevice("edge-7", another.publicKey))
          yield* Effect.scoped(Effect.gen(function*() {
            yield* right.start
            const [line] = yield* logged(right.logFile, notConnected)
            says(
              line?.msg ?? "",
              "WrongKey: the key is not the one EdgeDevice edge/edge-7 knows: set its spec.identity.publicKey to what `arhat identity` prints on this device; next try in"
            )
          }))
          yield* describes(
            ["edgedevice", "edge-7"],
            "a device with another key than this EdgeDevice knows was turned away: if it is the right one, set spec.identity.publicKey to what `arhat identity` prints on it"
          )
          yield* apply(kubectl, edgeDevice("edge-7", right.publicKey))
          yield* right.start
          yield* connected("edge-7")
        }),
      180_000
    )

    it.effect("a device that no EdgeDevice stands for is told which one to create", () =>
      Effect.gen(function*() {
        const { agent } = yield* Site
        const stray = yield* agent("edge-8")
        yield* stray.start
        const [line] = yield* logged(stray.logFile, notConnected)
        says(
          line?.msg ?? "",
          "UnknownDevice: there is no EdgeDevice edge/edge-8: create it, or mend arhat.device in the agent's configuration; next try in"
        )
      }), 120_000)

    it.effect(
      "a copy of a device is turned away while the first lives, and the first notices nothing",
      () =>
        Effect.gen(function*() {
          const { agent, folder } = yield* Site
          const { describes, get, kubectl } = yield* asking
          yield* goodDevice
          yield* apply(kubectl, pod("steady", {}))
          const running =
            "jsonpath={.status.phase} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}"
          const before = yield* eventually(
            kubectl,
            get(["pod", "steady"], running),
            (out) => /^Running \S+ 0$/.test(out)
          )
          const link = yield* kubectl(get(["edgedevice", "edge-1"], "jsonpath={.status.link}{.status.conditions}"))

          const copy = yield* agent("edge-1-copy", { device: "edge-1" })
          cpSync(`${folder}/edge-1/data/device.key`, `${copy.dataDir}/device.key`)
          yield* copy.start
          const sentence = "another device with this identity is connected: give each device its own key"
          const [line] = yield* logged(copy.logFile, notConnected)
          says(line?.msg ?? "", `DuplicateIdentity: ${sentence}; next try in`)
          const about = "involvedObject.kind=EdgeDevice,involvedObject.name=edge-1,reason=DuplicateIdentity"
          yield* eventually(
            kubectl,
            [
              "get",
              "events",
              "-n",
              "edge",
              "--field-selector",
              about,
              "-o",
              "jsonpath={.items[0].type} {.items[0].message}"
            ],
            (out) => out === `Warning ${sentence}`
          )
          yield* describes(["edgedevice", "edge-1"], sentence)

          assert.strictEqual((yield* kubectl(get(["pod", "steady"], running))).stdout, before)
          assert.strictEqual(
            (yield* kubectl(get(["edgedevice", "edge-1"], "jsonpath={.status.link}{.status.conditions}"))).stdout,
            link.stdout
          )
          const log = yield* kubectl(["logs", "steady", "-n", "edge"])
          assert.strictEqual(log.exitCode, 0, log.stderr)
        }),
      180_000
    )

    it.effect("an EdgeDevice with the name of another's Node is refused it", () =>
      Effect.gen(function*() {
        const { kubectl } = yield* asking
        yield* goodDevice
        yield* apply(kubectl, { apiVersion: "v1", kind: "Namespace", metadata: { name: "other" } })
        const second = edgeDevice("edge-1", Base64.encode(new Uint8Array(32).fill(9)))
        yield* apply(kubectl, { ...second, metadata: { namespace: "other", name: "edge-1" } })
        const sentence = documented(
          "Node edge-1 exists and is not of this EdgeDevice: rename the EdgeDevice, or remove that Node"
        )
        yield* eventually(
          kubectl,
          ["get", "edgedevice", "edge-1", "-n", "other", "-o", condition("NameConflict")],
          (out) => out === `True|NodeOfAnother|${sentence}`
        )
      }), 120_000)

    it.effect(
      "a recorded conversation that is sent again gets nowhere, and the first goes on",
      () =>
        Effect.gen(function*() {
          const { caData, endpoint, operator } = yield* Site
          const { get, kubectl } = yield* asking
          const { x25519Public } = yield* Cryptography
          const privateKey = new Uint8Array(32).fill(11)
          const operatorPublic = Buffer.from(operator.publicKey, "base64")
          const door = { endpoint, ca: Buffer.from(caData, "base64") }
          yield* apply(kubectl, edgeDevice("edge-9", Base64.encode(x25519Public(privateKey))))
          yield* eventually(kubectl, ["get", "node", "edge-9"], (_, { exitCode }) => exitCode === 0)
          const first = yield* connectByHand(door, { device: "edge-9", privateKey, operatorPublic })
          yield* first.answers
          const state = "jsonpath={.status.link}{.status.conditions}"
          yield* eventually(
            kubectl,
            get(["edgedevice", "edge-9"], condition("Connected")),
            (out) => out.startsWith("True|")
          )
          const { stdout: before } = yield* kubectl(get(["edgedevice", "edge-9"], state))

          yield* Effect.scoped(Effect.gen(function*() {
            const again = yield* dial(door)
            for (const frame of first.sent.slice()) yield* again.send(frame)
            // Anybody may send the first message twice; what follows was sealed for keys that are no more.
            assert.isAbove(decodeFrame(yield* again.receive)?.answer.length ?? 0, 0)
            const end = yield* Effect.flip(Effect.timeout(Effect.forever(again.receive), "60 seconds"))
            assert.match(end.message, /^the connection was lost: /)
          }))
          yield* logged(
            operator.logFile,
            ({ level, msg }) =>
              level === "debug" && msg.startsWith("A device was turned away (grpc 127.0.0.1:")
              && msg.endsWith(documented("the handshake failed (NoAnswer): no handshake within 10 s"))
          )
          assert.strictEqual((yield* kubectl(get(["edgedevice", "edge-9"], state))).stdout, before)
          yield* first.answers
        }).pipe(Effect.provide(NodeCryptography.layer)),
      180_000
    )

    it.effect(
      "an image that there is not shows as ErrImagePull and ImagePullBackOff with what is wrong",
      () =>
        Effect.gen(function*() {
          const { describes, get, kubectl } = yield* asking
          yield* goodDevice
          yield* apply(kubectl, pod("no-image", { image: "example.com/nothing:1" }))
          yield* describes(
            ["pod", "no-image"],
            `Failed to pull image "example.com/nothing:1":`
          )
          yield* describes(
            ["pod", "no-image"],
            `a process pod can only use virtualimage.arhat.dev/hostexec or an image of this device's table: add example.com/nothing:1 to runtime.process.images, or choose another runtime for the pod`
          )
          yield* describes(["pod", "no-image"], "Error: ErrImagePull")
          yield* eventually(
            kubectl,
            get(["pod", "no-image"], waiting),
            (out) =>
              out.startsWith(
                `Pending|ImagePullBackOff|${
                  documented(`Back-off pulling image "example.com/nothing:1"`)
                }: ErrImagePull: a process pod can only use`
              )
          )
          const log = yield* kubectl(["logs", "no-image", "-n", "edge"])
          assert.strictEqual(log.exitCode, 1)
          says(log.stderr, "trying and failing to pull image")
        }),
      120_000
    )

    it.effect(
      "a ConfigMap that is missing holds its pod back with the kubelet's words until it is there",
      () =>
        Effect.gen(function*() {
          const { describes, get, kubectl } = yield* asking
          yield* goodDevice
          const env = [{ name: "COLOUR", valueFrom: { configMapKeyRef: { name: "settings", key: "colour" } } }]
          yield* apply(
            kubectl,
            pod("no-env", { env }),
            pod("no-volume", { volumeMounts: [{ name: "settings", mountPath: "/settings" }] }, {
              volumes: [{ name: "settings", configMap: { name: "settings" } }]
            })
          )
          yield* eventually(
            kubectl,
            get(["pod", "no-env"], waiting),
            (out) => out === `Pending|CreateContainerConfigError|configmap "settings" not found`
          )
          yield* describes(["pod", "no-env"], `Error: configmap "settings" not found`)
          yield* eventually(
            kubectl,
            get(["pod", "no-volume"], waiting),
            (out) => out.startsWith("Pending|ContainerCreating|")
          )
          yield* describes(
            ["pod", "no-volume"],
            `MountVolume.SetUp failed for volume "settings" : configmap "settings" not found`
          )
          const colours = (data: object) => ({
            apiVersion: "v1",
            kind: "ConfigMap",
            metadata: { namespace: "edge", name: "settings" },
            data
          })
          yield* apply(kubectl, colours({ hue: "teal" }))
          yield* describes(["pod", "no-env"], "Error: couldn't find key colour in ConfigMap edge/settings")
          yield* apply(kubectl, colours({ colour: "teal" }))
          for (const name of ["no-env", "no-volume"]) {
            yield* eventually(kubectl, get(["pod", name], "jsonpath={.status.phase}"), (out) => out === "Running")
          }
        }),
      180_000
    )

    it.effect(
      "a pod field that devices do not offer fails the pod with a sentence that names it",
      () =>
        Effect.gen(function*() {
          const { describes, get, kubectl } = yield* asking
          yield* goodDevice
          yield* apply(
            kubectl,
            pod("probed", { livenessProbe: { exec: { command: ["true"] } } }),
            pod("claimed", { volumeMounts: [{ name: "data", mountPath: "/data" }] }, {
              volumes: [{ name: "data", persistentVolumeClaim: { claimName: "data" } }]
            })
          )
          for (
            const [name, sentence] of [
              [
                "probed",
                "spec.containers[0].livenessProbe is not supported on edge devices: probes are not run on devices yet, so remove it."
              ],
              [
                "claimed",
                "spec.volumes[0].persistentVolumeClaim is not supported on edge devices: use a configMap, secret, downwardAPI, projected, emptyDir or hostPath volume."
              ]
            ] as const
          ) {
            const status = "jsonpath={.status.phase}|{.status.reason}|{.status.message}"
            yield* eventually(
              kubectl,
              get(["pod", name], status),
              (out) => out === `Failed|PodFeatureUnsupported|Pod was rejected: ${sentence}`
            )
            const about = `involvedObject.name=${name},reason=PodFeatureUnsupported`
            yield* eventually(
              kubectl,
              [
                "get",
                "events",
                "-n",
                "edge",
                "--field-selector",
                about,
                "-o",
                "jsonpath={.items[0].type} {.items[0].message}"
              ],
              (out) => out === `Warning ${sentence}`
            )
            yield* describes(["pod", name], sentence)
          }
        }),
      120_000
    )

    it.effect(
      "an EdgeDevice that turned invalid can be deleted, also after a restart of the operator",
      () =>
        Effect.gen(function*() {
          const { restartOperator } = yield* Site
          const { get, kubectl } = yield* asking
          const spec = { ...grpc, peripherals: [] }
          yield* apply(kubectl, edgeDeviceOf("edge-10", spec))
          yield* eventually(kubectl, ["get", "node", "edge-10"], (_, { exitCode }) => exitCode === 0)
          yield* apply(kubectl, edgeDeviceOf("edge-10", { ...spec, peripherals: [{ name: "lamp" }] }))
          yield* eventually(
            kubectl,
            get(["edgedevice", "edge-10"], condition("Invalid")),
            (out) => out.startsWith("True|SpecInvalid|")
          )
          assert.strictEqual((yield* kubectl(["get", "node", "edge-10"])).exitCode, 0, "what was there goes on")
          yield* restartOperator
          const deleted = yield* kubectl(["delete", "edgedevice", "edge-10", "-n", "edge", "--timeout=60s"])
          assert.strictEqual(deleted.exitCode, 0, deleted.stderr)
          yield* eventually(kubectl, ["get", "node", "edge-10"], (_, { stderr }) => stderr.includes("NotFound"))
        }),
      180_000
    )
  })
}
