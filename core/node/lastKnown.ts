/** What a device said last, read back from its Node: an operator that has just started knows no more, and must not say less. */
import type { Node } from "../kube/Node.ts"
import { parseQuantity, toMillis, toWhole } from "../pod/resolve/quantity.ts"
import type { NodeReport } from "../wire/Event.ts"

const amount = (quantity: string | number | undefined): bigint => parseQuantity(quantity ?? 0) ?? 0n

/** Undefined for a Node whose device has never connected. */
export const lastKnown = ({ status }: Node): NodeReport | undefined => {
  const info = status?.nodeInfo
  if (info === undefined || info.bootID === "") return undefined
  const under = (type: string) => status?.conditions?.find((each) => each.type === type)?.status === "True"
  const [name = "", version = ""] = info.containerRuntimeVersion.split("://")
  return {
    host: {
      machineId: info.machineID,
      systemUuid: info.systemUUID,
      bootId: info.bootID,
      kernelVersion: info.kernelVersion,
      osImage: info.osImage,
      operatingSystem: info.operatingSystem,
      architecture: info.architecture,
      hostname: "",
      cpuMillis: toMillis(amount(status?.capacity?.["cpu"])),
      memoryBytes: toWhole(amount(status?.capacity?.["memory"])),
      storageBytes: toWhole(amount(status?.capacity?.["ephemeral-storage"])),
      addresses: []
    },
    pressure: { memory: under("MemoryPressure"), disk: under("DiskPressure"), pids: under("PIDPressure") },
    runtime: name === "unknown" ? { name: "", version: "" } : { name, version },
    agentVersion: "",
    at: 0
  }
}
