/** The operator's own metrics, taken when they are asked for: of a device that is gone nothing is left. */
import { Effect } from "effect"
import { bytesOf, trafficClasses } from "../link/Traffic.ts"
import type { MetricFamily } from "../metrics/exposition.ts"
import { monotonicMillis } from "../pod/machine/Workbench.ts"
import { Fleet } from "./Fleet.ts"

/** Devices that this process speaks for; each replica tells of its own. */
export const operatorMetrics = Effect.gen(function*() {
  const fleet = yield* Fleet
  return Effect.map(monotonicMillis, (now): ReadonlyArray<MetricFamily> => {
    const presence = fleet.presence().map(({ name, namespace, ...each }) => ({
      labels: { namespace, device: name },
      ...each
    }))
    const devices = fleet.traffic().map(({ budget, name, namespace, traffic }) => ({
      labels: { namespace, device: name },
      budget,
      ever: traffic.ever(),
      today: traffic.today(),
      refused: traffic.refused()
    }))
    return [
      {
        name: "aranya_device_connected",
        help: "1 while a connection carries the link of a device, else 0.",
        type: "gauge",
        samples: presence.map(({ connected, labels }) => ({ labels, value: connected ? 1 : 0 }))
      },
      {
        name: "aranya_device_away_seconds",
        help: "How long a device has been away, as this operator process knows it, by the reason in DeviceConnected.",
        type: "gauge",
        samples: presence.flatMap(({ awaySince, labels, reason }) =>
          awaySince === undefined
            ? []
            : [{ labels: { ...labels, reason }, value: Math.max(0, now - awaySince) / 1000 }]
        )
      },
      {
        name: "aranya_device_pods_replaced_total",
        help:
          "Pods given up because their device was away for spec.partition.replaceAfter, since this operator process began.",
        type: "counter",
        samples: presence.map(({ labels, replaced }) => ({ labels, value: replaced }))
      },
      {
        name: "aranya_device_traffic_bytes_total",
        help: "Bytes of sealed frames on the link of a device, since this operator process began.",
        type: "counter",
        samples: devices.flatMap(({ ever, labels }) =>
          trafficClasses.flatMap((name) =>
            (["sent", "received"] as const).map((direction) => ({
              labels: { ...labels, class: name, direction },
              value: ever[name][direction]
            }))
          )
        )
      },
      {
        name: "aranya_device_traffic_today_bytes",
        help: "Bytes of sealed frames in this day of UTC, both directions, as counted against the budget.",
        type: "gauge",
        samples: devices.flatMap(({ labels, today }) =>
          trafficClasses.map((name) => ({ labels: { ...labels, class: name }, value: bytesOf(today, name) }))
        )
      },
      {
        name: "aranya_device_traffic_budget_bytes",
        help: "Bytes a day that spec.connectivity.budget grants, where it does.",
        type: "gauge",
        samples: devices.flatMap(({ budget, labels }) =>
          trafficClasses.flatMap((name) => {
            const value = budget[name]
            return value === undefined ? [] : [{ labels: { ...labels, class: name }, value }]
          })
        )
      },
      {
        name: "aranya_device_traffic_refused_total",
        help: "Streams and scrapes refused because a budget was used up, since this operator process began.",
        type: "counter",
        samples: devices.flatMap(({ labels, refused }) =>
          trafficClasses.filter((name) => name !== "control").map((name) => ({
            labels: { ...labels, class: name },
            value: refused[name]
          }))
        )
      }
    ]
  })
})
