import { assert, describe, it } from "@effect/vitest"
import { exposition } from "../../../core/metrics/exposition.ts"

describe("metric families", () => {
  it("are written as Prometheus reads them", () => {
    assert.strictEqual(
      exposition([
        {
          name: "a_total",
          help: "Counts\\what\nis.",
          type: "counter",
          samples: [{ labels: {}, value: 3 }, { labels: { device: "a\"b\\c\nd", class: "x" }, value: 1e21 }]
        },
        { name: "none", help: "Nothing.", type: "gauge", samples: [] },
        { name: "b", help: "Odd.", type: "gauge", samples: [{ labels: { k: "v" }, value: -Infinity }] }
      ]),
      "# HELP a_total Counts\\\\what\\nis.\n# TYPE a_total counter\na_total 3\n"
        + "a_total{device=\"a\\\"b\\\\c\\nd\",class=\"x\"} 1e+21\n"
        + "# HELP b Odd.\n# TYPE b gauge\nb{k=\"v\"} -Inf\n"
    )
  })
})
