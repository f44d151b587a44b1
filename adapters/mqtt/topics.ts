/** The topics of a namespace, and what an operator subscribes to for many of them. */

export interface Topics {
  /** Operator to device. */
  readonly command: string
  /** Device to operator. */
  readonly message: string
  /** Device to operator: the will. */
  readonly status: string
}

export const topicsOf = (topicNamespace: string): Topics => ({
  command: `${topicNamespace}/cmd`,
  message: `${topicNamespace}/msg`,
  status: `${topicNamespace}/status`
})

/** AWS IoT Core: subscriptions of one connection. */
export const awsSubscriptions = 50

const parentOf = (topicNamespace: string): string | undefined => {
  const slash = topicNamespace.lastIndexOf("/")
  return slash < 0 ? undefined : topicNamespace.slice(0, slash)
}

/**
 * What to subscribe to, and for which namespaces. Where that is more than `most`, namespaces below the same level share a
 * wildcard for it; what comes for others is dropped. One pair is left free, so that the first wildcards are there before the
 * others go.
 */
export const filtersFor = (
  topicNamespaces: Iterable<string>,
  most: number
): ReadonlyMap<string, ReadonlyArray<string>> => {
  const filters = new Map<string, Array<string>>()
  const add = (filter: string, topicNamespace: string) => {
    const present = filters.get(filter)
    if (present === undefined) filters.set(filter, [topicNamespace])
    else present.push(topicNamespace)
  }
  const all = [...topicNamespaces]
  for (const topicNamespace of all) {
    const parent = all.length * 2 + 2 > most ? parentOf(topicNamespace) : undefined
    const { message, status } = topicsOf(parent === undefined ? topicNamespace : `${parent}/+`)
    add(message, topicNamespace)
    add(status, topicNamespace)
  }
  return filters
}
