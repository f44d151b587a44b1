import { assert, describe, it } from "@effect/vitest"
import type { Pod } from "../../../../core/kube/Pod.ts"
import type { PodAssignment } from "../../../../core/pod/PodAssignment.ts"
import { carriesSecrets } from "../../../../core/pod/resolve/carriesSecrets.ts"

const judged = (spec: object, assignment: object = {}) =>
  carriesSecrets(
    { metadata: {}, spec: { containers: [], ...spec } } as unknown as Pod,
    { pullCredentials: [], volumes: [], ...assignment } as unknown as PodAssignment
  )
const files = (secret: boolean) => ({ volumes: [{ _tag: "Files", name: "v", files: [], secret }] })
const secretKeyRef = { name: "s", key: "k" }

describe("an assignment", () => {
  it("carries secrets where a variable, a volume or a pull credential does", () => {
    assert.isTrue(judged({ containers: [{ name: "main", env: [{ name: "A", valueFrom: { secretKeyRef } }] }] }))
    assert.isTrue(judged({ containers: [{ name: "main", envFrom: [{ secretRef: { name: "s" } }] }] }))
    assert.isTrue(judged({ initContainers: [{ name: "first", envFrom: [{ secretRef: { name: "s" } }] }] }))
    assert.isTrue(judged({}, files(true)))
    assert.isTrue(judged({}, { pullCredentials: [{}] }))
  })

  it("carries none where all it has is its own words and ConfigMaps", () => {
    const main = { name: "main", env: [{ name: "A", value: "b" }], envFrom: [{ configMapRef: { name: "c" } }] }
    assert.isFalse(judged({ containers: [main] }, files(false)))
  })
})
