import { defineConfig } from "vitest/config"

/** Every ring that needs nothing but this repository; `vitest.e2e.config.ts` has the rest. */
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: [
      "test/e2e/**",
      "test/control-plane/**",
      "test/partition/**",
      "test/**/*.broker.test.ts",
      "node_modules/**"
    ],
    // Much of it waits for sockets.
    maxWorkers: 2,
    testTimeout: 60_000
  }
})
