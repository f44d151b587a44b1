/** Turns a YAML text into a typed configuration: every problem becomes one sentence that names the key and the remedy. */
import { Effect, Schema, SchemaAST, SchemaIssue } from "effect"
import { Yaml } from "effect/encoding"
import { expandDocument } from "./expandEnvironment.ts"
import { nearest } from "./nearest.ts"

export class InvalidConfig extends Schema.TaggedError<InvalidConfig>()("InvalidConfig", {
  /** Where it was read: a path, or `the command line`. */
  source: Schema.String,
  problems: Schema.Array(Schema.String)
}) {
  override get message() {
    return `${this.source}: ${this.problems.join("; ")}`
  }
}

/** Marks the list of known keys inside a formatted issue; no YAML text holds it. */
const marker = "\u0000"

const formatter = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) => {
    if (issue._tag !== "UnexpectedKey") return SchemaIssue.defaultLeafHook(issue)
    const known = SchemaAST.isObjects(issue.ast) ? issue.ast.propertySignatures.map(({ name }) => String(name)) : []
    return marker + known.join(marker)
  }
})

const pathText = (path: ReadonlyArray<unknown>) =>
  path.reduce<string>((text, part) => {
    const key = typeof part === "object" && part !== null && "key" in part ? part.key : part
    return typeof key === "number" ? `${text}[${key}]` : text === "" ? String(key) : `${text}.${String(key)}`
  }, "")

/** The problems of a decoding, one sentence each. */
export const describeIssue = (issue: SchemaIssue.Issue): ReadonlyArray<string> =>
  (formatter(issue).issues ?? []).map(({ message, path }) => {
    const at = pathText(path ?? [])
    if (!message.startsWith(marker)) return at === "" ? message : `${at}: ${lowerFirst(message)}`
    const last = path?.at(-1)
    const key = String(typeof last === "object" && last !== null && "key" in last ? last.key : last)
    const known = message.slice(1).split(marker).filter((name) => name !== "")
    const meant = nearest(key, known)
    if (meant !== undefined) return `unknown key ${at}, did you mean ${meant}?`
    return `unknown key ${at}` + (known.length === 0 ? "" : ` (known here: ${known.join(", ")})`)
  })

const lowerFirst = (text: string) => text.charAt(0).toLowerCase() + text.slice(1)

/**
 * Decodes YAML (or JSON) text. Environment references in strings are expanded after parsing, so that no value can add keys.
 * An empty document is an empty configuration.
 */
export const decodeConfig = <S extends Schema.Codec<unknown, unknown>>(schema: S) =>
  Effect.fnUntraced(function*(
    source: string,
    text: string,
    lookup: (name: string) => string | undefined
  ): Effect.fn.Return<S["Type"], InvalidConfig> {
    const document = yield* Effect.try({
      try: () => Yaml.parse(text) ?? {},
      catch: (error) =>
        new InvalidConfig({
          source,
          problems: [`it cannot be read as YAML: ${error instanceof Error ? error.message : String(error)}`]
        })
    })
    return yield* Schema.decodeUnknownEffect(schema)(expandDocument(document, lookup), {
      errors: "all",
      onExcessProperty: "error"
    }).pipe(Effect.mapError((error) => new InvalidConfig({ source, problems: describeIssue(error.issue) })))
  })
