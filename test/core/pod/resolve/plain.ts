/** A device and a cluster of which nothing special is said. */
import type { ResolveSettings, Sources } from "../../../../core/pod/resolve/Resolution.ts"

export const plainSettings: ResolveSettings = {
  nodeName: "edge-1",
  operatingSystem: "linux",
  allowServiceAccountTokens: false,
  clusterDomain: "cluster.local",
  clusterDns: [],
  dns: { servers: [], searches: [], options: [] },
  allocatable: { cpuMillis: 1000, memoryBytes: 1, storageBytes: 1 }
}

export const noSources: Sources = {
  unknown: [],
  configMap: () => undefined,
  secret: () => undefined,
  token: () => undefined,
  services: []
}
