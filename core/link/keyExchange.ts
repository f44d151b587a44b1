/** Which key exchanges a side that dials offers to TLS, in OpenSSL's words. */

/**
 * What OpenSSL would offer first, X25519MLKEM768, makes each handshake 2.3 KB longer. It guards what is recorded today against
 * the computers of tomorrow, and nothing else.
 */
export const keyExchangeGroups = (hybrid: boolean): string =>
  hybrid ? "X25519MLKEM768:X25519:P-256:P-384" : "X25519:P-256:P-384"
