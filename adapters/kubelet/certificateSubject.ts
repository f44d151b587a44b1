/** Whom a client certificate names, if an authority of ours has signed it. */
import type { TLSSocket } from "node:tls"
import type { Credentials } from "../../core/kubelet/Authenticator.ts"

/** Undefined for no certificate, for one that did not verify or has expired by `now`, and for one whose subject has no single common name. */
export const certificateSubject = (socket: TLSSocket, now: number): Credentials["certificate"] => {
  // `authorized` says that the chain was verified, for the purpose of a client, against the CA of this listener.
  if (socket.authorized !== true) return undefined
  const shown = socket.getPeerCertificate()
  // It was good when the connection began, which may be long ago.
  if (!(Date.parse(shown.valid_to) > now)) return undefined
  const subject: { readonly CN?: unknown; readonly O?: unknown } | undefined = shown.subject
  const commonName = subject?.CN
  if (typeof commonName !== "string" || commonName === "") return undefined
  const organizations = Array.isArray(subject?.O) ? subject.O : [subject?.O]
  return { commonName, organizations: organizations.filter((name): name is string => typeof name === "string") }
}
