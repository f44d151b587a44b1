/** A pod that runs, and is looked into with an image of another registry. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Base64 } from "effect/encoding"
import { Secrets } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Pods } from "../../../core/kube/Pod.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { worldLayer } from "../../simulation/World.ts"
import { oneDevice, operated } from "./oneDevice.ts"

const here = { namespace: "edge", name: "web" }
const image = "tools.test/busybox:1.36"
const auths = { "tools.test": { username: "me", password: "open sesame" } }

describe("an ephemeral container with an image that needs credentials", () => {
  it.live("is pulled with those of the pod that runs", () =>
    simulate(1, () =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const device = yield* oneDevice
        yield* device.runtime.image(image, { password: "open sesame" })
        yield* operated(device, api)
        yield* api.create(Secrets, {
          apiVersion: "v1",
          kind: "Secret",
          metadata: { namespace: "edge", name: "login" },
          type: "kubernetes.io/dockerconfigjson",
          data: { ".dockerconfigjson": Base64.encode(JSON.stringify({ auths })) }
        })
        yield* api.create(Pods, {
          apiVersion: "v1",
          kind: "Pod",
          metadata: here,
          spec: {
            nodeName: "edge-1",
            imagePullSecrets: [{ name: "login" }],
            containers: [{ name: "main", image: "busybox:1.36" }]
          }
        })
        yield* Effect.sleep("2 minutes")
        yield* api.patch(Pods, { ...here, subresource: "ephemeralcontainers" }, {
          type: "strategic",
          body: { spec: { ephemeralContainers: [{ name: "debug", image }] } }
        })
        yield* Effect.sleep("2 minutes")
        const { status } = yield* api.get(Pods, here)
        assert.isDefined(status?.ephemeralContainerStatuses?.[0]?.state?.running)
        assert.strictEqual(status?.containerStatuses?.[0]?.restartCount, 0)
      }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie)))
})
