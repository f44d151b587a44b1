/** The patch types, as pure functions. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import type { Json, JsonObject } from "../../../../adapters/kube/plane/object/json.ts"
import { applyJsonPatch } from "../../../../adapters/kube/plane/patch/jsonPatch.ts"
import { mergeObject } from "../../../../adapters/kube/plane/patch/mergePatch.ts"
import { serverSideApply } from "../../../../adapters/kube/plane/patch/serverSideApply.ts"
import { applyStrategicMergePatch } from "../../../../adapters/kube/plane/patch/strategicMerge.ts"

const strategic = (document: JsonObject, patch: Json) => Result.getOrThrow(applyStrategicMergePatch(document, patch))

describe("a strategic merge patch", () => {
  const document = {
    spec: {
      containers: [{ name: "a", image: "1", env: [{ name: "X", value: "1" }] }, { name: "b", image: "2" }],
      tolerations: [{ key: "t" }]
    }
  }

  it("merges lists by their key and replaces those without", () => {
    const patch = {
      spec: {
        containers: [{ name: "a", env: [{ name: "Y", value: "2" }] }, { name: "c", image: "3" }],
        tolerations: [{ key: "u" }]
      }
    }
    assert.deepStrictEqual(strategic(document, patch), {
      spec: {
        containers: [
          { name: "a", image: "1", env: [{ name: "X", value: "1" }, { name: "Y", value: "2" }] },
          { name: "b", image: "2" },
          { name: "c", image: "3" }
        ],
        tolerations: [{ key: "u" }]
      }
    })
  })

  it("deletes, replaces, retains and reorders as its directives say", () => {
    assert.deepStrictEqual(strategic(document, { spec: { containers: [{ $patch: "delete", name: "a" }] } })["spec"], {
      containers: [{ name: "b", image: "2" }],
      tolerations: [{ key: "t" }]
    })
    const addresses = { status: { addresses: [{ type: "InternalIP", address: "1" }] } }
    assert.deepStrictEqual(
      strategic(addresses, {
        status: {
          addresses: [{ $patch: "replace" }, { type: "InternalIP", address: "2" }, { type: "InternalIP", address: "3" }]
        }
      }),
      { status: { addresses: [{ type: "InternalIP", address: "2" }, { type: "InternalIP", address: "3" }] } }
    )
    assert.deepStrictEqual(
      strategic({ strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1 } } }, {
        strategy: { $retainKeys: ["type"], type: "Recreate" }
      }),
      { strategy: { type: "Recreate" } }
    )
    assert.deepStrictEqual(
      strategic(document, {
        spec: { "$setElementOrder/containers": [{ name: "b" }, { name: "a" }] }
      })["spec"] as unknown,
      { containers: document.spec.containers.toReversed(), tolerations: [{ key: "t" }] }
    )
    assert.deepStrictEqual(
      strategic({ metadata: { finalizers: ["x", "y"] } }, {
        metadata: { "$deleteFromPrimitiveList/finalizers": ["x"], finalizers: ["z"] }
      }),
      { metadata: { finalizers: ["y", "z"] } }
    )
  })

  it("refuses a list item without its key", () => {
    assert.isTrue(Result.isFailure(applyStrategicMergePatch(document, { spec: { containers: [{ image: "x" }] } })))
  })
})

describe("a JSON patch", () => {
  it("does what RFC 6902 says, or nothing at all", () => {
    const document = { a: { b: [1, 2] }, "c/d": "x" }
    const patch = [
      { op: "test", path: "/c~1d", value: "x" },
      { op: "add", path: "/a/b/1", value: 9 },
      { op: "add", path: "/a/b/-", value: 3 },
      { op: "move", from: "/c~1d", path: "/e" },
      { op: "copy", from: "/a/b/0", path: "/f" },
      { op: "replace", path: "/a/b/0", value: 7 },
      { op: "remove", path: "/a/b/2" }
    ]
    assert.deepStrictEqual(Result.getOrThrow(applyJsonPatch(document, patch)), { a: { b: [7, 9, 3] }, e: "x", f: 1 })
    assert.isTrue(Result.isFailure(applyJsonPatch(document, [{ op: "remove", path: "/nope" }])))
    assert.isTrue(Result.isFailure(applyJsonPatch(document, [{ op: "test", path: "/a", value: 1 }])))
    assert.isTrue(Result.isFailure(applyJsonPatch(document, [{ op: "add", path: "/a/b/01", value: 1 }])))
  })
})

describe("a merge patch", () => {
  it("removes what is null and leaves the global object prototype alone", () => {
    assert.deepStrictEqual(mergeObject({ a: 1, b: { c: 2, d: 3 } }, { a: null, b: { c: null } }), { b: { d: 3 } })
    mergeObject({}, JSON.parse(`{"__proto__":{"polluted":true}}`) as JsonObject)
    assert.isUndefined(({} as Record<string, unknown>)["polluted"])
  })
})

describe("server-side apply", () => {
  const apply = (current: JsonObject | undefined, data: JsonObject, manager: string, force = false) =>
    serverSideApply(current, { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "x" }, data }, {
      manager,
      force,
      apiVersion: "v1",
      subresource: "",
      now: 0
    })

  it("takes away what a manager no longer applies, unless another one does", () => {
    const first = Result.getOrThrow(apply(undefined, { a: "1", b: "2" }, "one"))
    const second = Result.getOrThrow(apply(first, { b: "2", c: "3" }, "two"))
    const third = Result.getOrThrow(apply(second, { a: "1" }, "one"))
    assert.deepStrictEqual(third["data"], { a: "1", b: "2", c: "3" })
    assert.deepStrictEqual(Result.getOrThrow(apply(third, { c: "3" }, "two"))["data"], { a: "1", c: "3" })
  })

  it("names the manager whose field it would change, unless forced", () => {
    const first = Result.getOrThrow(apply(undefined, { a: "1" }, "one"))
    const refused = apply(first, { a: "2" }, "two")
    assert.match(Result.isFailure(refused) ? refused.failure.message : "", /conflict with "one": \.data\.a/)
    assert.deepStrictEqual(Result.getOrThrow(apply(first, { a: "2" }, "two", true))["data"], { a: "2" })
  })
})
