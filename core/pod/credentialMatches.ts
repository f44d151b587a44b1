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

/** As the kubelet matches: host labels one by one with `*`, a path is a prefix. */
export const credentialMatches = (registry: string, image: string): boolean => {
  const [host = "", ...path] = registry.split("/")
  const [imageHost = "", ...imagePath] = withRegistry(image).split("/")
  const own = host === "docker.io" ? defaultRegistry : host
  const parts = own.split(".")
  const imageParts = imageHost.split(".")
  if (parts.length !== imageParts.length) return false
  const label = (pattern: string, value: string) =>
    new RegExp(`^${pattern.replace(/[\\^$+?()[\]{}|.]/gu, "\\$&").replaceAll("*", "[^.]*")}$`, "u").test(value)
  return parts.every((part, i) => label(part, imageParts[i] ?? ""))
    && imagePath.join("/").startsWith(path.join("/"))
}
