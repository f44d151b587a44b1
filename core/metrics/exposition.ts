/** Metric families as Prometheus reads them: its text format 0.0.4. */

export interface MetricFamily {
  readonly name: string
  readonly help: string
  readonly type: "counter" | "gauge"
  readonly samples: ReadonlyArray<{
    readonly labels: Readonly<Record<string, string>>
    readonly value: number
    /** When it was measured, milliseconds since the epoch; absent: when it is read. */
    readonly at?: number
  }>
}

export const expositionType = "text/plain; version=0.0.4; charset=utf-8"

const escapeLabel = (value: string): string =>
  value.replaceAll("\\", "\\\\").replaceAll("\"", "\\\"").replaceAll("\n", "\\n")

const escapeHelp = (help: string): string => help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")

const numberOf = (value: number): string =>
  Number.isFinite(value) ? String(value) : Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf"

/** Families without samples are left out. */
export const exposition = (families: ReadonlyArray<MetricFamily>): string =>
  families.filter(({ samples }) => samples.length > 0).map(({ help, name, samples, type }) =>
    [
      `# HELP ${name} ${escapeHelp(help)}`,
      `# TYPE ${name} ${type}`,
      ...samples.map(({ at, labels, value }) => {
        const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`)
        return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${numberOf(value)}${
          at === undefined ? "" : ` ${Math.floor(at)}`
        }`
      }),
      ""
    ].join("\n")
  ).join("")
