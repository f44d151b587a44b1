/** Makes one mistake in the sources as they are loaded, in this process only: to be called before anything of the product is imported. */
import { registerHooks } from "node:module"
import { fileURLToPath } from "node:url"
import type { Mutation } from "./mutations.ts"

const root = new URL("../../../", import.meta.url)

/** The file with the mistake in it. Throws where the table is older than the file. */
export const mutated = ({ file, from, name, to }: Mutation, source: string): string => {
  const parts = source.split(from)
  if (parts.length !== 2) {
    throw new Error(
      `mutation ${name}: its text stands ${parts.length - 1} times in ${file}, and should stand there once`
    )
  }
  return parts.join(to)
}

export const mutate = (mutation: Mutation): void => {
  const target = fileURLToPath(new URL(mutation.file, root))
  let met = false
  process.once("exit", () => met || console.error(`mutation ${mutation.name}: ${mutation.file} was never loaded`))
  registerHooks({
    load: (url, context, nextLoad) => {
      const loaded = nextLoad(url, context)
      if (!url.startsWith("file:") || fileURLToPath(url) !== target) return loaded
      met = true
      return { ...loaded, source: mutated(mutation, String(loaded.source ?? "")) }
    }
  })
}
