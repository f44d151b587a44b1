/** Fills in what only the device knows. Pure. */
import type { DeviceField, DeviceText } from "../PodAssignment.ts"

export interface DeviceAddresses {
  readonly podIPs: ReadonlyArray<string>
  readonly hostIPs: ReadonlyArray<string>
}

const valueOf = (field: DeviceField, { hostIPs, podIPs }: DeviceAddresses): string => {
  switch (field) {
    case "podIP":
      return podIPs[0] ?? ""
    case "podIPs":
      return podIPs.join(",")
    case "hostIP":
      return hostIPs[0] ?? ""
    case "hostIPs":
      return hostIPs.join(",")
  }
}

export const expandText = (text: DeviceText, addresses: DeviceAddresses): string =>
  text.map((piece) => typeof piece === "string" ? piece : valueOf(piece.field, addresses)).join("")
