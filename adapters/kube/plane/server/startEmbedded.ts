/** Starts an embedded control plane with its door, controllers and certificates: what the demo and the end-to-end tests use. */
import { Clock, Context, type Duration, Effect, Layer, type Scope } from "effect"
import { isIP } from "node:net"
import { stringify } from "yaml"
import type { KeyPair } from "../../../x509/certificate.ts"
import { issueToken } from "../authority/serviceAccountTokens.ts"
import { TokenSigner } from "../authority/TokenSigner.ts"
import { ControllerSwitches } from "../controller/controller.ts"
import { layerCertificateSigning, layerControllers } from "../controller/controllers.ts"
import { ControlPlane } from "../ControlPlane.ts"
import { type ApiFailure, notFound } from "../object/ApiFailure.ts"
import { KubeletConnection } from "../request/ApiRequest.ts"
import {
  type Authority,
  clientCertificate,
  layerCertificateSigner,
  layerTokenSigner,
  newAuthority,
  servingCertificate
} from "./authority.ts"
import { layerKubelets } from "./kubelets.ts"
import { type CannotListen, listen } from "./listen.ts"
import { type AuthorityUnreadable, loadAuthority } from "./loadAuthority.ts"

export interface EmbeddedOptions {
  /** 0 takes a free one. */
  readonly port?: number
  /** Address to listen on; also a subject alternative name of the serving certificate. */
  readonly host?: string
  /** Keeps the CA and the token key across restarts, so that kubeconfigs stay valid. Objects are not kept. */
  readonly dataDir?: string
  /** Which controllers run, by name; all unless told otherwise. */
  readonly controllers?: (name: string) => boolean
  /** Changes per resource that stay replayable for watches. */
  readonly historyWindow?: number
  /** Scrapes all nodes this often, as metrics-server does; absent: a node is scraped when somebody asks for its metrics. */
  readonly metricResolution?: Duration.Input
  /** CAs that kubelet certificates must come from: "cluster" for this cluster's own, a PEM, or undefined for no check. */
  readonly kubeletCa?: "cluster" | string
}

/** Structure of a kubeconfig file. */
export interface Kubeconfig {
  readonly apiVersion: "v1"
  readonly kind: "Config"
  readonly "current-context": string
  readonly clusters: ReadonlyArray<{ readonly name: string; readonly cluster: Readonly<Record<string, string>> }>
  readonly contexts: ReadonlyArray<{ readonly name: string; readonly context: Readonly<Record<string, string>> }>
  readonly users: ReadonlyArray<{ readonly name: string; readonly user: Readonly<Record<string, string>> }>
}

export interface Embedded {
  readonly url: string
  readonly port: number
  readonly caPem: string
  /** The CA of the client certificate this API server shows to kubelets. */
  readonly kubeletClientCaPem: string
  readonly admin: KeyPair
  readonly adminKubeconfig: Kubeconfig
  readonly adminKubeconfigYaml: string
  /** A kubeconfig for a client certificate of the given name and groups. */
  readonly kubeconfigFor: (user: string, groups?: ReadonlyArray<string>) => Effect.Effect<Kubeconfig>
  readonly serviceAccountToken: (namespace: string, name: string, seconds?: number) => Effect.Effect<string, ApiFailure>
  readonly plane: ControlPlane["Service"]
}

const base64 = (text: string) => Buffer.from(text).toString("base64")

const kubeconfig = (url: string, ca: string, name: string, user: KeyPair): Kubeconfig => ({
  apiVersion: "v1",
  kind: "Config",
  "current-context": "embedded",
  clusters: [{ name: "embedded", cluster: { server: url, "certificate-authority-data": base64(ca) } }],
  contexts: [{ name: "embedded", context: { cluster: "embedded", user: name } }],
  users: [{ name, user: { "client-certificate-data": base64(user.certificate), "client-key-data": base64(user.key) } }]
})

export const startEmbedded = Effect.fn("startEmbedded")(function*(
  options: EmbeddedOptions = {}
): Effect.fn.Return<Embedded, CannotListen | AuthorityUnreadable, Scope.Scope> {
  const host = options.host ?? "127.0.0.1"
  const now = yield* Clock.currentTimeMillis
  const authority: Authority = options.dataDir === undefined
    ? newAuthority(now)
    : yield* loadAuthority(options.dataDir, now)
  const ca = authority.ca.certificate
  const trust = {
    client: clientCertificate(authority, now, "kube-apiserver-kubelet-client", ["system:masters"]),
    ca: options.kubeletCa === "cluster" ? ca : options.kubeletCa
  }
  const services = yield* Layer.build(
    Layer.mergeAll(layerControllers(ca), layerCertificateSigning).pipe(
      Layer.provideMerge(ControlPlane.layer({
        rootCa: ca,
        clientCa: ca,
        ...(options.historyWindow === undefined ? {} : { historyWindow: options.historyWindow })
      })),
      Layer.provideMerge(
        Layer.mergeAll(layerTokenSigner(authority), layerCertificateSigner(authority), layerKubelets(trust))
      ),
      Layer.provide(Layer.succeed(ControllerSwitches, options.controllers ?? (() => true)))
    )
  )
  const own = Context.get(services, ControlPlane)
  const kubelets = Context.get(services, KubeletConnection)
  const plane = ControlPlane.of({
    ...own,
    handle: (request) => Effect.provideService(own.handle(request), KubeletConnection, kubelets)
  })
  if (options.metricResolution !== undefined) {
    yield* own.scrapeMetrics(options.metricResolution).pipe(
      Effect.provideService(KubeletConnection, kubelets),
      Effect.forkScoped
    )
  }
  const ips = isIP(host) === 0 || host === "0.0.0.0" || host === "::" ? [] : [host]
  const serving = servingCertificate(authority, now, ips)
  const port = yield* listen({ plane, host, port: options.port ?? 0, serving, clientCa: ca, trust })
  const shown = host === "0.0.0.0" ? "127.0.0.1" : host
  const address = `${shown.includes(":") ? `[${shown}]` : shown}:${port}`
  plane.setAddress(address)
  const url = `https://${address}`
  const admin = clientCertificate(authority, now, "kubernetes-admin", ["system:masters"])
  const adminKubeconfig = kubeconfig(url, ca, "kubernetes-admin", admin)
  const signer = Context.get(services, TokenSigner)
  return {
    url,
    port,
    caPem: ca,
    kubeletClientCaPem: ca,
    admin,
    adminKubeconfig,
    adminKubeconfigYaml: stringify(adminKubeconfig),
    kubeconfigFor: (user, groups) =>
      Effect.map(
        Clock.currentTimeMillis,
        (at) => kubeconfig(url, ca, user, clientCertificate(authority, at, user, groups))
      ),
    serviceAccountToken: Effect.fnUntraced(function*(namespace: string, name: string, seconds = 3600) {
      const account = plane.world.store.get("serviceaccounts", namespace, name)
      if (account === undefined) {
        return yield* notFound({ group: "", plural: "serviceaccounts", kind: "ServiceAccount" }, name)
      }
      const answer = yield* Effect.provideService(
        issueToken(plane.world.store, account.object, { spec: { expirationSeconds: seconds } }),
        TokenSigner,
        signer
      )
      return answer.status.token
    }),
    plane
  }
})
