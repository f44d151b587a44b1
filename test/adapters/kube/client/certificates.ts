/** Throw-away certificates for tests with real sockets, made by openssl in a temporary directory. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface Pair {
  readonly cert: string
  readonly key: string
}

export interface Authority extends Pair {
  /** `subject` is openssl's form: `/O=system:nodes/CN=system:node:a`. */
  readonly issue: (subject: string, usage: "serverAuth" | "clientAuth", names?: string, days?: number) => Pair
}

const openssl = (cwd: string, ...args: ReadonlyArray<string>) =>
  execFileSync("openssl", args, { cwd, stdio: ["ignore", "pipe", "pipe"] }).toString()

export const makeAuthority = (name: string): Authority => {
  const cwd = mkdtempSync(join(tmpdir(), "aranya-ca-"))
  const text = (file: string) => readFileSync(join(cwd, file), "utf8")
  openssl(
    cwd,
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
    ...["-subj", `/CN=${name}`, "-keyout", "ca.key", "-out", "ca.crt"]
  )
  let serial = 1
  return {
    cert: text("ca.crt"),
    key: text("ca.key"),
    issue: (subject, usage, names = "IP:127.0.0.1,DNS:localhost", days = 1) => {
      const id = `leaf${serial++}`
      writeFileSync(join(cwd, `${id}.ext`), `extendedKeyUsage=${usage}\nsubjectAltName=${names}\n`)
      openssl(
        cwd,
        ...["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
        ...["-subj", subject, "-keyout", `${id}.key`, "-out", `${id}.csr`]
      )
      openssl(
        cwd,
        ...["x509", "-req", "-in", `${id}.csr`, "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"],
        ...["-days", String(days), "-extfile", `${id}.ext`, "-out", `${id}.crt`]
      )
      return { cert: text(`${id}.crt`), key: text(`${id}.key`) }
    }
  }
}
