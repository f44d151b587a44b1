/** Every budget the project has set itself, in the order of the table. Those nobody measures yet say why. */
import type { Figure } from "./Figure.ts"

const unpublished = "unpublished"
const noMqtt = { reason: "no scene measures it yet" }

export const figures: ReadonlyArray<Figure> = [
  {
    name: "idle-payload-grpc",
    meaning: "idle device, 5 pods, gRPC with TLS: what frames carry, both directions",
    unit: "B/s",
    budget: "<= 2",
    best: "KubeEdge 1740",
    measuredBy: { scene: "wire" }
  },
  {
    name: "idle-wire-grpc",
    meaning: "the same from the IP header on",
    unit: "B/s",
    budget: "<= 6",
    best: "KubeEdge 1740",
    measuredBy: { scene: "wire" }
  },
  {
    name: "idle-payload-mqtt",
    meaning: "idle device, 5 pods, MQTT with TLS: what frames carry, both directions",
    unit: "B/s",
    budget: "<= 2",
    best: "KubeEdge 1740",
    measuredBy: { scene: "wire" }
  },
  {
    name: "idle-wire-mqtt",
    meaning: "the same from the IP header on",
    unit: "B/s",
    budget: "<= 6",
    best: "KubeEdge 1740",
    measuredBy: { scene: "wire" }
  },
  {
    name: "idle-payload-mqtt-plain",
    meaning: "idle device, 5 pods, MQTT without TLS: what frames carry, both directions",
    unit: "B/s",
    budget: "<= 2",
    best: "KubeEdge 1740",
    measuredBy: { scene: "wire" }
  },
  {
    name: "idle-wire-mqtt-plain",
    meaning: "the same from the IP header on",
    unit: "B/s",
    budget: "<= 6",
    best: "KubeEdge 1740",
    measuredBy: { scene: "wire" }
  },
  {
    name: "scraped-payload-grpc",
    meaning: "idle device, 5 pods, scraped every 15 s, gRPC with TLS: what frames carry, both directions",
    unit: "B/s",
    budget: "<= 2",
    best: "KubeEdge 1740",
    measuredBy: { scene: "wire" }
  },
  {
    name: "scraped-wire-grpc",
    meaning: "the same from the IP header on",
    unit: "B/s",
    budget: "<= 6",
    best: "KubeEdge 1740",
    measuredBy: { scene: "wire" }
  },
  {
    name: "scraped-payload-mqtt",
    meaning: "idle device, 5 pods, scraped every 15 s, MQTT with TLS: what frames carry, both directions",
    unit: "B/s",
    budget: "<= 2",
    best: "KubeEdge 1740",
    measuredBy: { scene: "wire" }
  },
  {
    name: "scraped-wire-mqtt",
    meaning: "the same from the IP header on",
    unit: "B/s",
    budget: "<= 6",
    best: "KubeEdge 1740",
    measuredBy: { scene: "wire" }
  },
  {
    name: "scraped-payload-mqtt-plain",
    meaning: "idle device, 5 pods, scraped every 15 s, MQTT without TLS: what frames carry, both directions",
    unit: "B/s",
    budget: "<= 2",
    best: "KubeEdge 1740",
    measuredBy: { scene: "wire" }
  },
  {
    name: "scraped-wire-mqtt-plain",
    meaning: "the same from the IP header on",
    unit: "B/s",
    budget: "<= 6",
    best: "KubeEdge 1740",
    measuredBy: { scene: "wire" }
  },
  {
    name: "pod-bytes",
    meaning: "pod from create to delete, beyond its 2 ConfigMaps of 1 KB, gRPC with TLS",
    unit: "B",
    budget: "<= 3072",
    best: unpublished,
    measuredBy: { scene: "wire" }
  },
  {
    name: "status-bytes",
    meaning: "one change of a pod's status, payload, gRPC with TLS",
    unit: "B",
    budget: "<= 250",
    best: unpublished,
    measuredBy: { scene: "wire" }
  },
  {
    name: "reconnect-bytes",
    meaning: "reconnect with 20 unchanged pods, from the IP header on, gRPC with TLS",
    unit: "B",
    budget: "<= 6144",
    best: unpublished,
    measuredBy: { scene: "wire" }
  },
  {
    name: "pod-bytes-mqtt",
    meaning: "pod from create to delete, beyond its 2 ConfigMaps of 1 KB, MQTT with TLS",
    unit: "B",
    budget: "<= 3072",
    best: unpublished,
    measuredBy: { scene: "wire" }
  },
  {
    name: "status-bytes-mqtt",
    meaning: "one change of a pod's status, payload, MQTT with TLS",
    unit: "B",
    budget: "<= 250",
    best: unpublished,
    measuredBy: { scene: "wire" }
  },
  {
    name: "reconnect-bytes-mqtt",
    meaning: "reconnect with 20 unchanged pods, from the IP header on, MQTT with TLS",
    unit: "B",
    budget: "<= 6144",
    best: unpublished,
    measuredBy: { scene: "wire" }
  },
  {
    name: "pod-bytes-mqtt-plain",
    meaning: "pod from create to delete, beyond its 2 ConfigMaps of 1 KB, MQTT without TLS",
    unit: "B",
    budget: "<= 3072",
    best: unpublished,
    measuredBy: { scene: "wire" }
  },
  {
    name: "status-bytes-mqtt-plain",
    meaning: "one change of a pod's status, payload, MQTT without TLS",
    unit: "B",
    budget: "<= 250",
    best: unpublished,
    measuredBy: { scene: "wire" }
  },
  {
    name: "reconnect-bytes-mqtt-plain",
    meaning: "reconnect with 20 unchanged pods, from the IP header on, MQTT without TLS",
    unit: "B",
    budget: "<= 6144",
    best: unpublished,
    measuredBy: { scene: "wire" }
  },
  {
    name: "agent-rss-5",
    meaning: "resident memory of the agent, idle, 5 pods",
    unit: "MB",
    budget: "<= 80",
    best: "KubeEdge 57-74, k3s 268-275",
    measuredBy: { scene: "footprint" }
  },
  {
    name: "agent-rss-20",
    meaning: "resident memory of the agent, idle, 20 pods",
    unit: "MB",
    budget: "<= 92",
    best: "KubeEdge 57-74, k3s 268-275",
    measuredBy: { scene: "footprint" }
  },
  {
    name: "agent-pss-20",
    meaning: "its proportional share of memory, 20 pods",
    unit: "MB",
    budget: "<= 60",
    best: unpublished,
    measuredBy: { scene: "footprint" }
  },
  {
    name: "onboarding-rate",
    meaning: "devices to Ready and connected, gRPC with TLS, embedded control plane",
    unit: "devices/s",
    budget: ">= 100",
    best: "Go aranya 5",
    measuredBy: { scene: "fleet" }
  },
  {
    name: "onboarding-rate-real",
    meaning: "the same on a real API server",
    unit: "devices/s",
    budget: ">= 40",
    best: "Go aranya 5",
    measuredBy: { reason: "the bench has no real API server yet" }
  },
  {
    name: "deletion-rate",
    meaning: "EdgeDevices deleted until their Nodes are gone, embedded control plane",
    unit: "devices/s",
    budget: ">= 150",
    best: "Go aranya 6",
    measuredBy: { scene: "fleet" }
  },
  {
    name: "operator-memory-grpc",
    meaning: "operator's resident memory for one idle device, gRPC with TLS",
    unit: "KB",
    budget: "<= 160",
    best: "Elastic Fleet 250-330",
    measuredBy: { scene: "fleet" }
  },
  {
    name: "operator-memory-mqtt",
    meaning: "operator's resident memory for one idle device, MQTT",
    unit: "KB",
    budget: "<= 80",
    best: "Elastic Fleet 250-330",
    measuredBy: noMqtt
  },
  {
    name: "churn-p99",
    meaning: "create to Ready, 100 ms container start, 1000 devices, 20 pods/s, p99",
    unit: "s",
    budget: "<= 1",
    best: "KubeEdge 4.1",
    measuredBy: { reason: "no scene with churn yet" }
  },
  {
    name: "docker-pod",
    meaning: "docker pod, image present, create to Running, beyond the same Engine calls back to back",
    unit: "ms",
    budget: "<= 50",
    best: "kubelet p50 5 s in all",
    measuredBy: { scene: "docker" }
  },
  {
    name: "reconnect-herd",
    meaning: "3000 devices after an outage of less than 10 minutes, all synced",
    unit: "s",
    budget: "<= 30",
    best: "KubeEdge 30 each, no jitter",
    measuredBy: { reason: "no scene with 3000 devices yet" }
  },
  {
    name: "offline-start-memory",
    meaning: "agent start to 10 pods running, cloud unreachable, in-memory runtime",
    unit: "s",
    budget: "<= 0.5",
    best: "OpenYurt 23.9",
    measuredBy: { scene: "link" }
  },
  {
    name: "offline-start-docker",
    meaning: "agent start to 10 pods running, cloud unreachable, docker",
    unit: "s",
    budget: "<= 3",
    best: "OpenYurt 23.9",
    measuredBy: { scene: "docker" }
  },
  {
    name: "exec-first-byte-docker",
    meaning: "first byte of an exec, beyond docker's own",
    unit: "ms",
    budget: "<= 20",
    best: unpublished,
    measuredBy: { scene: "streams" }
  },
  {
    name: "exec-first-byte-process",
    meaning: "first byte of an exec in a process pod",
    unit: "ms",
    budget: "<= 20",
    best: unpublished,
    measuredBy: { scene: "streams" }
  },
  {
    name: "port-forward-grpc",
    meaning: "throughput of a forwarded port, gRPC",
    unit: "MB/s",
    budget: ">= 60",
    best: unpublished,
    measuredBy: { scene: "streams" }
  },
  {
    name: "port-forward-mqtt",
    meaning: "throughput of a forwarded port, MQTT",
    unit: "MB/s",
    budget: ">= 10",
    best: unpublished,
    measuredBy: { scene: "streams" }
  },
  {
    name: "logs-grpc",
    meaning: "kubectl logs of a docker container, gRPC, beside the same by the Engine API alone",
    unit: "% of it",
    budget: "none",
    best: unpublished,
    measuredBy: { scene: "streams" }
  },
  {
    name: "cp-down-grpc",
    meaning: "bytes out of a container by exec, as kubectl cp takes them, beside the Engine API alone",
    unit: "% of it",
    budget: "none",
    best: unpublished,
    measuredBy: { scene: "streams" }
  },
  {
    name: "cp-up-grpc",
    meaning: "bytes into a container by exec, as kubectl cp brings them, beside the Engine API alone",
    unit: "% of it",
    budget: "none",
    best: unpublished,
    measuredBy: { scene: "streams" }
  },
  {
    name: "interactive-beside-logs",
    meaning: "echo of a line typed into an exec, while logs -f of 20 MB/s go over the same link",
    unit: "ms",
    budget: "<= 100",
    best: unpublished,
    measuredBy: { scene: "streams" }
  },
  {
    name: "stalled-reader-operator",
    meaning: "memory of the operator for one logs -f that nobody reads",
    unit: "KB",
    budget: "none",
    best: unpublished,
    measuredBy: { scene: "streams" }
  },
  {
    name: "stalled-reader-agent",
    meaning: "the same of the agent",
    unit: "KB",
    budget: "none",
    best: unpublished,
    measuredBy: { scene: "streams" }
  },
  {
    name: "operator-restart",
    meaning: "operator killed and started, 1000 devices: all leases renewed",
    unit: "s",
    budget: "<= 10",
    best: "grace period 50",
    measuredBy: { scene: "fleet" }
  }
]
