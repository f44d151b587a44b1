import { assert, describe, it } from "@effect/vitest"
import { credentialMatches } from "../../../core/pod/credentialMatches.ts"

describe("a registry credential", () => {
  it.each([
    ["registry.test", "registry.test/app:1"],
    ["registry.test:5000", "registry.test:5000/team/app"],
    ["registry.test/team", "registry.test/team/app@sha256:0a"],
    ["*.registry.test", "eu.registry.test/app"],
    ["index.docker.io", "busybox"],
    ["docker.io", "library/busybox:1"],
    ["index.docker.io", "docker.io/me/app"],
    ["localhost", "localhost/app"],
    ["*", "localhost/app"],
    ["eu*.registry.*", "eu.registry.test/app"],
    ["r*g*y.test:5000", "registry.test:5000/app"],
    ["[::1]:5000", "[::1]:5000/app"]
  ])("for %s is shown for %s", (registry, image) => assert.isTrue(credentialMatches(registry, image)))

  it.each([
    ["registry.test", "other.test/app"],
    ["registry.test", "registry.test:5000/app"],
    ["registry.test", "registry.test.evil/app"],
    ["registry.test", "evil.registry.test/app"],
    ["registryxtest", "registry.test/app"],
    ["*.registry.test", "a.b.registry.test/app"],
    ["*", "registry.test/app"],
    ["registry.test/team", "registry.test/other/app"],
    ["registry.test", "busybox"],
    ["registry.test", "registry/test/app"],
    ["", "registry.test/app"],
    ["regis*stry.test", "registry.test/app"],
    ["r*x*y.test", "registry.test/app"],
    ["registry.*", "registry.test:5000/app"],
    ["registry.test:*", "registry.test:5000/app"],
    [`${"r".repeat(254)}.test`, `${"r".repeat(254)}.test/app`]
  ])("for %s is not shown for %s", (registry, image) => assert.isFalse(credentialMatches(registry, image)))

  it("ends with any pattern, however many ways there are to read it", () => {
    const stars = "*".repeat(30)
    assert.isFalse(credentialMatches(`${stars}x:5000`, `${"a".repeat(200)}:5000/app`))
    assert.isFalse(credentialMatches(`${"a*".repeat(30)}x:5000`, `${"a".repeat(200)}:5000/app`))
    assert.isTrue(credentialMatches(`${stars}:5000`, `${"a".repeat(200)}:5000/app`))
  })
})
