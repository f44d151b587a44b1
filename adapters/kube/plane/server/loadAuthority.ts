/** Keeps the embedded cluster's CA and token key in a directory, readable by its owner only. */
import { Effect, Schema } from "effect"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Authority, newAuthority } from "./authority.ts"

export class AuthorityUnreadable extends Schema.TaggedError<AuthorityUnreadable>()("AuthorityUnreadable", {
  directory: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    const why = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `the CA of the embedded control plane in ${this.directory} cannot be read or written: ${why}`
  }
}

const files = { certificate: "ca.crt", key: "ca.key", token: "token.key" }

const isMissing = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "ENOENT"

const read = (directory: string): Authority | undefined => {
  try {
    return {
      ca: {
        certificate: readFileSync(join(directory, files.certificate), "utf8"),
        key: readFileSync(join(directory, files.key), "utf8")
      },
      tokenKey: readFileSync(join(directory, files.token))
    }
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

export const loadAuthority = (directory: string, now: number): Effect.Effect<Authority, AuthorityUnreadable> =>
  Effect.try({
    try: () => {
      const found = read(directory)
      if (found !== undefined) return found
      const made = newAuthority(now)
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      writeFileSync(join(directory, files.key), made.ca.key, { mode: 0o600 })
      writeFileSync(join(directory, files.token), made.tokenKey, { mode: 0o600 })
      // Last, so that a half-written directory counts as empty.
      writeFileSync(join(directory, files.certificate), made.ca.certificate)
      return made
    },
    catch: (cause) => new AuthorityUnreadable({ directory, cause })
  })
