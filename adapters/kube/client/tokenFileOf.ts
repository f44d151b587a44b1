/** The `tokenFile` of a kubeconfig's user, which client-node leaves out: it knows another spelling, and reads that only once. */
import type { KubeConfig } from "@kubernetes/client-node/dist/config.js"
import { readFileSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { parse } from "yaml"

interface WithUsers {
  readonly users?: ReadonlyArray<{ readonly name?: string; readonly user?: { readonly tokenFile?: unknown } }>
}

export const tokenFileOf = (config: KubeConfig, files: ReadonlyArray<string>): string | undefined => {
  const name = config.getCurrentUser()?.name
  for (const file of files) {
    const { users } = parse(readFileSync(file, "utf8")) as WithUsers
    const named = users?.find((user) => user.name === name)
    if (named === undefined) continue
    const tokenFile = named.user?.tokenFile
    return typeof tokenFile === "string" && tokenFile !== "" ? resolve(dirname(file), tokenFile) : undefined
  }
  return undefined
}
