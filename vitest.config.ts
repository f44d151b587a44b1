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
    // Much of it waits for sockets: more of it at once than there are cores.
    maxWorkers: 3,
    // What a file imports is most of what it costs; none leaves anything behind in what it imported.
    isolate: false,
    testTimeout: 60_000
  }
})
