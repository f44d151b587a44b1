/** Throw-away certificates for tests, made by openssl; those that are not valid at this time by ourselves, which openssl 3.0 cannot. */
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createAuthority, createLeaf } from "../../../adapters/x509/certificate.ts"

export interface Issued {
  readonly key: Uint8Array
  readonly cert: Uint8Array
}

export interface Authority extends Issued {
  readonly issue: (name: string) => Issued
}

const openssl = (directory: string, ...args: ReadonlyArray<string>) => {
  const { status, stderr } = spawnSync("openssl", args, { cwd: directory, encoding: "utf8" })
  if (status !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`)
}

const within = <A>(work: (directory: string) => A): A => {
  const directory = mkdtempSync(join(tmpdir(), "aranya-certificates-"))
  try {
    return work(directory)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

export const makeAuthority = (name: string): Authority => {
  const ca = within((directory) => {
    openssl(directory, "req", "-x509", ...key, "-keyout", "key", "-out", "cert", "-subj", `/CN=${name}`, "-days", "2")
    return { key: readFileSync(join(directory, "key")), cert: readFileSync(join(directory, "cert")) }
  })
  return {
    ...ca,
    issue: (subject) =>
      within((directory) => {
        writeFileSync(join(directory, "ca-key"), ca.key)
        writeFileSync(join(directory, "ca-cert"), ca.cert)
        writeFileSync(join(directory, "extensions"), `subjectAltName=DNS:${subject},IP:127.0.0.1`)
        openssl(directory, "req", ...key, "-keyout", "key", "-out", "request", "-subj", `/CN=${subject}`)
        openssl(
          directory,
          ..."x509 -req -in request -CA ca-cert -CAkey ca-key -CAcreateserial -out cert -days 1 -extfile extensions"
            .split(" ")
        )
        return { key: readFileSync(join(directory, "key")), cert: readFileSync(join(directory, "cert")) }
      })
  }
}

const day = 24 * 3_600_000

/** A server's certificate that is valid from tomorrow on, of an authority that is valid already. */
export const notYetValid = (name: string): Issued & { readonly authority: Uint8Array } => {
  const now = Date.now()
  const days = (from: number) => [new Date(now + from * day), new Date(now + (from + 2) * day)] as const
  const authority = createAuthority("of tomorrow", ...days(-1))
  const [notBefore, notAfter] = days(1)
  const leaf = createLeaf(authority, {
    subject: { commonName: name },
    names: { dns: [name] },
    purposes: ["server auth"],
    notBefore,
    notAfter
  })
  return {
    key: Buffer.from(leaf.key),
    cert: Buffer.from(leaf.certificate),
    authority: Buffer.from(authority.certificate)
  }
}
