/** What docker is told to create: a pod's sandbox and its containers. Formulas as the kubelet has them. */
import type { ContainerSpec, Ownership, SandboxSpec } from "../../core/pod/ContainerRuntime.ts"
import type { DockerOptions } from "./DockerOptions.ts"

/** No container of Kubernetes may be called so. */
export const SANDBOX = "POD"

export const LABEL = {
  pod: "io.kubernetes.pod.name",
  namespace: "io.kubernetes.pod.namespace",
  uid: "io.kubernetes.pod.uid",
  container: "io.kubernetes.container.name",
  attempt: "arhat.dev/attempt",
  specHash: "arhat.dev/spec-hash",
  device: "arhat.dev/device",
  image: "arhat.dev/image",
  sandbox: "arhat.dev/sandbox",
  sharePid: "arhat.dev/share-pid"
} as const

export const nameOf = (uid: string, container: string, attempt: number): string =>
  `arhat_${uid}_${container}_${attempt}`

/** What docker takes for a name. */
export const isName = (name: string): boolean => /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name) && name.length <= 255

const labels = (device: string, owner: Ownership, container: string, attempt: number) => ({
  [LABEL.device]: device,
  [LABEL.pod]: owner.pod,
  [LABEL.namespace]: owner.namespace,
  [LABEL.uid]: owner.uid,
  [LABEL.container]: container,
  [LABEL.attempt]: `${attempt}`
})

const common = (options: DockerOptions) => ({
  LogConfig: {
    Type: "json-file",
    Config: { "max-size": `${options.logFileBytes}`, "max-file": `${options.logFiles}` }
  },
  RestartPolicy: { Name: "no" },
  AutoRemove: false,
  Init: false
})

export const sandboxBody = (options: DockerOptions, spec: SandboxSpec) => {
  const published = spec.hostNetwork ? [] : spec.ports.filter(({ hostPort }) => hostPort > 0)
  const key = (port: SandboxSpec["ports"][number]) => `${port.containerPort}/${port.protocol.toLowerCase()}`
  const bindings: Record<string, Array<{ HostIp: string; HostPort: string }>> = {}
  for (const port of published) {
    ;(bindings[key(port)] ??= []).push({ HostIp: port.hostIP, HostPort: `${port.hostPort}` })
  }
  return {
    Image: options.pauseImage,
    ...(spec.hostNetwork ? {} : { Hostname: spec.hostname }),
    ExposedPorts: Object.fromEntries(published.map((port) => [key(port), {}])),
    Labels: {
      ...labels(options.device, spec, SANDBOX, spec.attempt),
      [LABEL.sharePid]: `${spec.shareProcessNamespace}`
    },
    HostConfig: {
      ...common(options),
      NetworkMode: spec.hostNetwork ? "host" : "bridge",
      IpcMode: spec.hostIPC ? "host" : "shareable",
      PidMode: spec.hostPID ? "host" : "",
      PortBindings: bindings,
      Sysctls: spec.sysctls,
      ...(spec.dns.inheritHost ? {} : { Dns: spec.dns.nameservers }),
      DnsSearch: spec.dns.searches,
      DnsOptions: spec.dns.options,
      CpuShares: 2,
      // The last thing to die for memory: its death ends the whole pod's network.
      OomScoreAdj: Math.max(-998, options.leastOomScoreAdj),
      ReadonlyRootfs: true,
      SecurityOpt: ["no-new-privileges"]
    }
  }
}

/** Relative weight of a request; docker refuses less than 2. */
export const cpuShares = ({ cpuLimit, cpuRequest }: ContainerSpec["resources"]): number => {
  const millis = cpuRequest > 0 ? cpuRequest : cpuLimit
  return Math.min(262_144, Math.max(2, Math.floor(millis * 1024 / 1000)))
}

export const CPU_PERIOD = 100_000

/** Microseconds of each period; the kernel refuses less than 1000. */
export const cpuQuota = (millis: number): number => Math.max(1000, Math.floor(millis * CPU_PERIOD / 1000))

/** What the sandbox decides for the containers in it. */
export interface SandboxModes {
  readonly id: string
  readonly hostIPC: boolean
  readonly hostPID: boolean
  readonly shareProcessNamespace: boolean
}

export const containerBody = (
  options: DockerOptions,
  spec: ContainerSpec,
  sandbox: SandboxModes,
  user: string | undefined
) => {
  const { resources, security } = spec
  return {
    Image: spec.imageId === "" ? spec.image : spec.imageId,
    ...(spec.command.length > 0 ? { Entrypoint: spec.command } : {}),
    ...(spec.args.length > 0 ? { Cmd: spec.args } : {}),
    ...(spec.workingDir === "" ? {} : { WorkingDir: spec.workingDir }),
    ...(user === undefined ? {} : { User: user }),
    Env: spec.env.map(({ name, value }) => `${name}=${value}`),
    Tty: spec.tty,
    OpenStdin: spec.stdin,
    StdinOnce: spec.stdin && spec.stdinOnce,
    Labels: {
      ...labels(options.device, spec, spec.container, spec.attempt),
      [LABEL.specHash]: spec.specHash,
      [LABEL.image]: spec.image,
      [LABEL.sandbox]: sandbox.id
    },
    HostConfig: {
      ...common(options),
      NetworkMode: `container:${sandbox.id}`,
      IpcMode: sandbox.hostIPC ? "host" : `container:${sandbox.id}`,
      PidMode: sandbox.hostPID
        ? "host"
        : sandbox.shareProcessNamespace
        ? `container:${sandbox.id}`
        : spec.processesOf === undefined
        ? ""
        : `container:${spec.processesOf}`,
      // `Binds` would cut paths at colons.
      Mounts: spec.mounts.map(({ readOnly, source, target }) => ({
        Type: "bind",
        Source: source,
        Target: target,
        ReadOnly: readOnly
      })),
      CpuShares: cpuShares(resources),
      ...(resources.cpuLimit > 0 ? { CpuPeriod: CPU_PERIOD, CpuQuota: cpuQuota(resources.cpuLimit) } : {}),
      // No swap beyond the limit, as on any node.
      ...(resources.memoryLimit > 0 ? { Memory: resources.memoryLimit, MemorySwap: resources.memoryLimit } : {}),
      OomScoreAdj: Math.max(spec.oomScoreAdj, options.leastOomScoreAdj),
      Privileged: security.privileged,
      CapAdd: security.addCapabilities,
      CapDrop: security.dropCapabilities,
      GroupAdd: security.supplementalGroups.map(String),
      ReadonlyRootfs: security.readOnlyRootFilesystem,
      SecurityOpt: security.allowPrivilegeEscalation || security.privileged ? [] : ["no-new-privileges"]
    }
  }
}
