import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Base64 } from "effect/encoding"
import type { ConfigMap, Secret } from "../../../../core/kube/kinds.ts"
import type { Pod } from "../../../../core/kube/Pod.ts"
import { references } from "../../../../core/pod/resolve/references.ts"
import type { Sources } from "../../../../core/pod/resolve/Resolution.ts"
import { resolvePod } from "../../../../core/pod/resolve/resolvePod.ts"
import { QuickCryptography } from "../../../fakes/QuickCryptography.ts"
import { noSources, plainSettings } from "./plain.ts"

const sources = (configMap = noSources.configMap): Sources => ({ ...noSources, configMap })
const pod = (...ephemeralContainers: ReadonlyArray<object>) =>
  ({
    metadata: { namespace: "edge", name: "web", uid: "u1" },
    spec: { dnsPolicy: "Default", containers: [{ name: "app", image: "app:1" }], ephemeralContainers }
  }) as unknown as Pod

const resolved = (subject: Pod, given = sources()) =>
  Effect.map(resolvePod(subject, given, plainSettings), (resolution) => {
    assert(resolution._tag === "Assigned")
    const { assignment, notices } = resolution
    return {
      hash: assignment.hash,
      names: assignment.ephemeralContainers.map(({ name, targetContainer }) => `${name}>${targetContainer}`),
      notices: notices.map(({ fieldPath, message }) => `${fieldPath} ${message}`)
    }
  })

describe("an ephemeral container", () => {
  it.effect("is part of the assignment, with its target, and of its hash", () =>
    Effect.gen(function*() {
      const without = yield* resolved(pod())
      const looked = yield* resolved(pod({ name: "debug", image: "busybox", targetContainerName: "app" }))
      assert.deepStrictEqual([looked.names, looked.notices], [["debug>app"], []])
      assert.notStrictEqual(looked.hash, without.hash)
    }).pipe(Effect.provide(QuickCryptography.layer)))

  it.effect("that asks for what devices do not offer is left out with a word, and the pod is not refused", () =>
    Effect.gen(function*() {
      const { names, notices } = yield* resolved(
        pod({ name: "odd", image: "busybox", securityContext: { procMount: "Unmasked" } }, {
          name: "plain",
          image: "b"
        })
      )
      assert.deepStrictEqual(names, ["plain>"])
      assert.lengthOf(notices, 1)
      assert.match(
        notices[0] ?? "",
        /^spec\.ephemeralContainers\{odd\} spec\.ephemeralContainers\[0\]\.securityContext\.procMount is not supported/
      )
    }).pipe(Effect.provide(QuickCryptography.layer)))

  it.effect("waits for the ConfigMap it names by itself, which is looked for", () =>
    Effect.gen(function*() {
      const subject = pod({ name: "debug", image: "b", envFrom: [{ configMapRef: { name: "plainSettings" } }] })
      assert.deepStrictEqual(references(subject).configMaps, ["plainSettings"])
      const before = yield* resolved(subject)
      assert.deepStrictEqual([before.names, before.notices.length], [[], 1])
      const after = yield* resolved(subject, sources(() => ({ metadata: {}, data: { COLOUR: "teal" } }) as ConfigMap))
      assert.deepStrictEqual([after.names, after.notices], [["debug>"], []])
    }).pipe(Effect.provide(QuickCryptography.layer)))

  it.effect("brings the credentials for its image along, and no others", () =>
    Effect.gen(function*() {
      const subject = pod({ name: "debug", image: "tools.test/busybox" })
      const auth = { username: "me", password: "open sesame" }
      const secret = {
        metadata: {},
        type: "kubernetes.io/dockerconfigjson",
        data: {
          ".dockerconfigjson": Base64.encode(JSON.stringify({ auths: { "tools.test": auth, "other.test": auth } }))
        }
      }
      const resolution = yield* resolvePod(
        { ...subject, spec: { ...subject.spec, imagePullSecrets: [{ name: "login" }] } },
        { ...noSources, secret: () => secret as Secret },
        plainSettings
      )
      assert(resolution._tag === "Assigned")
      assert.deepStrictEqual(resolution.assignment.pullCredentials, [{ registry: "tools.test", ...auth }])
    }).pipe(Effect.provide(QuickCryptography.layer)))
})
