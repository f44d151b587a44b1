/** A container's environment, in Kubernetes' order: Services, envFrom, env; later wins, references are expanded on the way. */
import { Effect, Result } from "effect"
import { Base64 } from "effect/encoding"
import type { Secret, Service } from "../../kube/kinds.ts"
import type { Container, Pod } from "../../kube/Pod.ts"
import type { DeviceText, EnvEntry } from "../PodAssignment.ts"
import { Allowance } from "./Allowance.ts"
import { expandReferences, lengthOf, literal, longestExpansion } from "./deviceText.ts"
import { fieldRef } from "./fieldRef.ts"
import { allContainers } from "./references.ts"
import { containerNotYet, type NotYet, type ResolveSettings, type Sources } from "./Resolution.ts"
import { resourceField } from "./resources.ts"

const hasAddress = ({ spec }: Service): boolean => !["", "None"].includes(spec?.clusterIP ?? "")

/**
 * By name, whatever the order in which they were met: every operator has to find the same assignment. A namespace's own Service
 * called `kubernetes` stands in for that of `default`, as with a kubelet.
 */
const visible = (
  services: ReadonlyArray<Service>,
  { links, namespace }: { readonly namespace: string; readonly links: boolean }
): ReadonlyArray<Service> => {
  const byName = new Map<string, Service>()
  const take = (home: string, wanted: (name: string) => boolean) => {
    for (const service of services) {
      const { name = "" } = service.metadata
      if (service.metadata.namespace === home && wanted(name) && hasAddress(service)) byName.set(name, service)
    }
  }
  take("default", (name) => name === "kubernetes")
  if (links) take(namespace, () => true)
  return [...byName].toSorted(([one], [other]) => one < other ? -1 : 1).map(([, service]) => service)
}

/** The variables of each Service with an address; always those of `default/kubernetes`. */
export const serviceVariables = (
  services: ReadonlyArray<Service>,
  options: { readonly namespace: string; readonly links: boolean }
): ReadonlyMap<string, string> => {
  const variables = new Map<string, string>()
  for (const { metadata, spec } of visible(services, options)) {
    const address = spec?.clusterIP
    const first = spec?.ports?.[0]
    if (address === undefined || first === undefined) continue
    const name = (metadata.name ?? "").toUpperCase().replaceAll("-", "_")
    const host = address.includes(":") ? `[${address}]` : address
    variables.set(`${name}_SERVICE_HOST`, address)
    variables.set(`${name}_SERVICE_PORT`, String(first.port))
    for (const port of spec?.ports ?? []) {
      if (port.name !== undefined && port.name !== "") {
        variables.set(`${name}_SERVICE_PORT_${port.name.toUpperCase().replaceAll("-", "_")}`, String(port.port))
      }
    }
    for (const [index, { port, protocol = "TCP" }] of (spec?.ports ?? []).entries()) {
      const url = `${protocol.toLowerCase()}://${host}:${port}`
      if (index === 0) variables.set(`${name}_PORT`, url)
      const prefix = `${name}_PORT_${port}_${protocol.toUpperCase()}`
      variables.set(prefix, url)
      variables.set(`${prefix}_PROTO`, protocol.toLowerCase())
      variables.set(`${prefix}_PORT`, String(port))
      variables.set(`${prefix}_ADDR`, address)
    }
  }
  return variables
}

const utf8 = new TextDecoder()

/** A value of a Secret, undefined where there is none of that key. */
export const secretBytes = (secret: Secret, key: string): Uint8Array | undefined => {
  const data = secret.data?.[key]
  return data === undefined ? undefined : Result.getOrUndefined(Base64.decode(data))
}

/** Since 1.34 nearly any printable ASCII makes a name, except `=`. */
const isVariableName = (name: string) => /^[ -<>-~]+$/u.test(name)

/** Of what its references make of a text. */
export const tooLong = `becomes longer than ${longestExpansion} bytes by what its references stand for`

export interface Environment {
  readonly entries: ReadonlyArray<EnvEntry>
  /** For `$(NAME)` in command, args and subPathExpr. */
  readonly lookup: (name: string) => DeviceText | undefined
}

export const containerEnvironment = Effect.fnUntraced(function*(
  pod: Pod,
  container: Container,
  fieldPath: string,
  sources: Sources,
  settings: ResolveSettings
): Effect.fn.Return<Environment, NotYet, Allowance> {
  const allowance = yield* Allowance
  const namespace = pod.metadata.namespace ?? ""
  const services = serviceVariables(sources.services, { namespace, links: pod.spec.enableServiceLinks !== false })
  const notYet = (message: string) => containerNotYet(container.name, fieldPath, message)
  const collected = new Map<string, DeviceText>()
  const collect = (name: string, text: DeviceText) =>
    Effect.map(allowance.take(name.length + lengthOf(text)), () => {
      collected.set(name, text)
    })

  for (const { configMapRef, prefix = "", secretRef } of container.envFrom ?? []) {
    if (configMapRef !== undefined) {
      const name = configMapRef.name ?? ""
      const configMap = sources.configMap(name)
      if (configMap === undefined) {
        if (configMapRef.optional === true) continue
        return yield* notYet(`configmap "${name}" not found`)
      }
      for (const [key, value] of Object.entries(configMap.data ?? {})) {
        if (isVariableName(prefix + key)) yield* collect(prefix + key, literal(value))
      }
    }
    if (secretRef !== undefined) {
      const name = secretRef.name ?? ""
      const secret = sources.secret(name)
      if (secret === undefined) {
        if (secretRef.optional === true) continue
        return yield* notYet(`secret "${name}" not found`)
      }
      for (const key of Object.keys(secret.data ?? {})) {
        const bytes = secretBytes(secret, key)
        if (bytes !== undefined && isVariableName(prefix + key)) {
          yield* collect(prefix + key, literal(utf8.decode(bytes)))
        }
      }
    }
  }

  const lookup = (name: string): DeviceText | undefined => {
    const own = collected.get(name)
    if (own !== undefined) return own
    const service = services.get(name)
    return service === undefined ? undefined : literal(service)
  }

  for (const { name, value, valueFrom } of container.env ?? []) {
    if (valueFrom === undefined) {
      const text = expandReferences(value ?? "", lookup)
      if (text === undefined) return yield* notYet(`env ${name} ${tooLong}`)
      yield* collect(name, text)
    } else if (valueFrom.fieldRef !== undefined) {
      const text = fieldRef(pod, valueFrom.fieldRef.fieldPath, settings.nodeName)
      if (text === undefined) return yield* notYet(`unsupported fieldPath: ${valueFrom.fieldRef.fieldPath}`)
      yield* collect(name, text)
    } else if (valueFrom.resourceFieldRef !== undefined) {
      const { containerName = "" } = valueFrom.resourceFieldRef
      const meant = containerName === "" ? container : allContainers(pod).find(({ name }) => name === containerName)
      if (meant === undefined) return yield* notYet(`container ${containerName} not found`)
      const shown = resourceField(meant, valueFrom.resourceFieldRef, settings)
      if ("wrong" in shown) return yield* notYet(shown.wrong)
      yield* collect(name, literal(shown.text))
    } else if (valueFrom.configMapKeyRef !== undefined) {
      const { key, name: object = "", optional } = valueFrom.configMapKeyRef
      const configMap = sources.configMap(object)
      const found = configMap?.data?.[key]
      if (found !== undefined) yield* collect(name, literal(found))
      else if (optional !== true) {
        return yield* notYet(
          configMap === undefined
            ? `configmap "${object}" not found`
            : `couldn't find key ${key} in ConfigMap ${namespace}/${object}`
        )
      }
    } else if (valueFrom.secretKeyRef !== undefined) {
      const { key, name: object = "", optional } = valueFrom.secretKeyRef
      const secret = sources.secret(object)
      const found = secret === undefined ? undefined : secretBytes(secret, key)
      if (found !== undefined) yield* collect(name, literal(utf8.decode(found)))
      else if (optional !== true) {
        return yield* notYet(
          secret === undefined
            ? `secret "${object}" not found`
            : `couldn't find key ${key} in Secret ${namespace}/${object}`
        )
      }
    }
  }

  const entries: Array<EnvEntry> = []
  for (const [name, value] of services) {
    if (collected.has(name)) continue
    yield* allowance.take(name.length + value.length)
    entries.push({ name, value: literal(value) })
  }
  for (const [name, value] of collected) entries.push({ name, value })
  return { entries, lookup }
})
