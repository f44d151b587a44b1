/** A directory as a page of links, the way Go's file server and so a kubelet writes it. Pure. */

export interface Listed {
  /** Those of directories end with a slash. */
  readonly names: ReadonlyArray<string>
  /** There are more than these. */
  readonly more: boolean
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&#34;",
  "'": "&#39;"
}

const escaped = (text: string) => text.replace(/[&<>"']/g, (sign) => entities[sign] ?? sign)

/** A lone surrogate has no encoding; such a name came from nowhere. */
const encoded = (name: string) => {
  try {
    return name.split("/").map(encodeURIComponent).join("/")
  } catch {
    return ""
  }
}

/** Names come from a device: nothing in them is markup here. `path` without a slash at its end makes links relative to its parent. */
export const listingPage = (path: string, { more, names }: Listed): string => {
  const parent = path.endsWith("/") ? "" : `${encoded(decoded(path.split("/").at(-1) ?? ""))}/`
  const lines = names.map((name) => `<a href="${escaped(`${parent}${encoded(name)}`)}">${escaped(name)}</a>\n`)
  return `<!doctype html>\n<meta name="viewport" content="width=device-width">\n<pre>\n${lines.join("")}${
    more ? "and more\n" : ""
  }</pre>\n`
}

const decoded = (part: string) => {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
