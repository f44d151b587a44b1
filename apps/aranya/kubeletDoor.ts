/** The kubelet API's listener with its certificate and the authorities it trusts, as configured. */
import { Effect, Layer } from "effect"
import { Stream } from "effect"
import { isIP } from "node:net"
import { authorityFile, certificateFiles } from "../../adapters/kubelet/certificateFiles.ts"
import * as KubeletServer from "../../adapters/kubelet/KubeletServer.ts"
import * as NodeKeyMaker from "../../adapters/kubelet/NodeKeyMaker.ts"
import { InvalidConfig } from "../../core/config/decodeConfig.ts"
import { KubeApi } from "../../core/kube/KubeApi.ts"
import { Authenticator } from "../../core/kubelet/Authenticator.ts"
import { Authorizer } from "../../core/kubelet/Authorizer.ts"
import { clusterClientAuthorities } from "../../core/kubelet/certificateSources.ts"
import { clusterSigned, selfSigned } from "../../core/kubelet/clusterSigned.ts"
import { KeyMaker } from "../../core/kubelet/KeyMaker.ts"
import { KubeletApi } from "../../core/kubelet/KubeletApi.ts"
import type { AranyaConfig } from "./AranyaConfig.ts"

const namesOf = (address: string) => isIP(address) === 0 ? { dns: [address], ips: [] } : { dns: [], ips: [address] }

export const kubeletDoor = (config: AranyaConfig, address: string) =>
  Layer.unwrap(Effect.gen(function*() {
    const context = yield* Effect.context<KubeApi | KeyMaker>()
    const { clientCa, listen, port, serving } = config.kubelet
    const options = { nodeName: "aranya", names: namesOf(address) }
    if (serving.mode === "files" && (serving.cert === undefined || serving.key === undefined)) {
      return yield* new InvalidConfig({
        source: "kubelet.serving",
        problems: ["mode files needs cert and key: name both, or choose mode csr or own"]
      })
    }
    const certificates = serving.mode === "files"
      ? certificateFiles({ certificate: serving.cert ?? "", privateKey: serving.key ?? "" })
      : serving.mode === "own"
      ? selfSigned(options)
      : clusterSigned({ ...options, approve: serving.selfApprove })
    return KubeletServer.layer({
      host: listen,
      port,
      certificates: Stream.provideContext(certificates, context),
      clientAuthorities: clientCa === undefined
        ? Stream.provideContext(clusterClientAuthorities, context)
        : authorityFile(clientCa)
    })
  })).pipe(
    Layer.provide(KubeletApi.layer.pipe(Layer.provide(Layer.mergeAll(Authenticator.layer, Authorizer.layer)))),
    Layer.provide(NodeKeyMaker.layer)
  )
