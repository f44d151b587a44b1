/** Plain things as they come from a cluster, for tests of the wire. */
import type { DeviceUsage } from "../../../core/metrics/DeviceUsage.ts"
import type { AssignedContainer, PodAssignment } from "../../../core/pod/PodAssignment.ts"
import type { PodEvent, PodReport } from "../../../core/pod/PodReport.ts"
import type { NodeReport } from "../../../core/wire/Event.ts"

export const uid = "0b6d3c7e-5a52-4a8e-9f3b-2a1c4d5e6f70"
const digest = (seed: number) => Array.from({ length: 64 }, (_, i) => ((i * 7 + seed) % 16).toString(16)).join("")

export const container: AssignedContainer = {
  name: "web",
  image: "docker.io/library/nginx:1.27",
  imagePullPolicy: "IfNotPresent",
  command: [],
  args: [["--listen=", { field: "podIP" }, ":8080"], ["--verbose"]],
  workingDir: "",
  env: [
    { name: "KUBERNETES_SERVICE_HOST", value: ["10.96.0.1"] },
    { name: "KUBERNETES_SERVICE_PORT", value: ["443"] },
    { name: "POD_IP", value: [{ field: "podIP" }] },
    { name: "EMPTY", value: [""] }
  ],
  mounts: [
    { volume: "config", mountPath: "/etc/web", subPath: "", readOnly: true },
    {
      volume: "kube-api-access",
      mountPath: "/var/run/secrets/kubernetes.io/serviceaccount",
      subPath: "",
      readOnly: true
    }
  ],
  ports: [{ containerPort: 8080, hostPort: 0, hostIP: "", protocol: "TCP" }],
  resources: { cpuRequest: 100, cpuLimit: 500, memoryRequest: 64 * 1024 * 1024, memoryLimit: 128 * 1024 * 1024 },
  security: {
    runAsUser: 1000,
    runAsNonRoot: true,
    supplementalGroups: [2000],
    privileged: false,
    readOnlyRootFilesystem: false,
    allowPrivilegeEscalation: true,
    addCapabilities: ["NET_BIND_SERVICE"],
    dropCapabilities: ["ALL"]
  },
  terminationMessagePath: "/dev/termination-log",
  terminationMessagePolicy: "File",
  stdin: false,
  stdinOnce: false,
  tty: false,
  specHash: digest(3)
}

const kilobyte = (fill: number) => new Uint8Array(1024).fill(fill)

/** Two ConfigMaps of 1 KB and a token. */
export const assignment: PodAssignment = {
  uid,
  namespace: "default",
  name: "web-5d8f7c9b6d-x2x4z",
  hash: digest(5),
  generation: 1,
  labels: { app: "web", "pod-template-hash": "5d8f7c9b6d" },
  annotations: { "kubectl.kubernetes.io/restartedAt": "2026-11-20T23:00:00Z" },
  restartPolicy: "Always",
  terminationGracePeriodSeconds: 30,
  qosClass: "Burstable",
  hostname: "web-5d8f7c9b6d-x2x4z",
  hostDomain: "",
  hostNetwork: false,
  hostPID: false,
  hostIPC: false,
  shareProcessNamespace: false,
  fsGroup: 2000,
  sysctls: {},
  dns: {
    inheritHost: false,
    nameservers: ["10.96.0.10"],
    searches: ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"],
    options: ["ndots:5"]
  },
  hostAliases: [],
  pullCredentials: [],
  volumes: [
    { _tag: "Files", name: "config", secret: false, files: [{ path: "web.conf", mode: 0o644, content: kilobyte(1) }] },
    { _tag: "Files", name: "more", secret: false, files: [{ path: "more.conf", mode: 0o600, content: kilobyte(2) }] },
    {
      _tag: "Files",
      name: "kube-api-access",
      secret: true,
      files: [{ path: "token", mode: 0o644, content: new TextEncoder().encode("first-token"), token: true }]
    },
    { _tag: "EmptyDir", name: "scratch", medium: "Memory", sizeLimit: 1024 * 1024 },
    { _tag: "HostPath", name: "dev", path: "/dev/ttyUSB0", type: "CharDevice" }
  ],
  initContainers: [],
  containers: [container],
  ephemeralContainers: []
}

const at = (second: number) => `2026-11-20T23:00:${String(second).padStart(2, "0")}Z`
const condition = (type: string, status: string, second: number) => ({
  type,
  status,
  lastTransitionTime: at(second),
  observedGeneration: 1
})

export const report: PodReport = {
  uid,
  namespace: "default",
  name: "web-5d8f7c9b6d-x2x4z",
  number: 4,
  finished: false,
  status: {
    observedGeneration: 1,
    phase: "Running",
    conditions: [
      condition("PodReadyToStartContainers", "True", 2),
      condition("Initialized", "True", 1),
      condition("Ready", "True", 5),
      condition("ContainersReady", "True", 5),
      condition("PodScheduled", "True", 0)
    ],
    hostIP: "10.0.0.7",
    hostIPs: [{ ip: "10.0.0.7" }],
    podIP: "172.17.0.12",
    podIPs: [{ ip: "172.17.0.12" }],
    startTime: at(0),
    qosClass: "Burstable",
    containerStatuses: [{
      name: "web",
      image: "docker.io/library/nginx:1.27",
      imageID: `sha256:${digest(1)}`,
      containerID: `docker://${digest(2)}`,
      ready: true,
      started: true,
      restartCount: 0,
      state: { running: { startedAt: at(4) } }
    }]
  }
}

/** The same pod in its back-off after a crash: what a status change looks like at its largest. */
export const crashed: PodReport = {
  ...report,
  number: 9,
  status: {
    ...report.status,
    conditions: [
      condition("PodReadyToStartContainers", "True", 2),
      condition("Initialized", "True", 1),
      {
        ...condition("Ready", "False", 31),
        reason: "ContainersNotReady",
        message: "containers with unready status: [web]"
      },
      {
        ...condition("ContainersReady", "False", 31),
        reason: "ContainersNotReady",
        message: "containers with unready status: [web]"
      },
      condition("PodScheduled", "True", 0)
    ],
    containerStatuses: [{
      ...report.status.containerStatuses![0]!,
      ready: false,
      started: false,
      restartCount: 3,
      state: {
        waiting: {
          reason: "CrashLoopBackOff",
          message: `back-off 40s restarting failed container=web pod=web-5d8f7c9b6d-x2x4z_default(${uid})`
        }
      },
      lastState: {
        terminated: {
          exitCode: 1,
          reason: "Error",
          startedAt: at(20),
          finishedAt: at(30),
          containerID: `docker://${digest(2)}`
        }
      }
    }]
  }
}

export const events: ReadonlyArray<PodEvent> = [{
  number: 1,
  uid,
  namespace: "default",
  name: "web-5d8f7c9b6d-x2x4z",
  fieldPath: "spec.containers{web}",
  type: "Normal",
  reason: "Pulled",
  message: "Container image \"docker.io/library/nginx:1.27\" already present on machine",
  at: 1_795_215_600_123
}, {
  number: 2,
  uid,
  namespace: "default",
  name: "web-5d8f7c9b6d-x2x4z",
  fieldPath: "spec.containers{web}",
  type: "Warning",
  reason: "Unhealthy",
  message: "Liveness probe failed: HTTP probe failed with statuscode: 500",
  at: 1_795_215_600_003
}]

export const nodeReport: NodeReport = {
  host: {
    machineId: "4f1c7a0b9d8e4c5f8a7b6c5d4e3f2a1b",
    systemUuid: "4c4c4544-0042-3510-8052-b4c04f4d5331",
    bootId: "b1946ac9-2b0e-4c62-8c46-1f4d2a3b5c6d",
    kernelVersion: "6.12.9-arm64",
    osImage: "Debian GNU/Linux 12 (bookworm)",
    operatingSystem: "linux",
    architecture: "arm64",
    hostname: "edge-1",
    cpuMillis: 4000,
    memoryBytes: 8 * 1024 ** 3,
    storageBytes: 64 * 1024 ** 3,
    addresses: ["192.168.1.17"]
  },
  pressure: { memory: false, disk: true, pids: false },
  runtime: { name: "docker", version: "28.1.0" },
  agentVersion: "0.1.0",
  at: 1_795_215_600_123
}

/** A device with five pods of one container each, after some days. */
export const deviceUsage: DeviceUsage = {
  at: 1_795_215_600_123,
  host: {
    cpuNanoseconds: 41_234_560_000_000,
    memoryUsedBytes: 3_100_000 * 1024,
    memoryWorkingSetBytes: 1_400_000 * 1024,
    memoryRssBytes: 900_000 * 1024,
    bootedAt: 1_794_715_600_000,
    storageAvailableBytes: 40_000_000 * 1024,
    storageUsedBytes: 20_000_000 * 1024,
    inodes: 4_000_000,
    inodesFree: 3_700_000,
    network: { receivedBytes: 812_345_678, sentBytes: 91_234_567 },
    processes: 130
  },
  pods: [1, 2, 3, 4, 5].map((seed) => ({
    uid: `0b6d3c7e-5a52-4a8e-9f3b-2a1c4d5e6f7${seed}`,
    network: { receivedBytes: 1_234_567 * seed, sentBytes: 345_678 * seed },
    containers: [{
      name: "web",
      startedAt: 1_794_715_700_000,
      cpuNanoseconds: 123_456_789_000 * seed,
      memoryUsedBytes: 40_000 * 1024,
      memoryWorkingSetBytes: 22_000 * 1024,
      memoryRssBytes: 18_000 * 1024
    }]
  }))
}
