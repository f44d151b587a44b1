import { Context, Effect, Layer } from "effect"
import { PodFiles } from "../../core/pod/PodFiles.ts"
import { podFilesContract } from "../contracts/podFiles.ts"
import { MemoryFiles } from "./MemoryFiles.ts"

podFilesContract(
  "MemoryFiles",
  Effect.gen(function*() {
    const context = yield* Layer.build(Layer.fresh(MemoryFiles.layer))
    const controls = Context.get(context, MemoryFiles)
    yield* controls.hostPath("/srv", "Directory")
    return {
      layer: Layer.succeed(PodFiles, Context.get(context, PodFiles)),
      hostDirectory: "/srv",
      read: (path) => {
        const [, , uid = "", kind, ...rest] = path.split("/")
        return kind === "files" || kind === "volumes" ? controls.text(uid, rest.join("/")) : Effect.undefined
      }
    }
  })
)
