/** The operator's own metrics, taken when they are asked for: of a device that is gone nothing is left. */
import { Effect } from "effect"
import { bytesOf, trafficClasses } from "../link/Traffic.ts"
import type { MetricFamily } from "../metrics/exposition.ts"
import { Fleet } from "./Fleet.ts"

/** Devices that this process speaks for; each replica tells of its own. */
export const operatorMetrics = Effect.gen(function*() {
  const fleet = yield* Fleet
  return Effect.sync((): ReadonlyArray<MetricFamily> => {
    const devices = fleet.traffic().map(({ budget, name, namespace, traffic }) => ({
      labels: { namespace, device: name },
      budget,
      ever: traffic.ever(),
      today: traffic.today(),
      refused: traffic.refused()
    }))
    return [
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
