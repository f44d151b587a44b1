/** What a pod adds to the way it finds names anyway, joined as a kubelet does (kubelet contract 4.12). Pure. */

export interface Resolver {
  readonly nameservers: ReadonlyArray<string>
  readonly searches: ReadonlyArray<string>
  readonly options: ReadonlyArray<string>
}

/** What resolvers take: more is cut off, as a kubelet does. */
const most = { nameservers: 3, searches: 32 }

const distinct = (list: ReadonlyArray<string>) => [...new Set(list)]

/** An option of the pod replaces one of the same name. */
const mergedOptions = (base: ReadonlyArray<string>, own: ReadonlyArray<string>): ReadonlyArray<string> => {
  const nameOf = (option: string) => option.split(":")[0]
  return [...base.filter((option) => !own.some((other) => nameOf(other) === nameOf(option))), ...own]
}

export const mergeDns = (base: Resolver, own: Resolver): Resolver => ({
  nameservers: distinct([...base.nameservers, ...own.nameservers]).slice(0, most.nameservers),
  searches: distinct([...base.searches, ...own.searches]).slice(0, most.searches),
  options: mergedOptions(base.options, own.options)
})
