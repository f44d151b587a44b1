/** How pods find the data of an object in a volume: content, modes, paths, and changes while they run. */
import { Effect } from "effect"
import type { PodSpec } from "../../../core/kube/Pod.ts"
import {
  containerOf,
  getPod,
  mustContain,
  mustEqual,
  podOf,
  podPrints,
  podRuns,
  printedBy,
  shell
} from "../podVocabulary.ts"
import type { DataVolume, Shown } from "./DataVolume.ts"

const data = { "data-1": "value-1", "data-2": "value-2", "data-3": "value-3" }

export const nonRoot: Partial<PodSpec> = { securityContext: { runAsUser: 1000 } }

/** Whoever is not root can give files only to a group of their own. */
export const someGroup = process.getuid?.() === 0 ? 1001 : process.getgid?.() ?? 1001

export const nonRootInGroup: Partial<PodSpec> = { securityContext: { runAsUser: 1000, fsGroup: someGroup } }

/** A pod reads one file of the volume, and looks at its mode. */
export const isConsumed = Effect.fnUntraced(function*(
  kind: DataVolume,
  wanted: {
    readonly shown?: Shown
    /** Below the mount. */
    readonly path?: string
    readonly value?: string
    readonly mode?: string
    /** The file has to belong to this group. */
    readonly group?: number
    readonly spec?: Partial<PodSpec>
  } = {}
) {
  const { group, mode = "-rw-r--r--", path = "data-1", shown, spec, value = "value-1" } = wanted
  yield* kind.create("settings", data)
  const file = `/etc/settings/${path}`
  const printed = yield* printedBy(podOf("reader", {
    ...shell(`cat ${file} && echo && permissions ${file} && owner ${file}`),
    volumeMounts: [{ name: "settings", mountPath: "/etc/settings", readOnly: true }]
  }, { volumes: [kind.volume("settings", "settings", shown)], ...spec }))
  yield* mustContain(printed, `${value}\n`, `${file} ${mode}\n`)
  if (group !== undefined) yield* mustContain(printed, `:${group}\n`)
})

export const isConsumedTwice = Effect.fnUntraced(function*(kind: DataVolume) {
  yield* kind.create("settings", data)
  const printed = yield* printedBy(podOf("reader", {
    command: ["cat", "/etc/one/data-1", "/etc/two/data-1"],
    volumeMounts: [{ name: "one", mountPath: "/etc/one", readOnly: true }, { name: "two", mountPath: "/etc/two" }]
  }, { volumes: [kind.volume("one", "settings"), kind.volume("two", "settings")] }))
  yield* mustContain(printed, "value-1value-1")
})

/** Another namespace has an object of the same name with other data. */
export const isConsumedFromItsNamespace = (kind: DataVolume) =>
  Effect.andThen(kind.create("settings", { "data-1": "a stranger's" }, "aranya"), isConsumed(kind))

/** A pod that reads the file every two seconds comes to read the new value, and was never restarted for it. */
export const isUpdated = Effect.fnUntraced(function*(kind: DataVolume) {
  yield* kind.create("settings", data)
  const pod = yield* podRuns(podOf("reader", {
    ...shell("repeat cat /etc/settings/data-1"),
    volumeMounts: [{ name: "settings", mountPath: "/etc/settings", readOnly: true }]
  }, { volumes: [kind.volume("settings", "settings")] }))
  yield* podPrints(pod, "value-1")
  yield* kind.replace("settings", { "data-1": "value-2" })
  yield* podPrints(pod, "value-2")
})

/** Optional objects that vanish, change and come while a pod runs. */
export const isUpdatedWhereOptional = Effect.fnUntraced(function*(kind: DataVolume) {
  yield* kind.create("deleted", { "data-1": "to be deleted" })
  yield* kind.create("updated", { "data-1": "before" })
  const names = ["deleted", "updated", "created"]
  const pod = yield* podRuns(podOf("reader", {}, {
    containers: names.map((name) =>
      containerOf({
        name,
        ...shell(`repeat cat /etc/${name}/data-1`),
        volumeMounts: [{ name, mountPath: `/etc/${name}`, readOnly: true }]
      })
    ),
    volumes: names.map((name) => kind.volume(name, name, { optional: true }))
  }))
  yield* podPrints(pod, "to be deleted", "deleted")
  yield* podPrints(pod, "before", "updated")
  yield* podPrints(pod, "No such file", "created")
  yield* kind.remove("deleted")
  yield* kind.replace("updated", { "data-1": "after" })
  yield* kind.create("created", { "data-1": "here now" })
  yield* podPrints(pod, "No such file", "deleted")
  yield* podPrints(pod, "after", "updated")
  yield* podPrints(pod, "here now", "created")
  const after = yield* getPod("reader")
  const restarts = (after.status?.containerStatuses ?? []).map(({ restartCount }) => restartCount)
  yield* mustEqual(restarts, [0, 0, 0], "restarts")
})
