/** The four ways in which ConfigMaps and Secrets become volumes, under one set of words: what a scenario says holds for each. */
import { Effect } from "effect"
import { ConfigMaps, Secrets } from "../../../core/kube/kinds.ts"
import { KubeApi, type KubeApiError } from "../../../core/kube/KubeApi.ts"
import type { Volume } from "../../../core/kube/Pod.ts"
import { namespace } from "../Cluster.ts"
import { base64 } from "../podVocabulary.ts"

export interface Shown {
  readonly items?: ReadonlyArray<{ readonly key: string; readonly path: string; readonly mode?: number }>
  readonly defaultMode?: number
  readonly optional?: boolean
}

type Data = Readonly<Record<string, string>>
type Write = Effect.Effect<unknown, KubeApiError, KubeApi>

export interface DataVolume {
  readonly create: (name: string, data: Data, where?: string) => Write
  readonly replace: (name: string, data: Data) => Write
  readonly remove: (name: string) => Write
  /** A volume called `volume` of the object called `name`. */
  readonly volume: (volume: string, name: string, shown?: Shown) => Volume
}

const configMap = (name: string, data: Data, where = namespace) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { namespace: where, name },
  data
})

const secret = (name: string, data: Data, where = namespace) => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { namespace: where, name },
  data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, base64(value)]))
})

const ofConfigMaps: Omit<DataVolume, "volume"> = {
  create: (name, data, where) => KubeApi.use((api) => api.create(ConfigMaps, configMap(name, data, where))),
  replace: (name, data) =>
    KubeApi.use((api) => api.patch(ConfigMaps, { namespace, name }, { type: "merge", body: { data } })),
  remove: (name) => KubeApi.use((api) => api.delete(ConfigMaps, { namespace, name }))
}

const ofSecrets: Omit<DataVolume, "volume"> = {
  create: (name, data, where) => KubeApi.use((api) => api.create(Secrets, secret(name, data, where))),
  replace: (name, data) =>
    KubeApi.use((api) =>
      api.patch(Secrets, { namespace, name }, { type: "merge", body: { data: secret(name, data).data } })
    ),
  remove: (name) => KubeApi.use((api) => api.delete(Secrets, { namespace, name }))
}

export const configMapVolume: DataVolume = {
  ...ofConfigMaps,
  volume: (volume, name, shown) => ({ name: volume, configMap: { name, ...shown } })
}

export const secretVolume: DataVolume = {
  ...ofSecrets,
  volume: (volume, name, shown) => ({ name: volume, secret: { secretName: name, ...shown } })
}

/** Of a projected volume the mode is the whole volume's, all else is the source's. */
const parted = ({ defaultMode, ...source }: Shown = {}) => ({
  whole: defaultMode === undefined ? {} : { defaultMode },
  source
})

export const projectedConfigMap: DataVolume = {
  ...ofConfigMaps,
  volume: (volume, name, shown) => {
    const { source, whole } = parted(shown)
    return { name: volume, projected: { ...whole, sources: [{ configMap: { name, ...source } }] } }
  }
}

export const projectedSecret: DataVolume = {
  ...ofSecrets,
  volume: (volume, name, shown) => {
    const { source, whole } = parted(shown)
    return { name: volume, projected: { ...whole, sources: [{ secret: { name, ...source } }] } }
  }
}
