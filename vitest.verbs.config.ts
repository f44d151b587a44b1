import { defineConfig } from "vitest/config"

/** All of kubectl's verbs on every runtime, by every transport, with every generation of kubectl, and kubectl at a terminal: long. */
export default defineConfig({
  test: {
    include: ["test/e2e/verbs.test.ts", "test/e2e/terminal.test.ts"],
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 600_000
  }
})
