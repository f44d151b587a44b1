/** What a Linux host has used, from the texts of its /proc and its file system's numbers. What cannot be read is 0. */
import type { StatsFs } from "node:fs"
import type { HostUsage, NetworkUsage } from "../../core/metrics/DeviceUsage.ts"

/** Of /proc/stat; the same on all Linux devices, whatever the kernel's own HZ. */
const ticksPerSecond = 100

/** Fields of the `cpu` line: user nice system idle iowait irq softirq steal; a guest's time is in user's already. */
const cpuNanoseconds = (stat: string): number => {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (/^cpu\s+(.*)$/m.exec(stat)?.[1] ?? "")
    .split(" ").map(Number)
  return (user + nice + system + irq + softirq + steal) * (1e9 / ticksPerSecond)
}

/** Of each interface line: bytes received are the first number, bytes sent the ninth. */
const networkOf = (dev: string, counted: (name: string) => boolean): NetworkUsage => {
  let receivedBytes = 0
  let sentBytes = 0
  for (const line of dev.split("\n")) {
    const [, name = "", rest = ""] = /^\s*([^\s:]+):\s*(.*)$/.exec(line) ?? []
    if (name === "" || name === "lo" || !counted(name)) continue
    const numbers = rest.split(/\s+/).map(Number)
    receivedBytes += numbers[0] ?? 0
    sentBytes += numbers[8] ?? 0
  }
  return { receivedBytes, sentBytes }
}

const whole = (value: number): number => Number.isFinite(value) ? Math.max(0, Math.floor(value)) : 0

export const hostUsage = (
  read: (path: string) => string,
  options: {
    readonly disk: StatsFs | undefined
    readonly now: number
    /** Interfaces that lead out of the device. */
    readonly counted: (name: string) => boolean
  }
): HostUsage => {
  const { counted, disk, now } = options
  const meminfo = read("/proc/meminfo")
  const memory = (name: string): number => {
    const value = new RegExp(`^${name.replace(/[()]/g, "\\$&")}:\\s+(\\d+) kB$`, "m").exec(meminfo)?.[1]
    return value === undefined ? 0 : Number(value) * 1024
  }
  const used = Math.max(0, memory("MemTotal") - memory("MemFree"))
  const uptime = Number(read("/proc/uptime").split(" ")[0] || Number.NaN)
  const network = networkOf(read("/proc/net/dev"), counted)
  return {
    cpuNanoseconds: whole(cpuNanoseconds(read("/proc/stat"))),
    memoryUsedBytes: used,
    // As a kubelet counts it for the whole machine.
    memoryWorkingSetBytes: Math.max(0, used - memory("Inactive(file)")),
    memoryRssBytes: memory("AnonPages"),
    bootedAt: Number.isNaN(uptime) ? 0 : whole(now - uptime * 1000),
    storageAvailableBytes: disk === undefined ? 0 : disk.bavail * disk.bsize,
    storageUsedBytes: disk === undefined ? 0 : (disk.blocks - disk.bfree) * disk.bsize,
    inodes: disk?.files ?? 0,
    inodesFree: disk?.ffree ?? 0,
    network: { receivedBytes: whole(network.receivedBytes), sentBytes: whole(network.sentBytes) },
    processes: whole(Number(/\d+\/(\d+) \d+\s*$/.exec(read("/proc/loadavg"))?.[1] ?? 0))
  }
}
