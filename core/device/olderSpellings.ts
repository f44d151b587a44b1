/** The spellings of 2019 and 2020, brought to those of today: three generations of manifests load. */
import { type Json, sameJson, valueAt, withValueAt } from "./path.ts"

export interface OlderSpelling {
  readonly old: string
  readonly now: string
  /** A number of seconds became a Go duration. */
  readonly seconds?: true
}

/** Outer fields before those inside them: a rename moves everything below it. */
export const olderSpellings: ReadonlyArray<OlderSpelling> = [
  { old: "spec.certInfo", now: "spec.node.cert" },
  { old: "spec.devices", now: "spec.peripherals" },
  { old: "spec.connectivity.mqttConfig", now: "spec.connectivity.mqtt" },
  { old: "spec.connectivity.grpcConfig", now: "spec.connectivity.grpc" },
  { old: "spec.connectivity.mqtt.messageNamespace", now: "spec.connectivity.mqtt.topicNamespace" },
  { old: "spec.connectivity.mqtt.server", now: "spec.connectivity.mqtt.broker" },
  { old: "spec.connectivity.mqtt.keepalive", now: "spec.connectivity.mqtt.keepaliveInterval", seconds: true },
  { old: "spec.connectivity.mqtt.connectPacket.clientID", now: "spec.connectivity.mqtt.clientID" },
  {
    old: "spec.connectivity.mqtt.connectPacket.keepalive",
    now: "spec.connectivity.mqtt.keepaliveInterval",
    seconds: true
  },
  {
    old: "spec.connectivity.timers.forceNodeStatusSyncInterval",
    now: "spec.node.timers.forceSyncInterval"
  },
  {
    old: "spec.connectivity.timers.forcePodStatusSyncInterval",
    now: "spec.pod.timers.forceSyncInterval"
  },
  { old: "spec.node.podCIDR", now: "spec.pod.ipv4CIDR" }
]

export interface Normalised {
  readonly object: Json
  readonly warnings: ReadonlyArray<string>
  /** Sentences about fields given twice with different values. */
  readonly conflicts: ReadonlyArray<{ readonly path: string; readonly sentence: string }>
}

const translated = (spelling: OlderSpelling, value: unknown): unknown =>
  spelling.seconds === true && typeof value === "number" ? `${value}s` : value

export const normaliseSpellings = (object: Json): Normalised => {
  let now = object
  const warnings: Array<string> = []
  const conflicts: Array<{ path: string; sentence: string }> = []
  for (const spelling of olderSpellings) {
    const old = valueAt(now, spelling.old)
    if (old === undefined) continue
    const value = translated(spelling, old)
    const current = valueAt(now, spelling.now)
    now = withValueAt(now, spelling.old, undefined)
    if (current !== undefined && !sameJson(current, value)) {
      conflicts.push({
        path: spelling.old,
        sentence:
          `${spelling.old} is the older spelling of ${spelling.now}, and the two differ: keep ${spelling.now} only.`
      })
      continue
    }
    now = withValueAt(now, spelling.now, value)
    warnings.push(`${spelling.old} is an older spelling: write ${spelling.now}.`)
  }
  return { object: now, warnings, conflicts }
}
