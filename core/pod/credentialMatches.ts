/** Whether a registry credential is for an image; no other registry may get to see it. */

const defaultRegistry = "index.docker.io"

/** `busybox` is `index.docker.io/library/busybox`; anything with a dot, a colon or localhost in front names its registry. */
const withRegistry = (image: string): string => {
  const [first = "", ...rest] = image.split("/")
  if (rest.length > 0 && (first.includes(".") || first.includes(":") || first === "localhost")) {
    return first === "docker.io" ? [defaultRegistry, ...rest].join("/") : image
  }
  return `${defaultRegistry}/${rest.length === 0 ? `library/${image}` : image}`
}

/** No name of a host is longer. */
const longestHost = 253

/** `host:port`, `host`, `[address]:port`: a port is never matched by a pattern. */
const split = (host: string): { readonly labels: ReadonlyArray<string>; readonly port: string } => {
  const colon = host.lastIndexOf(":")
  const hasPort = colon > host.lastIndexOf("]")
  const name = hasPort ? host.slice(0, colon) : host
  return { labels: name.length > longestHost ? [] : name.split("."), port: hasPort ? host.slice(colon + 1) : "" }
}

/** `*` is any text, also none. Each piece is taken where it comes first: nothing is tried twice, whatever the pattern. */
const labelMatches = (pattern: string, label: string): boolean => {
  const [head = "", ...pieces] = pattern.split("*")
  const tail = pieces.pop()
  if (tail === undefined) return pattern === label
  const end = label.length - tail.length
  if (head.length > end || !label.startsWith(head) || !label.endsWith(tail)) return false
  let at = head.length
  for (const piece of pieces) {
    const found = label.indexOf(piece, at)
    if (found < 0) return false
    at = found + piece.length
  }
  return at <= end
}

/** As the kubelet matches: host labels one by one with `*`, the port as it is, a path is a prefix. */
export const credentialMatches = (registry: string, image: string): boolean => {
  const [host = "", ...path] = registry.split("/")
  const [imageHost = "", ...imagePath] = withRegistry(image).split("/")
  const own = split(host === "docker.io" ? defaultRegistry : host)
  const asked = split(imageHost)
  return own.port === asked.port
    && own.labels.length > 0
    && own.labels.length === asked.labels.length
    && own.labels.every((label, i) => labelMatches(label, asked.labels[i] ?? ""))
    && imagePath.join("/").startsWith(path.join("/"))
}
