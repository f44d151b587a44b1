import { defineConfig } from "vitest/config"

/** Twenty real minutes against a real control plane: too long for every day. */
export default defineConfig({
  test: {
    include: ["test/partition/**/*.test.ts"],
    testTimeout: 3_600_000,
    hookTimeout: 600_000
  }
})
