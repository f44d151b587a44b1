/** The kubelet API's listeners with their certificates and the authorities they trust, as configured. */
import { Duration, Effect, Layer, Stream } from "effect"
import { isIP } from "node:net"
import { authorityFile, certificateFiles } from "../../adapters/kubelet/certificateFiles.ts"
import * as KubeletServer from "../../adapters/kubelet/KubeletServer.ts"
import * as NodeKeyMaker from "../../adapters/kubelet/NodeKeyMaker.ts"
import { InvalidConfig } from "../../core/config/decodeConfig.ts"
import { KubeApi } from "../../core/kube/KubeApi.ts"
import { Authenticator } from "../../core/kubelet/Authenticator.ts"
import { Authorizer } from "../../core/kubelet/Authorizer.ts"
import { clusterClientAuthorities, secretCertificate } from "../../core/kubelet/certificateSources.ts"
import { clusterSigned, selfSigned } from "../../core/kubelet/clusterSigned.ts"
import { KeyMaker } from "../../core/kubelet/KeyMaker.ts"
import { KubeletApi } from "../../core/kubelet/KubeletApi.ts"
import type { ServingCertificate } from "../../core/kubelet/ServingCertificate.ts"
import { type DoorSubject, NodeDoors } from "../../core/operator/NodeDoors.ts"
import type { AranyaConfig } from "./AranyaConfig.ts"

const namesOf = (address: string) => isIP(address) === 0 ? { dns: [address], ips: [] } : { dns: [], ips: [address] }

/** The signer `kubernetes.io/kubelet-serving` grants this organization and no other. */
const grantable = "system:nodes"

/** What a subject asks for and the configured source of certificates cannot give; empty when it can give it all. */
const ungranted = (mode: AranyaConfig["kubelet"]["serving"]["mode"], subject: DoorSubject): string => {
  if ((mode === "files" || mode === "secret") && Object.keys(subject).length > 0) {
    return `the certificate of kubelet.serving.${mode === "files" ? "cert" : "tlsSecretRef"} is used as it is`
  }
  if (mode === "csr" && subject.organizations?.some((each) => each !== grantable)) {
    return `the cluster's signer grants organization ${grantable} alone: org is left out`
  }
  return ""
}

/** Whether the certificate comes when a person has approved it, which may take a weekend. */
export const waitsForApproval = ({ kubelet: { serving } }: AranyaConfig): boolean =>
  serving.mode === "csr" && !serving.selfApprove

/** One listener for all Nodes, and one more for each Node that wishes its own. */
export const kubeletDoor = (config: AranyaConfig, { address, namespace }: {
  readonly address: string
  /** That of the operator's own objects. */
  readonly namespace: string
}) =>
  Layer.effectDiscard(Effect.gen(function*() {
    const context = yield* Effect.context<KubeApi | KeyMaker>()
    const doors = yield* NodeDoors
    const { clientCa, listen, port, serving } = config.kubelet
    if (serving.mode === "files" && (serving.cert === undefined || serving.key === undefined)) {
      return yield* new InvalidConfig({
        source: "kubelet.serving",
        problems: ["mode files needs cert and key: name both, or choose mode csr or own"]
      })
    }
    // Read once, however many listeners show it.
    const inSecret = yield* Stream.share(
      Stream.provideContext(
        secretCertificate({
          namespace: serving.tlsSecretRef.namespace === "" ? namespace : serving.tlsSecretRef.namespace,
          name: serving.tlsSecretRef.name,
          field: "kubelet.serving.tlsSecretRef"
        }),
        context
      ),
      { capacity: 1, strategy: "sliding", replay: 1 }
    )
    const certificates = (nodeName: string, subject: DoorSubject = {}): Stream.Stream<ServingCertificate> => {
      const granted = serving.mode === "csr" && subject.organizations !== undefined
        ? { ...subject, organizations: [grantable] } :
        subject
      const options = { nodeName, names: namesOf(address), subject: granted }
      switch (serving.mode) {
        case "files":
          return certificateFiles({ certificate: serving.cert ?? "", privateKey: serving.key ?? "" })
        case "secret":
          return inSecret
        case "own":
          return Stream.provideContext(selfSigned(options), context)
        case "csr":
          return Stream.provideContext(clusterSigned({ ...options, approve: serving.selfApprove }), context)
      }
    }
    // Read once, however many listeners trust them.
    const clientAuthorities = yield* Stream.share(
      clientCa === undefined ? Stream.provideContext(clusterClientAuthorities, context) : authorityFile(clientCa),
      { capacity: 1, strategy: "sliding", replay: 1 }
    )
    const limits = yield* KubeletServer.KubeletServerLimits
    const serve = (options: Omit<KubeletServer.KubeletServerOptions, "host" | "clientAuthorities">) =>
      KubeletServer.make({ host: listen, clientAuthorities, ...options }).pipe(
        // To give up would take the request back from under the hands of whoever approves it.
        Effect.provideService(
          KubeletServer.KubeletServerLimits,
          waitsForApproval(config) ? { ...limits, start: Duration.infinity } : limits
        )
      )
    yield* serve({ port, certificates: certificates("aranya") })
    yield* doors.run((node, subject) =>
      serve({ port: 0, node, certificates: certificates(node, subject) }).pipe(
        Effect.tap((own) => {
          const why = ungranted(serving.mode, subject)
          return Effect.andThen(
            Effect.logInfo(`the kubelet API of Node ${node} is served at ${listen}:${own.port}`),
            Effect.when(Effect.logWarning(`spec.node.cert of EdgeDevice ${node}: ${why}`), Effect.succeed(why !== ""))
          )
        }),
        Effect.map((own) => own.port)
      )
    ).pipe(Effect.forkScoped)
  })).pipe(
    Layer.provide(KubeletApi.layer.pipe(Layer.provide(Layer.mergeAll(Authenticator.layer, Authorizer.layer)))),
    Layer.provide(NodeKeyMaker.layer)
  )
