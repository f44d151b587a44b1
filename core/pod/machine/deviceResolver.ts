/** What a device's own /etc/resolv.conf says, as far as it is of use to a pod. Pure. */
import type { Resolver } from "../mergeDns.ts"

const isLoopback = (server: string): boolean => server.startsWith("127.") || server === "::1"

/** The loopback of the device is not that of a pod with a network of its own. */
export const deviceResolver = (file: string, ownNetwork: boolean): Resolver => {
  const nameservers: Array<string> = []
  let searches: ReadonlyArray<string> = []
  const options: Array<string> = []
  for (const line of file.split("\n")) {
    const [keyword, ...words] = line.trim().split(/\s+/u)
    if (keyword === "nameserver" && words[0] !== undefined) nameservers.push(words[0])
    // The last one counts.
    if (keyword === "search" || keyword === "domain") {
      searches = words.map((domain) => domain.replace(/(?<=.)\.$/u, ""))
    }
    if (keyword === "options") options.push(...words)
  }
  return { nameservers: nameservers.filter((server) => !ownNetwork || !isLoopback(server)), searches, options }
}
