/** Pods that ask for what there is not: an image, a ConfigMap, a field that devices do not offer. */
import { assert, type Vitest } from "@effect/vitest"
import { Effect } from "effect"
import { apply, eventually } from "../Line.ts"
import { asking, goodDevice, pod, waiting } from "./asking.ts"
import { documented, says } from "./sentences.ts"
import type { Site } from "./Site.ts"

export const pods = (it: Vitest.MethodsNonLive<Site>) => {
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
}
