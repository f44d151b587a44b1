import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Stream } from "effect"
import { TestClock } from "effect/testing"
import { execFileSync } from "node:child_process"
import { X509Certificate } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createSecureContext } from "node:tls"
import { certificateFiles } from "../../../adapters/kubelet/certificateFiles.ts"
import * as NodeKeyMaker from "../../../adapters/kubelet/NodeKeyMaker.ts"
import { KeyMaker } from "../../../core/kubelet/KeyMaker.ts"

const subject = { commonName: "system:node:edge-1", organizations: ["system:nodes"] }
const names = { dns: ["aranya.svc"], ips: ["10.0.0.1", "fd00::1"] }
const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "aranya-pem-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

describe("NodeKeyMaker", () => {
  it.live("makes a request that openssl verifies, with subject and names", () =>
    Effect.gen(function*() {
      const keys = yield* KeyMaker
      const { privateKey, request } = yield* keys.request(subject, names)
      const path = join(yield* temporary, "csr.pem")
      writeFileSync(path, request)
      const shown = execFileSync("openssl", ["req", "-verify", "-noout", "-text", "-in", path], { stdio: "pipe" })
        .toString()
      assert.match(shown, /O ?= ?system:nodes, CN ?= ?system:node:edge-1/)
      assert.match(shown, /DNS:aranya\.svc, IP Address:10\.0\.0\.1, IP Address:FD00:0:0:0:0:0:0:1/)
      assert.include(privateKey, "PRIVATE KEY")
      assert.notInclude(shown, "PRIVATE KEY")
    }).pipe(Effect.provide(NodeKeyMaker.layer)))

  it.live("makes a certificate of its own authority that TLS takes, and tells its dates", () =>
    Effect.gen(function*() {
      const keys = yield* KeyMaker
      const made = yield* keys.selfSigned(subject, names, Duration.days(30))
      createSecureContext({ cert: made.certificate, key: made.privateKey })
      const leaf = new X509Certificate(made.certificate)
      assert.strictEqual(leaf.checkIP("10.0.0.1"), "10.0.0.1")
      assert.strictEqual(leaf.ca, false)
      const authority = new X509Certificate(made.certificate.slice(made.certificate.lastIndexOf("-----BEGIN")))
      assert.isTrue(authority.ca && leaf.verify(authority.publicKey))
      const { notAfter, notBefore } = yield* keys.validity(made.certificate)
      assert.closeTo((notAfter - notBefore) / 86_400_000, 30, 0.01)
      const another = yield* keys.selfSigned(subject, names, Duration.days(30))
      assert.notStrictEqual(another.privateKey, made.privateKey)
      assert.include((yield* Effect.flip(keys.validity("nonsense"))).message, "cannot be read")
    }).pipe(Effect.provide(NodeKeyMaker.layer)))
})

describe("certificateFiles", () => {
  it.effect("shows what is there, then each change, and waits for what is not", () =>
    Effect.gen(function*() {
      const folder = yield* temporary
      const paths = { certificate: join(folder, "tls.crt"), privateKey: join(folder, "tls.key") }
      const source = `${paths.certificate} and ${paths.privateKey}`
      const write = (text: string) => {
        writeFileSync(paths.certificate, `certificate ${text}`)
        writeFileSync(paths.privateKey, `key ${text}`)
      }
      const seen: Array<unknown> = []
      yield* certificateFiles(paths).pipe(
        Stream.runForEach((each) => Effect.sync(() => seen.push(each))),
        Effect.forkScoped
      )
      // Reading a file is real; the half minutes between are not.
      const half = Effect.andThen(
        TestClock.adjust("30 seconds"),
        Effect.promise(() => new Promise((r) => setTimeout(r, 5)))
      )
      const untilSeen = (count: number) => Effect.repeat(half, { until: () => seen.length >= count })
      yield* half
      write("one")
      yield* untilSeen(1)
      write("two")
      yield* untilSeen(2)
      assert.deepStrictEqual(seen, [
        { certificate: "certificate one", privateKey: "key one", source },
        { certificate: "certificate two", privateKey: "key two", source }
      ])
    }))
})
