/**
 * Brings what a Schema generates into what the wire can say: whole numbers in range, well-formed texts, times in whole
 * seconds, no key where Kubernetes means the same by an empty or null value.
 */
const times = new Set(["startTime", "lastProbeTime", "lastTransitionTime", "startedAt", "finishedAt"])

const whole = (value: number, range: number) => Number.isFinite(value) ? Math.abs(Math.trunc(value)) % range : 7

const numberFor = (key: string, value: number): number => {
  switch (key) {
    case "mode":
      return whole(value, 0o10000)
    case "containerPort":
    case "hostPort":
    case "port":
      return whole(value, 65_536)
    case "restartCount":
    case "exitCode":
    case "signal":
    case "code":
    case "width":
    case "height":
    case "length":
    case "graceSeconds":
      return whole(value, 2 ** 31)
    default:
      return whole(value, 2 ** 50)
  }
}

const shaped = (key: string, value: unknown): unknown => {
  if (typeof value === "number") return numberFor(key, value)
  if (typeof value === "string") {
    if (times.has(key)) {
      return new Date((1_700_000_000 + value.length * 86_401) * 1000).toISOString().replace(".000Z", "Z")
    }
    if (key === "path") return `${value.toWellFormed().replaceAll(/[/\0.]/g, "_")}x/y`
    return value.toWellFormed().slice(0, 200).toWellFormed()
  }
  if (value instanceof Uint8Array || value === null || typeof value !== "object") return value
  if (Array.isArray(value)) return value.map((each) => shaped(key, each))
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, inner]) => {
      if (inner === null || inner === undefined) return []
      const result = shaped(name, inner)
      if (name === "signal" && result === 0) return []
      if (name === "containerID" && result === "") return []
      if (name === "token" && result === false) return []
      return [[key === "labels" || key === "annotations" || key === "sysctls" ? name.toWellFormed() : name, result]]
    })
  )
}

export const wireShaped = <A>(value: A): A => shaped("", value) as A
