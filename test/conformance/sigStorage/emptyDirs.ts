/** Empty directories: their own mode, that of files made in them, and sharing between containers. */
import { Effect } from "effect"
import type { PodSpec } from "../../../core/kube/Pod.ts"
import { containerOf, logsOf, mustContain, mustEqual, podEnds, podOf, printedBy, shell } from "../podVocabulary.ts"
import { type Program, type Skipped, skipped, suite } from "../Scenario.ts"
import { nonRoot } from "./consumed.ts"
import { configMapVolume, secretVolume } from "./DataVolume.ts"

const volumes = [{ name: "work", emptyDir: {} }]
const volumeMounts = [{ name: "work", mountPath: "/work" }]

const letters: Readonly<Record<string, string>> = { "0644": "-rw-r--r--", "0666": "-rw-rw-rw-", "0777": "-rwxrwxrwx" }

const keepsFile = Effect.fnUntraced(function*(mode: string, spec: Partial<PodSpec>) {
  const printed = yield* printedBy(podOf("writer", {
    ...shell(
      `echo new file > /work/file && chmod ${mode} /work/file && cat /work/file && permissions /work /work/file`
    ),
    volumeMounts
  }, { volumes, ...spec }))
  yield* mustContain(printed, "new file\n", "/work drwxrwxrwx\n", `/work/file ${letters[mode]}\n`)
})

const noMemory = skipped(
  "whether a volume lies in memory shows only where a tmpfs can be mounted, which asks for root and a real disk"
)

const files: Record<string, Program | Skipped> = {}
for (const [user, spec] of [["root", {}], ["non-root", nonRoot]] as const) {
  for (const mode of ["0644", "0666", "0777"]) {
    files[`should support (${user},${mode},default) [LinuxOnly] [NodeConformance] [Conformance]`] = keepsFile(
      mode,
      spec
    )
    files[`should support (${user},${mode},tmpfs) [LinuxOnly] [NodeConformance] [Conformance]`] = noMemory
  }
}

const fiftyObjects = Array.from({ length: 50 }, (_, at) => `racing-${at}`)

export const emptyDirs = [
  ...suite("[sig-storage] EmptyDir volumes", {
    ...files,
    "volume on default medium should have the correct mode [LinuxOnly] [NodeConformance] [Conformance]": Effect.gen(
      function*() {
        const printed = yield* printedBy(
          podOf("reader", { command: ["permissions", "/work"], volumeMounts }, { volumes })
        )
        yield* mustEqual(printed, "/work drwxrwxrwx\n", "its mode")
      }
    ),
    "volume on tmpfs should have the correct mode [LinuxOnly] [NodeConformance] [Conformance]": noMemory,
    "pod should support shared volumes between containers [Conformance]": Effect.gen(function*() {
      const after = yield* podEnds(podOf("shared", {}, {
        containers: [
          containerOf({ name: "writer", ...shell("echo 'hello from the writer' > /work/message"), volumeMounts }),
          containerOf({ name: "reader", ...shell("sleep 5; cat /work/message"), volumeMounts })
        ],
        volumes
      }))
      yield* mustEqual(yield* logsOf(after, "reader"), "hello from the writer\n", "what the reader finds")
    })
  }),
  ...suite("[sig-storage] EmptyDir wrapper volumes", {
    "should not conflict [Conformance]": Effect.gen(function*() {
      yield* configMapVolume.create("settings", { key: "value" })
      yield* secretVolume.create("credentials", { key: "value" })
      yield* printedBy(podOf("both", {
        command: ["cat", "/etc/settings/key", "/etc/credentials/key"],
        volumeMounts: [{ name: "settings", mountPath: "/etc/settings" }, {
          name: "credentials",
          mountPath: "/etc/credentials"
        }]
      }, {
        volumes: [
          configMapVolume.volume("settings", "settings"),
          secretVolume.volume("credentials", "credentials")
        ]
      }))
    }),
    "should not cause race condition when used for configmaps [Serial] [Conformance]": Effect.gen(function*() {
      for (const name of fiftyObjects) yield* configMapVolume.create(name, { "data-1": "value-1" })
      yield* Effect.forEach([1, 2, 3, 4, 5], (number) =>
        printedBy(podOf(`racer-${number}`, {
          command: ["cat", ...fiftyObjects.map((name) => `/etc/${name}/data-1`)],
          volumeMounts: fiftyObjects.map((name) => ({ name, mountPath: `/etc/${name}` }))
        }, { volumes: fiftyObjects.map((name) => configMapVolume.volume(name, name)) })), { concurrency: 5 })
    })
  })
]
