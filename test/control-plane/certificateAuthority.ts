/** A certificate authority in a folder, made with the openssl program: what the parts of a control plane know each other by. */
import { Effect } from "effect"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { type ProgramFailed, runProgramOk } from "../e2e/program.ts"

/** Paths of PEM files. */
export interface KeyPair {
  readonly certificate: string
  readonly key: string
}

export interface Subject {
  readonly commonName: string
  /** Kubernetes reads them as groups. */
  readonly organizations?: ReadonlyArray<string>
  /** Subject alternative names as openssl writes them, e.g. `DNS:localhost`, `IP:127.0.0.1`; they make it a serving certificate too. */
  readonly names?: ReadonlyArray<string>
}

export interface CertificateAuthority {
  readonly pair: KeyPair
  /** Makes a key and a certificate for it under `<file>.crt` and `<file>.key` of the folder. */
  readonly issue: (file: string, subject: Subject) => Effect.Effect<KeyPair, ProgramFailed>
  /** Makes a key pair without a certificate, as service accounts' tokens are signed with. */
  readonly signingKey: (
    file: string
  ) => Effect.Effect<{ readonly public: string; readonly private: string }, ProgramFailed>
}

const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

export const makeCertificateAuthority = Effect.fnUntraced(function*(folder: string, commonName: string) {
  const at = (name: string) => join(folder, name)
  const pairOf = (file: string): KeyPair => ({ certificate: at(`${file}.crt`), key: at(`${file}.key`) })
  const openssl = (...args: ReadonlyArray<string>) => runProgramOk("openssl", args)
  // The machine's openssl.cnf would add extensions of its own.
  const configuration = at("openssl.cnf")
  yield* Effect.promise(() => writeFile(configuration, "[req]\ndistinguished_name = dn\n[dn]\n"))

  const certify = (
    file: string,
    subject: Subject,
    extensions: ReadonlyArray<string>,
    signer: ReadonlyArray<string>
  ) => {
    const pair = pairOf(file)
    return Effect.as(
      openssl(
        ...["req", "-x509", "-config", configuration, "-days", "2", ...newKey],
        ...["-keyout", pair.key, "-out", pair.certificate, "-subj", subjectText(subject)],
        ...extensions.flatMap((extension) => ["-addext", extension]),
        ...signer
      ),
      pair
    )
  }

  const pair = yield* certify("ca", { commonName }, [
    "basicConstraints=critical,CA:TRUE",
    "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"
  ], [])

  const issue: CertificateAuthority["issue"] = (file, subject) =>
    certify(file, subject, [
      "basicConstraints=critical,CA:FALSE",
      "keyUsage=critical,digitalSignature",
      `extendedKeyUsage=clientAuth${subject.names === undefined ? "" : ",serverAuth"}`,
      ...(subject.names === undefined ? [] : [`subjectAltName=${subject.names.join(",")}`])
    ], ["-CA", pair.certificate, "-CAkey", pair.key])

  const signingKey: CertificateAuthority["signingKey"] = (file) =>
    Effect.gen(function*() {
      const paths = { public: at(`${file}.pub`), private: at(`${file}.key`) }
      yield* openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", paths.private)
      yield* openssl("pkey", "-in", paths.private, "-pubout", "-out", paths.public)
      return paths
    })

  return { pair, issue, signingKey } satisfies CertificateAuthority
})

const subjectText = ({ commonName, organizations = [] }: Subject) =>
  [...organizations.map((name) => `/O=${escaped(name)}`), `/CN=${escaped(commonName)}`].join("")

const escaped = (text: string) => text.replaceAll(/[\\/+]/g, (character) => `\\${character}`)
