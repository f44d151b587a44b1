/** A process with one mistake in it: weathers storms until one of them notices. Its last line says which, as JSON. */
import { Effect } from "effect"
import { mutate } from "./mutate.ts"
import { mutations } from "./mutations.ts"

const [name = "", most = "1000", first = "1"] = process.argv.slice(2)
const mutation = mutations.find((each) => each.name === name)
if (mutation === undefined) throw new Error(`there is no mutation ${name}`)
mutate(mutation)
const { storm } = await import("../storm.ts")

const { profile } = mutation
for (let seeds = 1; seeds <= Number(most); seeds++) {
  const seed = Number(first) + seeds - 1
  const { failure } = await Effect.runPromise(
    storm({ seed, size: "large", ...(profile === undefined ? {} : { profile }) })
  )
  if (failure !== undefined) {
    console.log(JSON.stringify({ seeds, seed, failure: failure.split("\n")[0] }))
    process.exit(0)
  }
}
console.log(JSON.stringify({ seeds: Number(most), failure: null }))
