/** Cipher suites by the names IANA gives them, as OpenSSL calls them; those of TLS 1.3 have one name. */

/** Forward secrecy and authenticated encryption throughout; nothing weaker is offered. */
const openssl: ReadonlyMap<string, string> = new Map([
  ["TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"],
  ["TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"],
  ["TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"],
  ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"],
  ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"],
  ["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"],
  ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"],
  ["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384"],
  ["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"]
])

export const knownCipherSuites: ReadonlyArray<string> = [...openssl.keys()]

export const unknownCipherSuites = (names: ReadonlyArray<string>): ReadonlyArray<string> =>
  names.filter((name) => !openssl.has(name))

/** A cipher list for node:tls; unknown names are left out. */
export const cipherList = (names: ReadonlyArray<string>): string =>
  names.flatMap((name) => openssl.get(name) ?? []).join(":")
