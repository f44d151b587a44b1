/** The `tokenFile` of a kubeconfig's user, which client-node leaves out: it knows another spelling, and reads that only once. */
import { findHomeDir, type KubeConfig } from "@kubernetes/client-node/dist/config.js"
import { existsSync, readFileSync } from "node:fs"
import { delimiter, dirname, join, resolve } from "node:path"
import { parse } from "yaml"

interface WithUsers {
  readonly users?: ReadonlyArray<{ readonly name?: string; readonly user?: { readonly tokenFile?: unknown } }>
}

/** Where client-node has looked: a list of files is merged, and no two of them may name the same user. */
const filesOf = (kubeconfigPath: string | undefined): ReadonlyArray<string> => {
  if (kubeconfigPath !== undefined) return [kubeconfigPath]
  const listed = (process.env["KUBECONFIG"] ?? "").split(delimiter).filter((file) => file !== "")
  if (listed.length > 0) return listed
  const home = findHomeDir()
  const usual = home === null ? undefined : join(home, ".kube", "config")
  return usual !== undefined && existsSync(usual) ? [usual] : []
}

export const tokenFileOf = (config: KubeConfig, kubeconfigPath: string | undefined): string | undefined => {
  const name = config.getCurrentUser()?.name
  for (const file of filesOf(kubeconfigPath)) {
    const { users } = parse(readFileSync(file, "utf8")) as WithUsers
    const tokenFile = users?.find((user) => user.name === name)?.user?.tokenFile
    if (typeof tokenFile === "string" && tokenFile !== "") return resolve(dirname(file), tokenFile)
  }
  return undefined
}
