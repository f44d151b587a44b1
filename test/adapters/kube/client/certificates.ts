/** Throw-away certificates for tests with real sockets, made by openssl in a temporary directory. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
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

/** Work in a folder that is gone afterwards. */
const within = <A>(work: (cwd: string, text: (file: string) => string) => A): A => {
  const cwd = mkdtempSync(join(tmpdir(), "aranya-ca-"))
  try {
    return work(cwd, (file) => readFileSync(join(cwd, file), "utf8"))
  } finally {
    rmSync(cwd, { recursive: true, force: true })
  }
}

const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]

export const makeAuthority = (name: string): Authority => {
  const own = within((cwd, text) => {
    openssl(
      cwd,
      ...["req", "-x509", ...newKey, "-days", "2", "-subj", `/CN=${name}`, "-keyout", "ca.key", "-out", "ca.crt"]
    )
    return { cert: text("ca.crt"), key: text("ca.key") }
  })
  return {
    ...own,
    issue: (subject, usage, names = "IP:127.0.0.1,DNS:localhost", days = 1) =>
      within((cwd, text) => {
        writeFileSync(join(cwd, "ca.crt"), own.cert)
        writeFileSync(join(cwd, "ca.key"), own.key, { mode: 0o600 })
        writeFileSync(join(cwd, "leaf.ext"), `extendedKeyUsage=${usage}\nsubjectAltName=${names}\n`)
        openssl(cwd, ...["req", "-new", ...newKey, "-subj", subject, "-keyout", "leaf.key", "-out", "leaf.csr"])
        openssl(
          cwd,
          ...["x509", "-req", "-in", "leaf.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"],
          ...["-days", String(days), "-extfile", "leaf.ext", "-out", "leaf.crt"]
        )
        return { cert: text("leaf.crt"), key: text("leaf.key") }
      })
  }
}
