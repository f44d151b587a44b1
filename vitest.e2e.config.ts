import { defineConfig } from "vitest/config"

/** Real processes, real engines, real control planes: one file at a time, each starts what it needs. */
export default defineConfig({
  test: {
    include: ["test/e2e/**/*.test.ts", "test/control-plane/**/*.test.ts", "test/**/*.broker.test.ts"],
    // They have a ring of their own: vitest.verbs.config.ts.
    exclude: ["test/e2e/verbs.test.ts", "test/e2e/terminal.test.ts"],
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 600_000
  }
})
