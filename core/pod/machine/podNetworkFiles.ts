/** The content of /etc/hosts and /etc/resolv.conf of a pod. Pure. */
import type { PodAssignment } from "../PodAssignment.ts"

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

/** Undefined where the device's own file has a part in it: then the runtime, which can read that, writes it. */
export const resolvConf = ({ dns }: PodAssignment): string | undefined => {
  if (dns.inheritHost) return undefined
  const lines = [
    ...(dns.searches.length === 0 ? [] : [`search ${dns.searches.join(" ")}`]),
    ...dns.nameservers.map((server) => `nameserver ${server}`),
    ...(dns.options.length === 0 ? [] : [`options ${dns.options.join(" ")}`])
  ]
  return lines.map((line) => `${line}\n`).join("")
}
