/** Throw-away certificates for tests, made by openssl. */
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

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
