/** One container, resolved: environment, command, mounts, ports, security, and the hash by which it is adopted. */
import { Effect } from "effect"
import { Hex } from "effect/encoding"
import type { Container, Pod } from "../../kube/Pod.ts"
import { Cryptography } from "../../link/Cryptography.ts"
import type { AssignedContainer, ContainerSecurity, DeviceText, Mount } from "../PodAssignment.ts"
import { Allowance } from "./Allowance.ts"
import { expandReferences, knownText, lengthOf } from "./deviceText.ts"
import { containerEnvironment, tooLong } from "./environment.ts"
import { containerNotYet, type NotYet, type ResolveSettings, type Sources } from "./Resolution.ts"
import { containerResources } from "./resources.ts"

/** JSON with sorted keys: equal specs have equal text, whatever the order in which the API serves them. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => a < b ? -1 : 1))
      : inner)

const specHash = Effect.fnUntraced(function*(container: Container) {
  const { sha256 } = yield* Cryptography
  // Resources are resized in place; everything else of a container that may change at all is its image.
  const { resources: _, ...spec } = container
  return Hex.encode(sha256(new TextEncoder().encode(canonical(spec)))).slice(0, 16)
})

const security = (pod: Pod, container: Container): ContainerSecurity => {
  const ofPod = pod.spec.securityContext
  const own = container.securityContext
  const runAsUser = own?.runAsUser ?? ofPod?.runAsUser
  const runAsGroup = own?.runAsGroup ?? ofPod?.runAsGroup
  const fsGroup = ofPod?.fsGroup
  return {
    ...(runAsUser === undefined ? {} : { runAsUser }),
    ...(runAsGroup === undefined ? {} : { runAsGroup }),
    runAsNonRoot: own?.runAsNonRoot ?? ofPod?.runAsNonRoot ?? false,
    supplementalGroups: [...new Set([...ofPod?.supplementalGroups ?? [], ...(fsGroup === undefined ? [] : [fsGroup])])],
    privileged: own?.privileged ?? false,
    readOnlyRootFilesystem: own?.readOnlyRootFilesystem ?? false,
    allowPrivilegeEscalation: own?.allowPrivilegeEscalation ?? true,
    addCapabilities: own?.capabilities?.add ?? [],
    dropCapabilities: own?.capabilities?.drop ?? []
  }
}

/** Always for `latest` and for no tag at all, as the API server defaults it. */
const pullPolicy = (container: Container): AssignedContainer["imagePullPolicy"] => {
  const { image = "", imagePullPolicy } = container
  if (imagePullPolicy === "Always" || imagePullPolicy === "IfNotPresent" || imagePullPolicy === "Never") {
    return imagePullPolicy
  }
  const name = image.split("/").at(-1) ?? ""
  return name.includes("@") || (name.includes(":") && !name.endsWith(":latest")) ? "IfNotPresent" : "Always"
}

const isUnsafe = (path: string) => path.startsWith("/") || path.split("/").includes("..")

export const resolveContainer = Effect.fnUntraced(function*(
  pod: Pod,
  container: Container,
  fieldPath: string,
  sources: Sources,
  settings: ResolveSettings
): Effect.fn.Return<AssignedContainer, NotYet, Allowance | Cryptography> {
  const allowance = yield* Allowance
  const notYet = (message: string) => containerNotYet(container.name, fieldPath, message)
  const { entries, lookup } = yield* containerEnvironment(pod, container, fieldPath, sources, settings)
  const expand = (what: string) => (text: string): Effect.Effect<DeviceText, NotYet> => {
    const expanded = expandReferences(text, lookup)
    return expanded === undefined
      ? Effect.fail(notYet(`${what} ${tooLong}`))
      : Effect.as(allowance.take(lengthOf(expanded)), expanded)
  }

  const mounts: Array<Mount> = []
  for (const mount of container.volumeMounts ?? []) {
    let subPath = mount.subPath ?? ""
    if (mount.subPathExpr !== undefined && mount.subPathExpr !== "") {
      // An empty one counts as missing: it would show the whole volume, where a part of it was meant.
      const missing = new Set<string>()
      const text = expandReferences(mount.subPathExpr, (name) => {
        const value = lookup(name)
        if (value === undefined || value.length === 0) missing.add(name)
        return value
      })
      if (text === undefined) return yield* notYet(`subPathExpr ${mount.subPathExpr} ${tooLong}`)
      const known = knownText(text)
      if (missing.size > 0) return yield* notYet(`missing value for ${[...missing].toSorted().join(", ")}`)
      if (known === undefined) return yield* notYet(`subPathExpr ${mount.subPathExpr} needs what only the device knows`)
      subPath = known
    }
    if (isUnsafe(subPath)) return yield* notYet(`subPath ${JSON.stringify(subPath)} must be relative and without ..`)
    mounts.push({ volume: mount.name, mountPath: mount.mountPath, subPath, readOnly: mount.readOnly ?? false })
  }

  return {
    name: container.name,
    image: container.image ?? "",
    imagePullPolicy: pullPolicy(container),
    command: yield* Effect.forEach(container.command ?? [], expand("command")),
    args: yield* Effect.forEach(container.args ?? [], expand("args")),
    workingDir: container.workingDir ?? "",
    env: entries,
    mounts,
    ports: (container.ports ?? []).map(({ containerPort, hostIP = "", hostPort, protocol }) => ({
      containerPort,
      // On the host network a container port is a host port; there is nothing to map.
      hostPort: pod.spec.hostNetwork === true ? 0 : hostPort ?? 0,
      hostIP,
      protocol: protocol === "UDP" || protocol === "SCTP" ? protocol : "TCP"
    })),
    resources: containerResources(container),
    security: security(pod, container),
    terminationMessagePath: container.terminationMessagePath ?? "/dev/termination-log",
    terminationMessagePolicy: container.terminationMessagePolicy === "FallbackToLogsOnError"
      ? "FallbackToLogsOnError"
      : "File",
    stdin: container.stdin ?? false,
    stdinOnce: container.stdinOnce ?? false,
    tty: container.tty ?? false,
    specHash: yield* specHash(container)
  }
})
