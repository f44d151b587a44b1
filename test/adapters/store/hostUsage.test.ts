import { assert, describe, it } from "@effect/vitest"
import { hostUsage } from "../../../adapters/store/hostUsage.ts"

const texts: Readonly<Record<string, string>> = {
  // user nice system idle iowait irq softirq steal guest guest_nice
  "/proc/stat": "cpu  1000 20 300 90000 5000 4 5 6 700 8\ncpu0 1000 20 300 90000 5000 4 5 6 700 8\n",
  "/proc/meminfo":
    "MemTotal:        8000000 kB\nMemFree:         2000000 kB\nMemAvailable:    6000000 kB\nActive(file):     500000 kB\n" +
    "Inactive(file):  1500000 kB\nAnonPages:        900000 kB\n",
  "/proc/uptime": "1000.25 3900.00\n",
  "/proc/loadavg": "0.50 0.40 0.30 2/296 31000\n",
  "/proc/net/dev": `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 9999999    1000    0    0    0     0          0         0  9999999    1000    0    0    0     0       0          0
  eth0: 1000 10 0 0 0 0 0 0 500 5 0 0 0 0 0 0
wwan0:2000 10 0 0 0 0 0 0 600 5 0 0 0 0 0 0
docker0: 7777777 10 0 0 0 0 0 0 8888888 5 0 0 0 0 0 0
`
}
const disk = { type: 0, bsize: 4096, frsize: 4096, blocks: 1000, bfree: 400, bavail: 350, files: 100, ffree: 60 }
const options = { disk, now: 5_000_000, counted: (name: string) => !name.startsWith("docker") }

describe("what a host has used", () => {
  it("is busy time of all cores, memory as a kubelet counts it, storage, and the network that leads out", () => {
    assert.deepStrictEqual(hostUsage((path) => texts[path] ?? "", options), {
      // A guest's time is in the user's; waiting for a disk is not work.
      cpuNanoseconds: (1000 + 20 + 300 + 4 + 5 + 6) * 10_000_000,
      memoryUsedBytes: 6_000_000 * 1024,
      memoryWorkingSetBytes: 4_500_000 * 1024,
      memoryRssBytes: 900_000 * 1024,
      bootedAt: 5_000_000 - 1_000_250,
      storageAvailableBytes: 350 * 4096,
      storageUsedBytes: 600 * 4096,
      inodes: 100,
      inodesFree: 60,
      network: { receivedBytes: 3000, sentBytes: 1100 },
      processes: 296
    })
  })

  it("is nothing where nothing can be read, and no number that is none", () => {
    for (const text of ["", "cpu x y z\nMemTotal: many kB\n\0\n: 1\neth0: a b c\n"]) {
      for (const figure of Object.values(hostUsage(() => text, { ...options, disk: undefined }))) {
        if (typeof figure === "number") assert.strictEqual(figure, 0)
        else assert.deepStrictEqual(figure, { receivedBytes: 0, sentBytes: 0 })
      }
    }
  })
})
