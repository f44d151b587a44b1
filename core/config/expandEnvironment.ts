/** Replaces `$X`, `${X}` and `$(X)` in configuration text; a name the environment does not have stays as it was written. */
export const expandEnvironment = (text: string, lookup: (name: string) => string | undefined): string =>
  text.replace(
    /\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\}|\(([A-Za-z_][A-Za-z0-9_]*)\))/g,
    (written, plain: string | undefined, braced: string | undefined, rounded: string | undefined) =>
      lookup((plain ?? braced ?? rounded)!) ?? written
  )

/** The same in every string of a parsed document: a value can then never change the document's shape. */
export const expandDocument = (document: unknown, lookup: (name: string) => string | undefined): unknown => {
  if (typeof document === "string") return expandEnvironment(document, lookup)
  if (Array.isArray(document)) return document.map((item) => expandDocument(item, lookup))
  if (typeof document === "object" && document !== null) {
    return Object.fromEntries(Object.entries(document).map(([key, value]) => [key, expandDocument(value, lookup)]))
  }
  return document
}
