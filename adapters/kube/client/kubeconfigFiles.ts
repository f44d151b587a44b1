/** The kubeconfig files that count, and what they say together, as kubectl has it: client-node lets the last file win, and no two name the same. */
import { findHomeDir, KubeConfig } from "@kubernetes/client-node/dist/config.js"
import { readFileSync, statSync } from "node:fs"
import { delimiter, join } from "node:path"

/** An empty one says nothing, as one that is missing. */
const isThere = (file: string): boolean => {
  const found = statSync(file, { throwIfNoEntry: false })
  return found !== undefined && (!found.isFile() || readFileSync(file, "utf8").trim() !== "")
}

/** The first before the others. Of those that KUBECONFIG lists some may be missing, not all. */
export const kubeconfigFiles = (kubeconfigPath: string | undefined): ReadonlyArray<string> => {
  if (kubeconfigPath !== undefined) return [kubeconfigPath]
  const listed = (process.env["KUBECONFIG"] ?? "").split(delimiter).filter((file) => file !== "")
  if (listed.length > 0) {
    const found = listed.filter(isThere)
    return found.length > 0 ? found : listed
  }
  const home = findHomeDir()
  return home === null ? [] : [join(home, ".kube", "config")].filter(isThere)
}

interface Named {
  readonly name: string
}

const joined = <A extends Named>(first: ReadonlyArray<A>, more: ReadonlyArray<A>): ReadonlyArray<A> => [
  ...first,
  ...more.filter(({ name }) => first.every((known) => known.name !== name))
]

export const mergedKubeconfig = (files: ReadonlyArray<string>): KubeConfig => {
  const merged = new KubeConfig()
  for (const file of files) {
    const one = new KubeConfig()
    one.loadFromFile(file)
    merged.loadFromOptions({
      clusters: joined(merged.clusters, one.clusters),
      users: joined(merged.users, one.users),
      contexts: joined(merged.contexts, one.contexts),
      currentContext: merged.currentContext || one.currentContext
    })
  }
  return merged
}
