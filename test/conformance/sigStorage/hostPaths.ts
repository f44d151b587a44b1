/** Directories of the device itself. */
import { Effect } from "effect"
import { chmodSync, mkdirSync, realpathSync } from "node:fs"
import { Cluster } from "../Cluster.ts"
import { containerOf, logsOf, mustEqual, podEnds, podOf, printedBy, shell } from "../podVocabulary.ts"
import { suite } from "../Scenario.ts"

/** A directory that everybody may write to and only owners may clear, as /tmp is. */
const onTheHost = Effect.map(Cluster, ({ hostDirectory }) => {
  const path = `${realpathSync(hostDirectory)}/host`
  mkdirSync(path)
  chmodSync(path, 0o1777)
  return [{ name: "host", hostPath: { path, type: "Directory" } }]
})

const mountPath = "/host"

const oneAfterTheOther = Effect.fnUntraced(function*(
  writer: { readonly path: string; readonly subPath?: string },
  reader: { readonly path: string; readonly subPath?: string }
) {
  const volumes = yield* onTheHost
  const mount = ({ subPath }: { readonly subPath?: string }) => [
    { name: "host", mountPath, ...(subPath === undefined ? {} : { subPath }) }
  ]
  const after = yield* podEnds(podOf("host-path", {}, {
    volumes,
    containers: [
      containerOf({ name: "writer", ...shell(`echo new file > ${writer.path}`), volumeMounts: mount(writer) }),
      containerOf({ name: "reader", ...shell(`sleep 5; cat ${reader.path}`), volumeMounts: mount(reader) })
    ]
  }))
  yield* mustEqual(yield* logsOf(after, "reader"), "new file\n", "what the reader finds")
})

export const hostPaths = suite("[sig-storage] HostPath", {
  "should give a volume the correct mode [LinuxOnly] [NodeConformance]": Effect.gen(function*() {
    const volumes = yield* onTheHost
    const volumeMounts = [{ name: "host", mountPath }]
    const printed = yield* printedBy(
      podOf("host-path", { command: ["permissions", mountPath], volumeMounts }, { volumes })
    )
    yield* mustEqual(printed, "/host drwxrwxrwt\n", "its mode")
  }),
  "should support r/w [NodeConformance]": oneAfterTheOther({ path: "/host/file" }, { path: "/host/file" }),
  "should support subPath [NodeConformance]": oneAfterTheOther(
    { path: "/host/file", subPath: "sub-path" },
    { path: "/host/sub-path/file" }
  )
})
