/** Pods to run in tests, as short as they can be said. */
import type {
  AssignedContainer,
  AssignedEphemeralContainer,
  PodAssignment
} from "../../../../core/pod/PodAssignment.ts"
import type { PodReport } from "../../../../core/pod/PodReport.ts"

export const container = (name: string, change: Partial<AssignedContainer> = {}): AssignedContainer => ({
  name,
  image: `${name}:1`,
  imagePullPolicy: "IfNotPresent",
  command: [],
  args: [],
  workingDir: "",
  env: [],
  mounts: [],
  ports: [],
  resources: { cpuRequest: 0, cpuLimit: 0, memoryRequest: 0, memoryLimit: 0 },
  security: {
    runAsNonRoot: false,
    supplementalGroups: [],
    privileged: false,
    readOnlyRootFilesystem: false,
    allowPrivilegeEscalation: true,
    addCapabilities: [],
    dropCapabilities: []
  },
  terminationMessagePath: "/dev/termination-log",
  terminationMessagePolicy: "File",
  stdin: false,
  stdinOnce: false,
  tty: false,
  specHash: `hash-${change.image ?? `${name}:1`}`,
  ...change
})

/** Added to look into the pod. */
export const ephemeral = (
  name: string,
  change: Partial<AssignedEphemeralContainer> = {}
): AssignedEphemeralContainer => ({ ...container(name), targetContainer: "", ...change })

/** One container `app` under the name `web`, uid `u1`, unless told otherwise. */
export const pod = (change: Partial<PodAssignment> = {}): PodAssignment => ({
  uid: "u1",
  namespace: "default",
  name: "web",
  hash: "00ff",
  generation: 1,
  labels: {},
  annotations: {},
  restartPolicy: "Always",
  terminationGracePeriodSeconds: 30,
  qosClass: "BestEffort",
  hostname: "web",
  hostDomain: "",
  hostNetwork: false,
  hostPID: false,
  hostIPC: false,
  shareProcessNamespace: false,
  sysctls: {},
  dns: { inheritHost: true, nameservers: [], searches: [], options: [] },
  hostAliases: [],
  pullCredentials: [],
  volumes: [],
  initContainers: [],
  containers: [container("app")],
  ephemeralContainers: [],
  ...change
})

/** What is told of the first container. */
export const only = (report: PodReport) => report.status.containerStatuses?.[0]
