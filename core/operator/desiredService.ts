/** What the Service of a device and its EndpointSlice look like, and whether those that are there say the same. */
import type { EndpointSlice, Service } from "../kube/kinds.ts"
import { managedAnnotation, mapPatch, readManaged } from "../kube/managedKeys.ts"
import type { ObjectMeta } from "../kube/ObjectMeta.ts"

/** Where pods of the cluster reach the operator's gRPC listener. */
export interface GrpcEndpoint {
  /** An IP address. */
  readonly address: string
  readonly port: number
  /** It speaks plain HTTP/2: the Ingress ends TLS. */
  readonly plain: boolean
}

export interface ServiceWish {
  readonly name?: string
  readonly port: number
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

/** KEP-3726: what an Ingress controller or a Gateway speaks to the endpoints. */
const appProtocol = ({ plain }: GrpcEndpoint) => plain ? "kubernetes.io/h2c" : "https"

const portName = "grpc"

export const desiredService = (
  device: { readonly namespace: string; readonly name: string; readonly uid: string },
  wish: ServiceWish,
  endpoint: GrpcEndpoint
): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: {
    name: wish.name ?? device.name,
    namespace: device.namespace,
    labels: { ...wish.labels, "arhat.dev/name": device.name, "arhat.dev/role": "Connectivity" },
    annotations: {
      ...wish.annotations,
      [managedAnnotation]: JSON.stringify({
        labels: Object.keys(wish.labels).sort(),
        annotations: Object.keys(wish.annotations).sort()
      })
    },
    ownerReferences: [{
      apiVersion: "aranya.arhat.dev/v1alpha1",
      kind: "EdgeDevice",
      name: device.name,
      uid: device.uid,
      controller: true
    }]
  },
  spec: {
    type: "ClusterIP",
    ports: [{
      name: portName,
      protocol: "TCP",
      port: wish.port,
      targetPort: endpoint.port,
      appProtocol: appProtocol(endpoint)
    }]
  }
})

/** It goes with its Service. */
export const desiredEndpointSlice = (service: Service, endpoint: GrpcEndpoint): EndpointSlice => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: {
    name: `${service.metadata.name}-aranya`,
    ...service.metadata.namespace === undefined ? {} : { namespace: service.metadata.namespace },
    labels: {
      "kubernetes.io/service-name": service.metadata.name ?? "",
      "endpointslice.kubernetes.io/managed-by": "aranya.arhat.dev"
    },
    ownerReferences: [{
      apiVersion: "v1",
      kind: "Service",
      name: service.metadata.name ?? "",
      uid: service.metadata.uid ?? "",
      controller: true
    }]
  },
  addressType: endpoint.address.includes(":") ? "IPv6" : "IPv4",
  endpoints: [{ addresses: [endpoint.address], conditions: { ready: true } }],
  ports: [{ name: portName, protocol: "TCP", port: endpoint.port, appProtocol: appProtocol(endpoint) }]
})

export const ownsService = (
  { ownerReferences = [] }: ObjectMeta,
  owners: ReadonlyArray<{ readonly uid: string }> = []
): boolean => ownerReferences.some(({ uid }) => owners.some((owner) => owner.uid === uid))

const includes = (all: Readonly<Record<string, string>> = {}, some: Readonly<Record<string, string>> = {}) =>
  Object.entries(some).every(([key, value]) => all[key] === value)

/** The merge patch that brings a Service to what is desired and keeps everybody else's edits; undefined when there is nothing to do. */
export const servicePatch = (present: Service, desired: Service): unknown => {
  const changes = (what: "labels" | "annotations") =>
    mapPatch(present.metadata[what], desired.metadata[what], readManaged(present.metadata, what))
  const metadata = { labels: changes("labels"), annotations: changes("annotations") }
  const [port, ...more] = present.spec?.ports ?? []
  const wanted = desired.spec?.ports?.[0]
  const differs = more.length > 0 || Object.keys(present.spec?.selector ?? {}).length > 0 ||
    port?.name !== wanted?.name || port?.port !== wanted?.port || port?.targetPort !== wanted?.targetPort ||
    port?.appProtocol !== wanted?.appProtocol ||
    Object.values(metadata).some((patch) => Object.keys(patch).length > 0)
  return differs ? { metadata, spec: { ports: desired.spec?.ports, selector: null } } : undefined
}

export const sliceDiffers = (present: EndpointSlice, desired: EndpointSlice): boolean =>
  JSON.stringify(present.endpoints?.map(({ addresses, conditions }) => [addresses, conditions?.ready])) !==
    JSON.stringify(desired.endpoints?.map(({ addresses, conditions }) => [addresses, conditions?.ready])) ||
  JSON.stringify(present.ports?.map(({ appProtocol, name, port }) => [name, port, appProtocol])) !==
    JSON.stringify(desired.ports?.map(({ appProtocol, name, port }) => [name, port, appProtocol])) ||
  !includes(present.metadata.labels, desired.metadata.labels)
