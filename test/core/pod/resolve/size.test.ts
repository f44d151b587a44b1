import { assert, describe, it } from "@effect/vitest"
import { leastSize } from "../../../../core/pod/resolve/size.ts"
import { container, pod } from "../machine/pods.ts"

describe("the least size of an assignment", () => {
  it("counts what containers share once for each of them, and the files of volumes", () => {
    const env = [{ name: "TEXT", value: ["x".repeat(96), { field: "podIP" as const }, "yyy"] }]
    const wanted = pod({
      initContainers: [container("init", { env, command: [["sleep"], ["1"]], args: [["a"]] })],
      containers: [container("app", { env })],
      volumes: [{
        _tag: "Files",
        name: "v",
        secret: false,
        files: [{ path: "a", mode: 0o644, content: new Uint8Array(1000), token: false }]
      }]
    })
    assert.strictEqual(leastSize(wanted), (104 + 7) + 104 + 1000)
  })
})
