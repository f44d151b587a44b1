/** The flags each program of the control plane is started with. */
import { join } from "node:path"
import type { KeyPair } from "./certificateAuthority.ts"
import type { Certificates } from "./certificates.ts"

export interface Setup {
  readonly folder: string
  readonly ports: {
    readonly etcd: number
    readonly etcdPeer: number
    readonly apiserver: number
    readonly controllerManager: number
    readonly scheduler: number
  }
  readonly certificates: Certificates
  readonly kubeconfigs: { readonly controllerManager: string; readonly scheduler: string }
}

export const etcdFlags = ({ folder, ports }: Setup): ReadonlyArray<string> => {
  const client = `http://127.0.0.1:${ports.etcd}`
  const peer = `http://127.0.0.1:${ports.etcdPeer}`
  return [
    "--name=test",
    `--data-dir=${join(folder, "etcd")}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=test=${peer}`,
    "--unsafe-no-fsync" // nothing here outlives the test
  ]
}

/** Default admission plugins, ServiceAccount and DefaultTolerationSeconds among them, and NodeRestriction. */
export const apiserverFlags = (
  { certificates, folder, ports }: Setup,
  verifyKubelets: boolean
): ReadonlyArray<string> => {
  const { apiserver, authority, frontProxy, kubeletClient, serviceAccounts } = certificates
  const ca = authority.pair.certificate
  return [
    `--etcd-servers=http://127.0.0.1:${ports.etcd}`,
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    `--secure-port=${ports.apiserver}`,
    `--cert-dir=${folder}`,
    `--tls-cert-file=${apiserver.certificate}`,
    `--tls-private-key-file=${apiserver.key}`,
    `--client-ca-file=${ca}`,
    "--authorization-mode=Node,RBAC",
    "--enable-admission-plugins=NodeRestriction",
    "--service-account-issuer=https://kubernetes.default.svc",
    `--service-account-key-file=${serviceAccounts.public}`,
    `--service-account-signing-key-file=${serviceAccounts.private}`,
    "--service-cluster-ip-range=10.0.0.0/24",
    "--endpoint-reconciler-type=none", // a loopback address may not be an endpoint
    "--allow-privileged=true",
    `--kubelet-client-certificate=${kubeletClient.certificate}`,
    `--kubelet-client-key=${kubeletClient.key}`,
    ...(verifyKubelets ? [`--kubelet-certificate-authority=${ca}`] : []),
    "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
    // The aggregation layer, for metrics.k8s.io.
    `--requestheader-client-ca-file=${ca}`,
    "--requestheader-allowed-names=front-proxy-client",
    "--requestheader-username-headers=X-Remote-User",
    "--requestheader-group-headers=X-Remote-Group",
    "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    `--proxy-client-cert-file=${frontProxy.certificate}`,
    `--proxy-client-key-file=${frontProxy.key}`
  ]
}

const serves = (folder: string, port: number, kubeconfig: string, pair: KeyPair) => [
  `--kubeconfig=${kubeconfig}`,
  `--authentication-kubeconfig=${kubeconfig}`,
  `--authorization-kubeconfig=${kubeconfig}`,
  "--bind-address=127.0.0.1",
  `--secure-port=${port}`,
  `--cert-dir=${folder}`,
  `--tls-cert-file=${pair.certificate}`,
  `--tls-private-key-file=${pair.key}`,
  "--leader-elect=false"
]

export const controllerManagerFlags = ({ certificates, folder, kubeconfigs, ports }: Setup): ReadonlyArray<string> => {
  const { authority, controllerManager, serviceAccounts } = certificates
  return [
    ...serves(folder, ports.controllerManager, kubeconfigs.controllerManager, controllerManager),
    `--cluster-signing-cert-file=${authority.pair.certificate}`,
    `--cluster-signing-key-file=${authority.pair.key}`,
    `--root-ca-file=${authority.pair.certificate}`,
    `--service-account-private-key-file=${serviceAccounts.private}`,
    "--use-service-account-credentials=true",
    "--controllers=*"
  ]
}

export const schedulerFlags = ({ certificates, folder, kubeconfigs, ports }: Setup): ReadonlyArray<string> =>
  serves(folder, ports.scheduler, kubeconfigs.scheduler, certificates.scheduler)
