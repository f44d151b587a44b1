/** An EdgeDevice as Events name it. */
import type { EdgeDeviceObject } from "../device/EdgeDevice.ts"

export const aboutDevice = (object: EdgeDeviceObject) => ({
  apiVersion: "aranya.arhat.dev/v1alpha1",
  kind: "EdgeDevice",
  namespace: object.metadata.namespace ?? "",
  name: object.metadata.name ?? "",
  uid: object.metadata.uid ?? ""
})
