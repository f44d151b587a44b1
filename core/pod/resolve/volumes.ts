/** A pod's volumes with everything in them: data of ConfigMaps and Secrets, downward fields, tokens, as files with modes. */
import { Effect, Result } from "effect"
import { Base64 } from "effect/encoding"
import type { ConfigMap, Secret } from "../../kube/kinds.ts"
import type { Container, Pod, Volume } from "../../kube/Pod.ts"
import type { AssignedVolume, VolumeFile } from "../PodAssignment.ts"
import { Allowance } from "./Allowance.ts"
import { knownText } from "./deviceText.ts"
import { secretBytes } from "./environment.ts"
import { fieldRef } from "./fieldRef.ts"
import { parseQuantity, toWhole } from "./quantity.ts"
import { allContainers, tokenNeed } from "./references.ts"
import { type NotYet, type ResolveSettings, type Sources, type TokenFile, volumeNotYet } from "./Resolution.ts"
import { resourceField } from "./resources.ts"

const defaultMode = 0o644
const utf8 = new TextEncoder()

type Items = ReadonlyArray<{ readonly key: string; readonly path: string; readonly mode?: number }> | undefined

/** The entries of a ConfigMap or Secret that a volume shows. */
const selected = Effect.fnUntraced(function*(
  volume: string,
  what: string,
  keys: ReadonlyArray<string>,
  read: (key: string) => Uint8Array | undefined,
  options: { readonly items: Items; readonly mode: number; readonly optional: boolean }
): Effect.fn.Return<ReadonlyArray<VolumeFile>, NotYet, Allowance> {
  const allowance = yield* Allowance
  const wanted = options.items ?? keys.map((key) => ({ key, path: key }))
  const files: Array<VolumeFile> = []
  for (const item of wanted) {
    const content = read(item.key)
    if (content !== undefined) {
      yield* allowance.take(item.path.length + content.length)
      files.push({
        path: item.path,
        mode: "mode" in item && item.mode !== undefined ? item.mode : options.mode,
        content
      })
    } else if (!options.optional) return yield* volumeNotYet(volume, `references non-existent ${what} key: ${item.key}`)
  }
  return files
})

const configMapKeys = (object: ConfigMap) =>
  [...Object.keys(object.data ?? {}), ...Object.keys(object.binaryData ?? {})].sort()
const configMapBytes = (object: ConfigMap, key: string) => {
  const text = object.data?.[key]
  if (text !== undefined) return utf8.encode(text)
  const binary = object.binaryData?.[key]
  return binary === undefined ? undefined : Result.getOrUndefined(Base64.decode(binary))
}

interface DataSource {
  readonly name: string
  readonly items: Items
  readonly mode: number
  readonly optional: boolean
}

const configMapFiles = (volume: string, source: DataSource, sources: Sources) => {
  const object = sources.configMap(source.name)
  if (object === undefined) {
    return source.optional
      ? Effect.succeed<ReadonlyArray<VolumeFile>>([])
      : Effect.fail(volumeNotYet(volume, `configmap "${source.name}" not found`))
  }
  return selected(volume, "config", configMapKeys(object), (key) => configMapBytes(object, key), source)
}

const secretFiles = (volume: string, source: DataSource, sources: Sources) => {
  const object: Secret | undefined = sources.secret(source.name)
  if (object === undefined) {
    return source.optional
      ? Effect.succeed<ReadonlyArray<VolumeFile>>([])
      : Effect.fail(volumeNotYet(volume, `secret "${source.name}" not found`))
  }
  return selected(volume, "secret", Object.keys(object.data ?? {}).sort(), (key) => secretBytes(object, key), source)
}

type DownwardItems = NonNullable<NonNullable<Volume["downwardAPI"]>["items"]> | undefined

const downwardFiles = Effect.fnUntraced(function*(
  pod: Pod,
  volume: string,
  items: DownwardItems,
  mode: number,
  settings: ResolveSettings
): Effect.fn.Return<ReadonlyArray<VolumeFile>, NotYet, Allowance> {
  const allowance = yield* Allowance
  const files: Array<VolumeFile> = []
  for (const item of items ?? []) {
    let text: string | undefined
    if (item.fieldRef !== undefined) {
      const shown = fieldRef(pod, item.fieldRef.fieldPath, settings.nodeName)
      text = shown === undefined ? undefined : knownText(shown)
      if (text === undefined) return yield* volumeNotYet(volume, `unsupported fieldPath: ${item.fieldRef.fieldPath}`)
    } else if (item.resourceFieldRef !== undefined) {
      const { containerName } = item.resourceFieldRef
      const container: Container | undefined = allContainers(pod).find(({ name }) => name === containerName)
      if (container === undefined) return yield* volumeNotYet(volume, `container ${containerName ?? ""} not found`)
      const shown = resourceField(container, item.resourceFieldRef, settings)
      if ("wrong" in shown) return yield* volumeNotYet(volume, shown.wrong)
      text = shown.text
    }
    const content = utf8.encode(text ?? "")
    yield* allowance.take(item.path.length + content.length)
    files.push({ path: item.path, mode: item.mode ?? mode, content })
  }
  return files
})

/** All containers run as the same user: a kubelet makes a token that user's alone, whatever mode the volume has. */
const singleUser = (pod: Pod): boolean => {
  const users = new Set(
    allContainers(pod).map(({ securityContext }) => securityContext?.runAsUser ?? pod.spec.securityContext?.runAsUser)
  )
  return users.size === 1 && !users.has(undefined)
}

/** The fsGroup is given what it needs on the device. All others read what is root's there, in a folder that is shown to the pod alone. */
const tokenMode = (pod: Pod, volumeMode: number): number =>
  pod.spec.securityContext?.fsGroup !== undefined ? 0o600 : singleUser(pod) ? defaultMode : volumeMode

export interface ResolvedVolumes {
  readonly volumes: ReadonlyArray<AssignedVolume>
  readonly tokens: ReadonlyArray<TokenFile>
  /** Some token was left out because the EdgeDevice does not allow it. */
  readonly withheld: boolean
}

export const resolveVolumes = Effect.fnUntraced(function*(
  pod: Pod,
  sources: Sources,
  settings: ResolveSettings
): Effect.fn.Return<ResolvedVolumes, NotYet, Allowance> {
  const volumes: Array<AssignedVolume> = []
  const tokens: Array<TokenFile> = []
  let withheld = false

  for (const volume of pod.spec.volumes ?? []) {
    const { configMap, downwardAPI, emptyDir, hostPath, name, projected, secret } = volume
    const files = (list: ReadonlyArray<VolumeFile>, isSecret: boolean): AssignedVolume => ({
      _tag: "Files",
      name,
      files: list,
      secret: isSecret
    })
    if (configMap !== undefined) {
      const source = {
        name: configMap.name ?? "",
        items: configMap.items,
        mode: configMap.defaultMode ?? defaultMode,
        optional: configMap.optional === true
      }
      volumes.push(files(yield* configMapFiles(name, source, sources), false))
    } else if (secret !== undefined) {
      const source = {
        name: secret.secretName ?? "",
        items: secret.items,
        mode: secret.defaultMode ?? defaultMode,
        optional: secret.optional === true
      }
      volumes.push(files(yield* secretFiles(name, source, sources), true))
    } else if (downwardAPI !== undefined) {
      const mode = downwardAPI.defaultMode ?? defaultMode
      volumes.push(files(yield* downwardFiles(pod, name, downwardAPI.items, mode, settings), false))
    } else if (projected !== undefined) {
      const mode = projected.defaultMode ?? defaultMode
      const list: Array<VolumeFile> = []
      let isSecret = false
      for (const source of projected.sources ?? []) {
        const data = (given: { readonly name?: string; readonly items?: Items; readonly optional?: boolean }) => ({
          name: given.name ?? "",
          items: given.items,
          mode,
          optional: given.optional === true
        })
        if (source.configMap !== undefined) {
          list.push(...yield* configMapFiles(name, data(source.configMap), sources))
        }
        if (source.secret !== undefined) {
          isSecret = true
          list.push(...yield* secretFiles(name, data(source.secret), sources))
        }
        if (source.downwardAPI !== undefined) {
          list.push(...yield* downwardFiles(pod, name, source.downwardAPI.items, mode, settings))
        }
        if (source.serviceAccountToken !== undefined) {
          if (!settings.allowServiceAccountTokens) {
            withheld = true
            continue
          }
          const need = tokenNeed(pod, source.serviceAccountToken)
          const answer = sources.token(need)
          if (answer === undefined) return yield* volumeNotYet(name, "the token is being requested")
          if ("failed" in answer) return yield* volumeNotYet(name, `failed to fetch token: ${answer.failed}`)
          isSecret = true
          const path = source.serviceAccountToken.path
          const tokenFileMode = tokenMode(pod, mode)
          tokens.push({ volume: name, path, mode: tokenFileMode, need })
          list.push({ path, mode: tokenFileMode, content: utf8.encode(answer.token), token: true })
        }
      }
      // A later source wins where two name the same path.
      const byPath = new Map(list.map((file) => [file.path, file]))
      volumes.push(files([...byPath.values()], isSecret))
    } else if (hostPath !== undefined) {
      const type = (hostPath.type ?? "") as (AssignedVolume & { readonly _tag: "HostPath" })["type"]
      volumes.push({ _tag: "HostPath", name, path: hostPath.path, type })
    } else {
      // A volume without a source is an empty directory, as the API has it.
      const limit = emptyDir?.sizeLimit === undefined ? undefined : parseQuantity(emptyDir.sizeLimit)
      volumes.push({
        _tag: "EmptyDir",
        name,
        medium: emptyDir?.medium === "Memory" ? "Memory" : "",
        ...(limit === undefined || limit <= 0n ? {} : { sizeLimit: toWhole(limit) })
      })
    }
  }
  return { volumes, tokens, withheld }
})
