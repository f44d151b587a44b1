/**
 * The TLS side of the gRPC door: which certificate is shown, and whose client certificates are asked for, by the server name
 * that a device asks for.
 */
import { Effect } from "effect"
import { constants, X509Certificate } from "node:crypto"
import { isIP } from "node:net"
import { createSecureContext, createServer, type SecureContext, type Server, type TLSSocket } from "node:tls"
import { hasShownCertificate, refuseClient } from "./refuseClient.ts"

/** PEM. */
export interface ServerIdentity {
  readonly key: string | Uint8Array
  readonly cert: string | Uint8Array
  /** Authorities of client certificates: with them a client must show one. */
  readonly clientCa?: string | Uint8Array | undefined
}

/** An identity for devices that ask for one of these names. */
export interface NamedIdentity extends ServerIdentity {
  /** Empty: the names in the certificate. */
  readonly serverNames: ReadonlyArray<string>
  /** Called once with the reason where it cannot be used. */
  readonly refused: (why: string) => Effect.Effect<void>
}

export interface TlsDoor {
  readonly server: Server
  /** The certificate for everybody else, for connections from now on. An unusable one is logged and the present one stays. */
  readonly renew: (identity: ServerIdentity) => Effect.Effect<void>
  /**
   * All named identities there are, for connections from now on. A name that one before them or the door itself speaks for, be it
   * by a wildcard, is not theirs.
   */
  readonly name: (identities: ReadonlyArray<NamedIdentity>) => Effect.Effect<void>
}

interface Usable {
  readonly context: SecureContext
  readonly asksClients: boolean
  readonly names: ReadonlySet<string>
}

/** A device that is slow has this long to finish its handshake. */
const handshakeMillis = 30_000

/** Node takes a resumed session for an authorized one, whoever began it without a certificate: there are no tickets to resume by. */
const settings = {
  minVersion: "TLSv1.2",
  sessionIdContext: "aranya",
  secureOptions: constants.SSL_OP_NO_TICKET
} as const

const buffer = (pem: string | Uint8Array) => typeof pem === "string" ? pem : Buffer.from(pem)

const namesIn = (certificate: X509Certificate): ReadonlyArray<string> =>
  (certificate.subjectAltName ?? "").split(", ").flatMap((entry) =>
    entry.startsWith("DNS:") ? [entry.slice(4).toLowerCase()] : []
  )

/** Throws what OpenSSL says of a key or certificate that it cannot use. */
const usable = ({ cert, clientCa, key }: ServerIdentity): Usable => ({
  context: createSecureContext({
    key: buffer(key),
    cert: buffer(cert),
    ...settings,
    ...(clientCa === undefined ? {} : { ca: buffer(clientCa) })
  }),
  asksClients: clientCa !== undefined,
  names: new Set(namesIn(new X509Certificate(buffer(cert))))
})

const tried = (identity: ServerIdentity) =>
  Effect.try({ try: () => usable(identity), catch: (cause) => cause instanceof Error ? cause.message : "unknown" })

/** `*.example.com` speaks for one label in front of it. */
const wildcardFor = (name: string) => name.replace(/^[^.]+\./u, "*.")

const covers = (names: Pick<ReadonlySet<string>, "has">, name: string): boolean =>
  names.has(name) || names.has(wildcardFor(name))

/** Throws what OpenSSL says of a key or certificate that it cannot use. `accept` gets sockets whose client may speak. */
export const makeTlsDoor = (first: ServerIdentity, accept: (socket: TLSSocket) => void): TlsDoor => {
  let own = usable(first)
  let named: ReadonlyMap<string, Usable> = new Map()
  let claims: ReadonlyArray<NamedIdentity> = []

  // Some clients ask for an address by name too: it is everybody's.
  const isOwn = (name: string) => isIP(name) !== 0 || covers(own.names, name)
  const shown = (serverName: string) => {
    const name = serverName.toLowerCase()
    return isOwn(name) ? own : named.get(name) ?? named.get(wildcardFor(name)) ?? own
  }
  const server = createServer({
    ALPNProtocols: ["h2"],
    handshakeTimeout: handshakeMillis,
    ...settings,
    // Whether a client must show a certificate is decided by the name it asked for, after the handshake.
    requestCert: true,
    rejectUnauthorized: false,
    SNICallback: (name, use) => use(null, shown(name).context)
  }, (socket) => {
    // A socket may break at any time; whoever reads from it learns that by itself.
    socket.on("error", () => {})
    const name = (socket as { readonly servername?: string | false }).servername
    const { asksClients } = typeof name === "string" ? shown(name) : own
    if (asksClients && !(socket.authorized && hasShownCertificate(socket))) return refuseClient(socket)
    accept(socket)
  })
  const useOwn = (identity: ServerIdentity) =>
    server.setSecureContext({
      key: buffer(identity.key),
      cert: buffer(identity.cert),
      ...settings,
      ...(identity.clientCa === undefined ? {} : { ca: buffer(identity.clientCa) })
    })
  useOwn(first)

  /** Who speaks for which name: looked at anew, too, when the door's own certificate has other names. */
  const weigh = Effect.gen(function*() {
    const byName = new Map<string, Usable>()
    const weighed = claims
    for (const identity of weighed) {
      const found = yield* Effect.result(tried(identity))
      if (found._tag === "Failure") {
        yield* identity.refused(`its certificate or key cannot be used: ${found.failure}`)
        continue
      }
      const names = identity.serverNames.length > 0
        ? identity.serverNames.map((name) => name.toLowerCase())
        : [...found.success.names]
      if (names.length === 0) {
        yield* identity.refused("its certificate names no DNS name, and key serverName is not there")
      }
      const taken = names.filter((name) => isOwn(name) || covers(byName, name))
      if (taken.length > 0) yield* identity.refused(`${taken.join(", ")} is the name of another certificate already`)
      for (const name of names) if (!taken.includes(name)) byName.set(name, found.success)
    }
    // Whoever came meanwhile weighs those that there are now.
    if (claims === weighed) named = byName
  })

  return {
    server,
    renew: (identity) =>
      tried(identity).pipe(
        Effect.flatMap((renewed) =>
          Effect.sync(() => {
            own = renewed
            useOwn(identity)
          })
        ),
        Effect.andThen(weigh),
        Effect.catch((detail) => Effect.logError(`the new certificate of the gRPC listener is unusable: ${detail}`))
      ),
    name: (identities) => {
      claims = identities
      return weigh
    }
  }
}
