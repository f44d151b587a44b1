import { defineConfig } from "vitest/config"

/** Real processes, real engines, real control planes: each file starts what it needs; two at a time, for they mostly wait. */
export default defineConfig({
  test: {
    include: ["test/e2e/**/*.test.ts", "test/control-plane/**/*.test.ts", "test/**/*.broker.test.ts"],
    // They have a ring of their own: vitest.verbs.config.ts.
    exclude: ["test/e2e/verbs.test.ts", "test/e2e/terminal.test.ts"],
    maxWorkers: 2,
    testTimeout: 600_000,
    hookTimeout: 600_000
  }
})
