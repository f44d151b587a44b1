/** The sample workload: a greeting from a ConfigMap, said again and again by a container, or by a process. */
import type { KubeObject } from "../../core/kube/ObjectMeta.ts"

const script = (settings: string) =>
  `echo "hello from $NODE, settings say: $(cat ${settings}/greeting)"; `
  + "trap 'echo bye; exit 0' TERM; n=0; while true; do n=$((n+1)); echo tick $n; sleep 2 & wait $!; done"

export const settings = {
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { namespace: "edge", name: "settings" },
  data: { greeting: "good morning" }
}

export const workload = (image: string): KubeObject & { readonly spec: unknown } => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { namespace: "edge", name: "hello" },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: "hello" } },
    template: {
      metadata: { labels: { app: "hello" } },
      spec: {
        nodeSelector: { "arhat.dev/role": "EdgeDevice" },
        tolerations: [{ key: "arhat.dev/namespace", operator: "Equal", value: "edge", effect: "NoSchedule" }],
        terminationGracePeriodSeconds: 10,
        containers: [{
          name: "main",
          image,
          imagePullPolicy: "IfNotPresent",
          command: ["sh", "-c", script("/etc/settings")],
          env: [{ name: "NODE", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } }],
          volumeMounts: [{ name: "settings", mountPath: "/etc/settings" }]
        }],
        volumes: [{ name: "settings", configMap: { name: "settings" } }]
      }
    }
  }
})
