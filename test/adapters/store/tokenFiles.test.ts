/** Who can read a ServiceAccount's token, from the pod as the API has it to the file on the device. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { make } from "../../../adapters/store/DiskPodFiles.ts"
import type { Pod } from "../../../core/kube/Pod.ts"
import { Allowance, newAllowance } from "../../../core/pod/resolve/Allowance.ts"
import type { ResolveSettings, Sources } from "../../../core/pod/resolve/Resolution.ts"
import { resolveVolumes } from "../../../core/pod/resolve/volumes.ts"
import { temporary } from "./temporary.ts"

const isRoot = process.getuid?.() === 0

const settings = { allowServiceAccountTokens: true } as ResolveSettings
const sources = { token: () => ({ token: "secret" }) } as unknown as Sources

const podOf = (securityContext: NonNullable<Pod["spec"]["securityContext"]>, defaultMode = 0o644): Pod => ({
  metadata: { namespace: "edge", name: "web", uid: "u1" },
  spec: {
    securityContext,
    containers: [{ name: "main", image: "busybox" }],
    volumes: [{ name: "access", projected: { defaultMode, sources: [{ serviceAccountToken: { path: "token" } }] } }]
  }
})

/** The folder of the token as it is on the device, with the pod's fsGroup. */
const folderOf = Effect.fnUntraced(function*(pod: Pod) {
  const pods = yield* make({ root: `${yield* temporary}/arhat`, memory: "never" })
  const { volumes: [volume] } = yield* Effect.provideService(
    resolveVolumes(pod, sources, settings),
    Allowance,
    newAllowance()
  )
  assert.isDefined(volume)
  return yield* pods.volume("u1", volume!, { fsGroup: pod.spec.securityContext?.fsGroup })
})

/** As a container sees it: mounted, without the folders above. */
const readBy = (folder: string, uid: number, gid: number) =>
  spawnSync("cat", ["token"], { cwd: folder, uid, gid, encoding: "utf8" }).stdout

if (!isRoot) console.warn("skipped: whose the files of tokens are, because only root can give them away")

describe.skipIf(!isRoot)("a ServiceAccount token", () => {
  it.live("can be read by the one user of its pod, whatever mode the volume has", () =>
    Effect.gen(function*() {
      for (const mode of [0o644, 0o400]) {
        const folder = yield* folderOf(podOf({ runAsUser: 1000 }, mode))
        assert.strictEqual(readBy(folder, 1000, 1000), "secret")
      }
    }))

  it.live("can be read by whoever a pod's image runs as", () =>
    Effect.gen(function*() {
      const folder = yield* folderOf(podOf({}))
      assert.strictEqual(readBy(folder, 4711, 4711), "secret")
    }))

  it.live("is the fsGroup's alone where there is one", () =>
    Effect.gen(function*() {
      const folder = yield* folderOf(podOf({ runAsUser: 1000, fsGroup: 2000 }))
      assert.strictEqual(readBy(folder, 1000, 2000), "secret")
      assert.strictEqual(readBy(folder, 1000, 1000), "")
    }))
})
