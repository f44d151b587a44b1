/** What grpc-js says of a connection that did not come about, brought to what went wrong and what to do. */

/**
 * How OpenSSL and Node name a certificate that one side or the other does not accept. Under TLS 1.3 an operator turns down a
 * client's certificate only after the client's handshake is over; where the connection breaks before the alert is read,
 * nothing tells it from any other refusal.
 */
const certificate = /certificate|altname|unable to (get|verify)|CERT_|ssl alert|tlsv1 alert/i

export const isAboutCertificates = (detail: string): boolean => certificate.test(detail)

/** Mends itself: a device without a battery for its clock sees it after each boot, until it has the time. */
export const isNotYetValid = (detail: string): boolean => /not.yet.valid/iu.test(detail)

const endedAtOnce =
  "the connection was ended at once: check that this is the operator's gRPC door, that tls.enabled fits it, "
  + "and tls.cert and tls.key where it wants a client certificate"

/** grpc-js wraps the error that counts, and Node adds advice for users of Node. */
export const cause = (detail: string): string =>
  detail
    .replace(/^No connection established\. Last error: (?:Error(?: \[\w+\])?: )?/u, "")
    .replace(/\.?\s*Resolution note:\s*$/u, "")
    .replace(/; if the root CA is installed locally, try running Node\.js with --use-system-ca/u, "")
    // With the time, and no more: somebody accepted the connection and ended it.
    .replace(/^Failed to connect \([^)]*\)$/u, endedAtOnce)

/** Of `error:05800074:x509 certificate routines::key values mismatch` what a person can read. */
export const saidByOpenssl = (thrown: unknown): string =>
  (thrown instanceof Error ? thrown.message : String(thrown)).replace(/^error:.*::/u, "")

/** What a person does about a certificate that is not accepted; the keys are those of arhat's and aranya's configuration. */
export const remedyFor = (detail: string): string => {
  if (/altname|hostname/iu.test(detail)) {
    return "dial a name that is in the operator's certificate, or set tls.serverName to one"
  }
  if (/expired|not yet valid/iu.test(detail)) {
    return "renew the operator's certificate, or set this device's clock"
  }
  if (/alert|peer did not return/iu.test(detail)) {
    return "the operator wants a certificate of its connectivity.grpc.clientCa from this device: set tls.cert and tls.key"
  }
  return "the operator's certificate is not of an authority in tls.caCert: put ca.crt of the operator's Secret "
    + "aranya-grpc-tls there, or the CA that signed connectivity.grpc.cert"
}
