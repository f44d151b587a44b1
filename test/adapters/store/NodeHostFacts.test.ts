import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import { leadsOut, NodeHostFacts } from "../../../adapters/store/NodeHostFacts.ts"
import { HostFacts } from "../../../core/agent/HostFacts.ts"
import { temporary } from "./temporary.ts"

const facts = (hostRoot: string) =>
  Effect.gen(function*() {
    const host = yield* HostFacts
    return { info: yield* host.info, pressure: yield* host.pressure }
  }).pipe(Effect.provide(NodeHostFacts.layer({ storage: "/var/lib/not/made/yet", hostRoot })))

const host = (files: Readonly<Record<string, string>>) =>
  Effect.map(temporary, (root) => {
    for (const [path, content] of Object.entries(files)) {
      fs.mkdirSync(`${root}${path.slice(0, path.lastIndexOf("/"))}`, { recursive: true })
      fs.writeFileSync(`${root}${path}`, content)
    }
    return root
  })

describe("what a device knows of itself", () => {
  it.live("comes from this very machine", () =>
    Effect.gen(function*() {
      const { info } = yield* facts("")
      assert.strictEqual(info.operatingSystem, "linux")
      assert.notStrictEqual(info.architecture, "x64")
      assert.match(info.bootId, /^[0-9a-f-]{36}$/)
      assert.isAbove(info.cpuMillis, 999)
      assert.isAbove(info.memoryBytes, 1024 ** 2)
      assert.isAbove(info.storageBytes, 1024 ** 2)
      assert.isNotEmpty(info.kernelVersion)
      assert.isFalse(info.addresses.some((address) => address.startsWith("127.") || address === "::1"))
    }))

  it.live("reads identity and system name where a host keeps them", () =>
    Effect.gen(function*() {
      const root = yield* host({
        "/etc/machine-id": "4f1c7a0b9d8e4c5f8a7b6c5d4e3f2a1b\n",
        "/etc/os-release": "NAME=Debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
        "/proc/device-tree/serial-number": "10000000ab12cd34\0"
      })
      const { info } = yield* facts(root)
      assert.strictEqual(info.machineId, "4f1c7a0b9d8e4c5f8a7b6c5d4e3f2a1b")
      assert.strictEqual(info.osImage, "Debian GNU/Linux 12 (bookworm)")
      assert.strictEqual(info.systemUuid, "10000000ab12cd34")
      assert.strictEqual(info.bootId, "")
    }))

  it.live("says pressure where a kubelet would evict, and none where it cannot know", () =>
    Effect.gen(function*() {
      const none = yield* facts(yield* host({}))
      assert.isFalse(none.pressure.memory || none.pressure.pids)
      const pressed = yield* facts(
        yield* host({
          "/proc/meminfo": "MemTotal:        8000000 kB\nMemAvailable:     102399 kB\n",
          "/proc/sys/kernel/pid_max": "32768\n",
          "/proc/loadavg": "0.5 0.4 0.3 2/29600 31000\n"
        })
      )
      assert.isTrue(pressed.pressure.memory)
      assert.isTrue(pressed.pressure.pids)
      const well = yield* facts(
        yield* host({
          "/proc/meminfo": "MemAvailable:     102401 kB\n",
          "/proc/sys/kernel/pid_max": "32768\n",
          "/proc/loadavg": "0.5 0.4 0.3 2/296 31000\n"
        })
      )
      assert.isFalse(well.pressure.memory || well.pressure.pids)
    }))

  it("counts the owner's bridges, and none that runtimes make", () => {
    for (
      const name of [
        "eth0",
        "wlan0",
        "br-lan",
        "br-wan",
        "br-guest",
        "br0",
        "br-cafe",
        "docker-lan",
        "cnimesh",
        "virbr-lan"
      ]
    ) {
      assert.isTrue(leadsOut(name), name)
    }
    for (
      const name of [
        "docker0",
        "docker_gwbridge",
        "br-0123456789ab",
        "veth1a2b3c4",
        "veth0",
        "cni0",
        "cni-podman0",
        "virbr0",
        "virbr0-nic",
        "podman1"
      ]
    ) assert.isFalse(leadsOut(name), name)
  })

  it.live("counts what passes a bridge once", () =>
    Effect.gen(function*() {
      const hostRoot = yield* host({
        "/proc/net/dev": "  eth0: 500 5 0 0 0 0 0 0 700 7 0 0 0 0 0 0\nbr-lan: 490 5 0 0 0 0 0 0 690 7 0 0 0 0 0 0\n",
        "/sys/class/net/br-lan/bridge/bridge_id": "8000.02fc00000001\n"
      })
      const usage = yield* Effect.flatMap(HostFacts, (host) => host.usage).pipe(
        Effect.provide(NodeHostFacts.layer({ storage: "/", hostRoot }))
      )
      assert.deepStrictEqual(usage.network, { receivedBytes: 500, sentBytes: 700 })
    }))
})
