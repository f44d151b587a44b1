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
    ["localhost", "localhost/app"]
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
    ["", "registry.test/app"]
  ])("for %s is not shown for %s", (registry, image) => assert.isFalse(credentialMatches(registry, image)))
})
