/** Kept connections to one server that all show the client certificate of the hour. */
import { createSecureContext } from "node:tls"
import { isDeepStrictEqual } from "node:util"
import { buildConnector, Dispatcher, Pool } from "undici"

export interface TlsMaterial {
  readonly ca?: string | Buffer
  readonly cert?: string | Buffer
  readonly key?: string | Buffer
  readonly servername?: string
}

const open = (origin: string, tls: TlsMaterial): Pool => {
  const connector = buildConnector({ ...tls, timeout: 10_000 })
  return new Pool(origin, {
    // One connection per watch is what HTTP/1.1 needs; it is also what every proxy understands.
    allowH2: false,
    keepAliveTimeout: 60_000,
    connect: (target, callback) =>
      connector(target, (...result) => {
        // A half-open watch is found out by the kernel long before the silence limit.
        if (result[0] === null) result[1].setKeepAlive(true, 30_000)
        callback(...result)
      })
  })
}

export class CertifiedConnections extends Dispatcher {
  readonly #origin: string
  #shown: TlsMaterial
  #pool: Pool
  /** They only finish what they carry. */
  readonly #retired = new Set<Pool>()

  constructor(origin: string, tls: TlsMaterial) {
    super()
    this.#origin = origin
    this.#shown = tls
    this.#pool = open(origin, tls)
  }

  /**
   * Other material gets other connections: a connection is for ever whom its handshake named, and steady traffic would keep
   * one alive long after its certificate has expired. Watches go on where they are. Throws on what cannot be used, such as
   * the certificate and the key of two different hours, and goes on as before.
   */
  show(tls: TlsMaterial): void {
    if (isDeepStrictEqual(tls, this.#shown)) return
    createSecureContext({ ca: tls.ca, cert: tls.cert, key: tls.key })
    const old = this.#pool
    this.#pool = open(this.#origin, tls)
    this.#shown = tls
    this.#retired.add(old)
    old.close(() => this.#retired.delete(old))
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    return this.#pool.dispatch(options, handler)
  }

  override async destroy(): Promise<void> {
    await Promise.all([this.#pool, ...this.#retired].map((pool) => pool.destroy()))
  }
}
