/** Devices that come with wrong keys, wrong certificates, wrong names, or with somebody else's words. */
import { assert, type Vitest } from "@effect/vitest"
import { Effect } from "effect"
import { Base64 } from "effect/encoding"
import { cpSync, existsSync } from "node:fs"
import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import { Cryptography } from "../../../core/link/Cryptography.ts"
import { decodeFrame } from "../../../core/link/frames.ts"
import { makeAuthority } from "../../adapters/grpc/certificates.ts"
import { apply, edgeDevice, eventually } from "../Line.ts"
import { asking, condition, goodDevice, notConnected, pod } from "./asking.ts"
import { connectByHand, dial } from "./rogue.ts"
import { documented, says } from "./sentences.ts"
import { logged, Site } from "./Site.ts"

export const devices = (it: Vitest.MethodsNonLive<Site>) => {
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
}
