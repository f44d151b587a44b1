/** The certificates of one control plane, all of one authority. */
import { Effect } from "effect"
import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { type CertificateAuthority, type KeyPair, makeCertificateAuthority } from "./certificateAuthority.ts"

export interface Certificates {
  readonly authority: CertificateAuthority
  readonly apiserver: KeyPair
  readonly admin: KeyPair
  readonly kubeletClient: KeyPair
  readonly controllerManager: KeyPair
  readonly scheduler: KeyPair
  readonly frontProxy: KeyPair
  readonly serviceAccounts: { readonly public: string; readonly private: string }
}

const loopback = ["DNS:localhost", "IP:127.0.0.1"]

export const makeCertificates = Effect.fnUntraced(function*(folder: string) {
  yield* Effect.promise(() => mkdir(join(folder, "pki")))
  const authority = yield* makeCertificateAuthority(join(folder, "pki"), "aranya-test-ca")
  const { issue, signingKey } = authority
  return yield* Effect.all({
    authority: Effect.succeed(authority),
    apiserver: issue("apiserver", {
      commonName: "kube-apiserver",
      names: [
        ...["DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc", "IP:10.0.0.1"],
        ...loopback
      ]
    }),
    admin: issue("admin", { commonName: "aranya-test-admin", organizations: ["system:masters"] }),
    kubeletClient: issue("apiserver-kubelet-client", { commonName: "kube-apiserver-kubelet-client" }),
    controllerManager: issue("controller-manager", { commonName: "system:kube-controller-manager", names: loopback }),
    scheduler: issue("scheduler", { commonName: "system:kube-scheduler", names: loopback }),
    frontProxy: issue("front-proxy-client", { commonName: "front-proxy-client" }),
    serviceAccounts: signingKey("service-accounts")
  })
})
