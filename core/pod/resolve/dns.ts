/** How a pod finds names (kubelet contract 4.12), and what it is called itself. */
import type { Pod } from "../../kube/Pod.ts"
import { mergeDns } from "../mergeDns.ts"
import type { PodAssignment } from "../PodAssignment.ts"
import type { Notice, ResolveSettings } from "./Resolution.ts"

export const podDns = (
  pod: Pod,
  settings: ResolveSettings
): { readonly dns: PodAssignment["dns"]; readonly notices: ReadonlyArray<Notice> } => {
  const { dnsConfig, dnsPolicy = "ClusterFirst", hostNetwork } = pod.spec
  const clusterWanted = (dnsPolicy === "ClusterFirst" && hostNetwork !== true) ||
    dnsPolicy === "ClusterFirstWithHostNet"
  const domain = settings.clusterDomain
  const notices: Array<Notice> = []

  let base: PodAssignment["dns"] = { inheritHost: true, nameservers: [], searches: [], options: [] }
  if (dnsPolicy === "None") base = { inheritHost: false, nameservers: [], searches: [], options: [] }
  else if (clusterWanted && settings.clusterDns.length > 0) {
    base = {
      inheritHost: false,
      nameservers: settings.clusterDns,
      searches: [`${pod.metadata.namespace ?? "default"}.svc.${domain}`, `svc.${domain}`, domain],
      options: ["ndots:5"]
    }
  } else if (clusterWanted) {
    notices.push({
      type: "Warning",
      reason: "MissingClusterDNS",
      message: "the device has no name server of the cluster: the pod uses "
        + (settings.dns.servers.length > 0 ? "spec.pod.dns of its EdgeDevice" : "the device's own"),
      fieldPath: ""
    })
    if (settings.dns.servers.length > 0) {
      base = {
        inheritHost: false,
        nameservers: settings.dns.servers,
        searches: settings.dns.searches,
        options: settings.dns.options
      }
    }
  }
  const own = (dnsConfig?.options ?? []).map(({ name = "", value }) => value === undefined ? name : `${name}:${value}`)
  return {
    dns: {
      inheritHost: base.inheritHost,
      ...mergeDns(base, {
        nameservers: dnsConfig?.nameservers ?? [],
        searches: dnsConfig?.searches ?? [],
        options: own
      })
    },
    notices
  }
}

const longestHostname = 63

export const podHostname = (
  pod: Pod,
  settings: ResolveSettings
): { readonly hostname: string; readonly domain: string } => {
  const { hostname, hostnameOverride = "", setHostnameAsFQDN, subdomain } = pod.spec
  // Known to no cluster's name server, and a full name already.
  if (hostnameOverride !== "") return { hostname: hostnameOverride, domain: "" }
  const short = (hostname === undefined || hostname === "" ? pod.metadata.name ?? "" : hostname)
    .slice(0, longestHostname).replace(/[-.]+$/u, "")
  const domain = subdomain === undefined || subdomain === ""
    ? ""
    : `${subdomain}.${pod.metadata.namespace ?? "default"}.svc.${settings.clusterDomain}`
  return { hostname: setHostnameAsFQDN === true && domain !== "" ? `${short}.${domain}` : short, domain }
}
