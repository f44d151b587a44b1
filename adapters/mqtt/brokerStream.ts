/** The bytes below MQTT: a socket or websocket to the broker, plain or encrypted, whose packets are limited in length. */
import { connect as connectTcp, isIP } from "node:net"
import { Duplex, type Writable } from "node:stream"
import { checkServerIdentity, connect as connectTls, type ConnectionOptions } from "node:tls"
import { createWebSocketStream, WebSocket } from "ws"
import { cipherList } from "../../core/link/cipherSuites.ts"
import { keyExchangeGroups } from "../../core/link/keyExchange.ts"
import { type BrokerOptions, type BrokerTls, maxPayloadOf } from "./MqttBroker.ts"
import { makePacketLimit } from "./packetLimit.ts"

/** Topic, packet id and properties beside a payload. */
const aroundPayload = 8 * 1024

/** The most bytes that may follow a packet's fixed header. */
export const packetLimit = (options: BrokerOptions): number => maxPayloadOf(options) + aroundPayload

/** AWS IoT Core takes MQTT on port 443 from clients that ask for this protocol and show a certificate; 8883 needs no such asking. */
const awsProtocol = "x-amzn-mqtt-ca"
const awsPlainPort = 8883

const pem = (text: string | Uint8Array) => typeof text === "string" ? text : Buffer.from(text)

const tlsOptions = ({ host, port, tls = {}, variant }: BrokerOptions): ConnectionOptions => {
  const { ca, cipherSuites, hybridKeyExchange = false, identity, minVersion = "1.2", serverName }: BrokerTls = tls
  const name = serverName ?? host
  return {
    minVersion: `TLSv${minVersion}`,
    ecdhCurve: keyExchangeGroups(hybridKeyExchange),
    rejectUnauthorized: true,
    checkServerIdentity: (_, certificate) => checkServerIdentity(name, certificate),
    ...(isIP(name) > 0 ? {} : { servername: name }),
    ...(ca === undefined ? {} : { ca: pem(ca) }),
    ...(identity === undefined ? {} : { key: pem(identity.key), cert: pem(identity.cert) }),
    ...(cipherSuites === undefined ? {} : { ciphers: cipherList(cipherSuites) }),
    ...(variant === "aws-iot-core" && port !== awsPlainPort ? { ALPNProtocols: [awsProtocol] } : {})
  }
}

const bracketed = (host: string) => host.includes(":") ? `[${host}]` : host

const websocket = (options: BrokerOptions, scheme: "ws" | "wss"): Duplex => {
  const path = options.path ?? "/mqtt"
  const url = `${scheme}://${bracketed(options.host)}:${options.port}${path.startsWith("/") ? path : `/${path}`}`
  const socket = new WebSocket(url, ["mqtt"], {
    perMessageDeflate: false,
    followRedirects: false,
    // One message may hold several packets, and part of one.
    maxPayload: 2 * packetLimit(options),
    ...(scheme === "wss" ? tlsOptions(options) : {})
  })
  return createWebSocketStream(socket)
}

const raw = (options: BrokerOptions): Duplex => {
  const { host, port, transport } = options
  switch (transport) {
    case "tcp":
      return connectTcp({ host, port, noDelay: true })
    case "tls":
      return connectTls({ host, port, ...tlsOptions(options) }).setNoDelay(true)
    case "websocket":
      return websocket(options, "ws")
    case "secure websocket":
      return websocket(options, "wss")
  }
}

/** Throws where the TLS settings cannot be used. What it gives is to be destroyed by who made it. */
export const openBrokerStream = (options: BrokerOptions): Duplex => {
  const below = raw(options)
  const limit = makePacketLimit(packetLimit(options), options.version)
  const above: Duplex = new Duplex({
    read: () => {
      below.resume()
    },
    // A packet is written in pieces: together they are one segment, and one record of TLS.
    writev: (pieces, done) => {
      below.write(Buffer.concat(pieces.map(({ chunk }) => chunk as Buffer)), done)
    },
    write: (piece: Buffer, _, done) => {
      below.write(piece, done)
    },
    final: (done) => {
      below.end(() => done())
    },
    destroy: (error, done) => {
      below.destroy()
      done(error)
    }
  })
  // Whoever reads may throw at what it reads, and does so anywhere: what comes while it is busy waits, and is read when that is done.
  const pipe = above.pipe.bind(above)
  above.pipe = (to, options) => {
    const reader = to as unknown as Writable
    const write = reader._write.bind(reader)
    reader._write = (piece, encoding, done) => {
      try {
        write(piece, encoding, done)
      } catch (error) {
        above.destroy(error as Error)
      }
    }
    return pipe(to, options)
  }
  below.on("data", (chunk: Buffer) => {
    try {
      let room = true
      for (const piece of limit.pass(chunk)) room = above.push(piece)
      if (!room) below.pause()
    } catch (error) {
      above.destroy(error as Error)
    }
  })
  // What came before the end is read first: it may say why.
  let ended = false
  const end = () => {
    if (!ended) above.push(null)
    ended = true
  }
  below.on("end", end)
  below.on("error", (error) => above.destroy(error))
  below.on("close", () => {
    end()
    above.end()
  })
  return above
}
