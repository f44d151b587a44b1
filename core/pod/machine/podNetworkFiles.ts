/** The content of /etc/hosts and /etc/resolv.conf of a pod. Pure. */
import { mergeDns } from "../mergeDns.ts"
import type { PodAssignment } from "../PodAssignment.ts"
import { deviceResolver } from "./deviceResolver.ts"

export const hostsFile = (assignment: PodAssignment, podIPs: ReadonlyArray<string>): string => {
  const { hostAliases, hostDomain, hostname } = assignment
  // A hostname that is the whole name has the domain already.
  const short = hostDomain !== "" && hostname.endsWith(`.${hostDomain}`)
    ? hostname.slice(0, -hostDomain.length - 1)
    : hostname
  const own = hostDomain === "" ? hostname : `${short}.${hostDomain}\t${short}`
  const lines = [
    "# Kubernetes-managed hosts file.",
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "fe00::0\tip6-mcastprefix",
    "fe00::1\tip6-allnodes",
    "fe00::2\tip6-allrouters",
    ...podIPs.map((ip) => `${ip}\t${own}`)
  ]
  return `${[...lines, ...aliasLines(hostAliases)].join("\n")}\n`
}

const aliasLines = (hostAliases: PodAssignment["hostAliases"]): ReadonlyArray<string> =>
  hostAliases.length === 0
    ? []
    : ["", "# Entries added by HostAliases.", ...hostAliases.map(({ hostnames, ip }) => [ip, ...hostnames].join("\t"))]

/** On the device's network: its own file, and what the pod adds. */
export const hostNetworkHostsFile = ({ hostAliases }: PodAssignment, ofDevice: string): string =>
  ["# Kubernetes-managed hosts file (host network).", ofDevice.trimEnd(), ...aliasLines(hostAliases), ""].join("\n")

/** Whether the pod adds something to the device's own way to find names. */
export const addsToDevice = ({ dns }: PodAssignment): boolean =>
  dns.inheritHost && (dns.nameservers.length > 0 || dns.searches.length > 0 || dns.options.length > 0)

/**
 * Undefined where the runtime shows the device's own: the pod adds nothing to it, or nothing in it is of use to the pod's
 * network. `ofDevice` counts where the pod adds to it.
 */
export const resolvConf = (assignment: PodAssignment, ofDevice: string): string | undefined => {
  const { dns, hostNetwork } = assignment
  if (dns.inheritHost && !addsToDevice(assignment)) return undefined
  const { nameservers, options, searches } = dns.inheritHost
    ? mergeDns(deviceResolver(ofDevice, !hostNetwork), dns)
    : dns
  if (dns.inheritHost && nameservers.length === 0) return undefined
  const lines = [
    ...(searches.length === 0 ? [] : [`search ${searches.join(" ")}`]),
    ...nameservers.map((server) => `nameserver ${server}`),
    ...(options.length === 0 ? [] : [`options ${options.join(" ")}`])
  ]
  return lines.map((line) => `${line}\n`).join("")
}
