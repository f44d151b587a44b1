import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Logger, Stream } from "effect"
import { TestClock } from "effect/testing"
import { execFileSync } from "node:child_process"
import { once } from "node:events"
import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type Server } from "node:https"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import type { TLSSocket } from "node:tls"
import { afterAll, afterEach, vi } from "vitest"
import { layerKubeConfig } from "../../../../adapters/kube/client/layerKubeConfig.ts"
import { ConfigMaps } from "../../../../core/kube/kinds.ts"
import { KubeApi } from "../../../../core/kube/KubeApi.ts"
import { Nodes } from "../../../../core/kube/Node.ts"
import { makeAuthority, type Pair } from "./certificates.ts"
import { line } from "./ScriptedServer.ts"

const authority = makeAuthority("cluster")
const serving = authority.issue("/CN=api", "serverAuth")
const client = authority.issue("/O=system:masters/CN=admin", "clientAuth", "DNS:admin")

const commonName = (socket: TLSSocket): string => String(socket.getPeerCertificate().subject?.CN ?? "")

/** A server that answers every GET with a Node that tells how it was asked, and a watch with two events 50 ms apart. */
const serverNamed = (name: string) =>
  Effect.acquireRelease(
    Effect.callback<{
      readonly url: string
      readonly server: Server
      readonly sockets: Set<TLSSocket>
      /** Common names whose certificates, and tokens as they are sent, that are of no use any more. */
      readonly expired: Set<string>
    }>((resume) => {
      const server = createServer({ ...serving, ca: authority.cert, requestCert: true, rejectUnauthorized: false })
      const sockets = new Set<TLSSocket>()
      const expired = new Set<string>()
      server.on("secureConnection", (socket) => {
        sockets.add(socket)
        socket.on("close", () => sockets.delete(socket))
      })
      server.on("request", (request, response) => {
        const url = new URL(request.url ?? "/", "https://x")
        const user = commonName(request.socket as TLSSocket)
        const token = request.headers.authorization ?? ""
        const object = {
          metadata: {
            name: "n",
            resourceVersion: "5",
            labels: {
              server: name,
              user,
              token
            }
          }
        }
        response.statusCode = token === "Bearer stale" || expired.has(token) || expired.has(user) ? 401 : 200
        response.setHeader("content-type", "application/json")
        if (url.searchParams.get("watch") === "true") {
          response.write(
            line("ADDED", { ...object, metadata: { ...object.metadata, name: "w1", resourceVersion: "6" } })
          )
          setTimeout(
            () =>
              response.write(
                line("ADDED", { ...object, metadata: { ...object.metadata, name: "w2", resourceVersion: "7" } })
              ),
            50
          )
        } else if (url.pathname.endsWith("/n")) response.end(JSON.stringify(object))
        else response.end(JSON.stringify({ metadata: { resourceVersion: "5" }, items: [object] }))
      })
      server.listen(0, "127.0.0.1", () =>
        resume(
          Effect.succeed({
            url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
            server,
            sockets,
            expired
          })
        ))
    }),
    ({ server }) =>
      Effect.callback<void>((resume) => {
        server.closeAllConnections()
        server.close(() => resume(Effect.void))
      })
  )

const base64 = (text: string) => Buffer.from(text).toString("base64")
const folder = mkdtempSync(join(tmpdir(), "aranya-kube-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let files = 0
const kubeconfig = (cluster: object, user: object, more: object = {}): string => {
  const path = join(folder, `config-${files++}`)
  const document = {
    clusters: [{ name: "c", cluster }],
    users: [{ name: "u", user }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
    ...more
  }
  writeFileSync(path, JSON.stringify(document))
  return path
}
const trusted = (server: string) => ({ server, "certificate-authority-data": base64(authority.cert) })
const withCertificate = {
  "client-certificate-data": base64(client.cert),
  "client-key-data": base64(client.key)
}
/** A credential plugin that tells in a file that it was started. */
const plugin = () => {
  const script = join(folder, `plugin-${files++}`)
  const starts = `${script}-starts`
  const does = (commands: string) => writeFileSync(script, `echo >> ${starts}\n${commands}\n`)
  const says = (output: object) => does(`echo '${JSON.stringify(output)}'`)
  says({ status: { token: "first" } })
  return {
    says,
    /** Ended, when neither it nor its child holds the pipe any more. */
    hangs: () => {
      const pipe = `${script}-pipe`
      execFileSync("mkfifo", [pipe])
      does(`exec 3> ${pipe}\necho >&3\nsleep 90\n:`)
      const held = createReadStream(pipe)
      const started = once(held, "data")
      const ended = once(held, "end")
      return { started: Effect.promise(() => started), ended: Effect.promise(() => ended) }
    },
    starts: () => readFileSync(starts, "utf8").length,
    user: { exec: { command: "sh", args: [script] } }
  }
}
const labels = Effect.gen(function*() {
  const api = yield* KubeApi
  return (yield* api.get(Nodes, { name: "n" })).metadata.labels ?? {}
})

describe("layerKubeConfig", () => {
  it.live("speaks TLS with the kubeconfig's authority and client certificate, on connections that are used again", () =>
    Effect.gen(function*() {
      const server = yield* serverNamed("one")
      const kubeconfigPath = kubeconfig(trusted(server.url), withCertificate)
      yield* Effect.gen(function*() {
        for (let i = 0; i < 20; i++) {
          assert.deepStrictEqual(yield* labels, { server: "one", user: "admin", token: "" })
        }
        assert.isAtMost(server.sockets.size, 2)
      }).pipe(Effect.provide(layerKubeConfig({ kubeconfigPath })))
      yield* Effect.sleep("50 millis")
      assert.strictEqual(server.sockets.size, 0, "closing the layer closes its connections")
    }).pipe(Effect.scoped))

  it.live("two clients in one program keep their servers apart", () =>
    Effect.gen(function*() {
      const one = yield* serverNamed("one")
      const two = yield* serverNamed("two")
      const ask = (url: string) =>
        labels.pipe(Effect.provide(layerKubeConfig({ kubeconfigPath: kubeconfig(trusted(url), withCertificate) })))
      const both = yield* Effect.all([ask(one.url), ask(two.url)], { concurrency: 2 })
      assert.deepStrictEqual(both.map(({ server }) => server), ["one", "two"])
    }).pipe(Effect.scoped))

  it.live("observes over a real connection as events come, and hangs up when nobody listens", () =>
    Effect.gen(function*() {
      const server = yield* serverNamed("one")
      yield* Effect.gen(function*() {
        const api = yield* KubeApi
        const found = yield* api.observe(ConfigMaps, { namespace: "shop" }).pipe(Stream.take(4), Stream.runCollect)
        assert.deepStrictEqual(
          found.map((told) => (told._tag === "Synced" ? "Synced" : told.object.metadata.name)),
          ["n", "Synced", "w1", "w2"]
        )
        yield* Effect.sleep("50 millis")
        assert.isAtMost(server.sockets.size, 1)
      }).pipe(Effect.provide(layerKubeConfig({ kubeconfigPath: kubeconfig(trusted(server.url), withCertificate) })))
    }).pipe(Effect.scoped))

  it.live("does not speak to a server of another authority", () =>
    Effect.gen(function*() {
      const server = yield* serverNamed("one")
      const cluster = { server: server.url, "certificate-authority-data": base64(makeAuthority("stranger").cert) }
      const error = yield* labels.pipe(
        Effect.provide(layerKubeConfig({ kubeconfigPath: kubeconfig(cluster, withCertificate) })),
        Effect.flip
      )
      assert.include(error.message, "certificate")
    }).pipe(Effect.scoped))

  it.live("reads a token file again after the server refused its token", () =>
    Effect.gen(function*() {
      const server = yield* serverNamed("one")
      const tokenFile = join(folder, "token")
      writeFileSync(tokenFile, "first\n")
      const kubeconfigPath = kubeconfig(
        trusted(server.url),
        { "auth-provider": { name: "tokenFile", config: { tokenFile } } }
      )
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* labels)["token"], "Bearer first")
        writeFileSync(tokenFile, "stale")
        assert.strictEqual((yield* labels)["token"], "Bearer first", "a token is kept for a while")
      }).pipe(Effect.provide(layerKubeConfig({ kubeconfigPath })))
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(labels)).reason, "Unauthorized")
        writeFileSync(tokenFile, "second")
        assert.strictEqual((yield* labels)["token"], "Bearer second")
      }).pipe(Effect.provide(layerKubeConfig({ kubeconfigPath })))
    }).pipe(Effect.scoped))

  it.effect("goes on with its token while the token file is empty or not there", () => {
    const warnings: Array<string> = []
    return Effect.gen(function*() {
      const server = yield* serverNamed("one")
      const tokenFile = join(folder, "truncated")
      writeFileSync(tokenFile, "first\n")
      yield* Effect.gen(function*() {
        const token = Effect.map(labels, (found) => found["token"])
        assert.strictEqual(yield* token, "Bearer first")
        writeFileSync(tokenFile, "\n")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* token, "Bearer first", "while it is empty")
        assert.lengthOf(warnings, 1, "it is read each minute, not for each request")
        assert.include(warnings[0], `the token file ${tokenFile} is empty`)
        rmSync(tokenFile)
        server.expired.add("Bearer first")
        assert.strictEqual((yield* Effect.flip(labels)).reason, "Unauthorized")
        assert.strictEqual((yield* Effect.flip(labels)).reason, "Unauthorized", "while it is not there")
        assert.include(warnings[1], "ENOENT")
        writeFileSync(tokenFile, "second\n")
        assert.strictEqual(yield* token, "Bearer second")
        assert.lengthOf(warnings, 2)
      }).pipe(Effect.provide(layerKubeConfig({ kubeconfigPath: kubeconfig(trusted(server.url), { tokenFile }) })))
    }).pipe(
      Effect.scoped,
      Effect.provide(Logger.layer([Logger.make(({ message }) => void warnings.push(String(message)))]))
    )
  })

  it.live("does not begin with an empty token", () =>
    Effect.gen(function*() {
      writeFileSync(join(folder, "empty"), "")
      const kubeconfigPath = kubeconfig({ server: "https://10.0.0.1" }, { tokenFile: "empty" })
      const error = yield* Effect.flip(labels.pipe(Effect.provide(layerKubeConfig({ kubeconfigPath }))))
      assert.include(error.message, "there are no credentials: the token file")
    }))

  it.effect("runs a credential plugin again after the server refused what it gave, whatever the plugin said between", () =>
    Effect.gen(function*() {
      const server = yield* serverNamed("one")
      const { says, starts, user } = plugin()
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* labels)["token"], "Bearer first")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* labels)["token"], "Bearer first")
        assert.strictEqual(starts(), 1, "what it gave is good until it is refused")
        server.expired.add("Bearer first")
        assert.strictEqual((yield* Effect.flip(labels)).reason, "Unauthorized")
        says({ kind: "ExecCredential" })
        assert.strictEqual((yield* Effect.flip(labels)).reason, "Unauthorized")
        says({ status: { token: "second" } })
        assert.strictEqual((yield* labels)["token"], "Bearer second")
        assert.strictEqual(starts(), 3)
      }).pipe(Effect.provide(layerKubeConfig({ kubeconfigPath: kubeconfig(trusted(server.url), user) })))
    }).pipe(Effect.scoped))

  it.live("does not run a credential plugin for refusals of what it gave before", () =>
    Effect.gen(function*() {
      const server = yield* serverNamed("one")
      const { says, starts, user } = plugin()
      const arrived = Deferred.makeUnsafe<() => void>()
      server.server.removeAllListeners("request")
      server.server.on("request", (request, response) => {
        const token = request.headers.authorization ?? ""
        response.statusCode = token === "Bearer first" ? 401 : 200
        const answer = () => void response.end(JSON.stringify({ metadata: { name: "n", labels: { token } } }))
        if (request.url?.endsWith("/late") === true) Deferred.doneUnsafe(arrived, Effect.succeed(answer))
        else answer()
      })
      yield* Effect.gen(function*() {
        const api = yield* KubeApi
        const late = yield* Effect.forkChild(Effect.flip(api.get(Nodes, { name: "late" })))
        const answer = yield* Deferred.await(arrived)
        yield* Effect.flip(labels)
        says({ status: { token: "second" } })
        assert.strictEqual((yield* labels)["token"], "Bearer second")
        answer()
        assert.strictEqual((yield* Fiber.join(late)).reason, "Unauthorized")
        assert.strictEqual((yield* labels)["token"], "Bearer second")
        assert.strictEqual(starts(), 2)
      }).pipe(Effect.provide(layerKubeConfig({ kubeconfigPath: kubeconfig(trusted(server.url), user) })))
    }).pipe(Effect.scoped))

  it.effect("ends a credential plugin that does not answer, with its children, and goes on with the token it has", () =>
    Effect.gen(function*() {
      const server = yield* serverNamed("one")
      const { hangs, says, starts, user } = plugin()
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* labels)["token"], "Bearer first")
        server.expired.add("Bearer first")
        yield* Effect.flip(labels)
        server.expired.clear()
        const { ended, started } = hangs()
        const impatient = yield* Effect.forkChild(labels, { startImmediately: true })
        yield* started
        yield* Fiber.interrupt(impatient)
        const patient = yield* Effect.forkChild(labels, { startImmediately: true })
        yield* TestClock.adjust("20 seconds")
        yield* ended
        assert.strictEqual((yield* Fiber.join(patient))["token"], "Bearer first")
        assert.strictEqual(starts(), 2, "both waited for the same one")
        says({ status: { token: "second" } })
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* labels)["token"], "Bearer second")
      }).pipe(Effect.provide(layerKubeConfig({ kubeconfigPath: kubeconfig(trusted(server.url), user) })))
    }).pipe(Effect.scoped))

  it.live("ends a credential plugin that still runs when its client is closed", () =>
    Effect.gen(function*() {
      const server = yield* serverNamed("one")
      const { hangs, says, user } = plugin()
      says({ status: { token: "stale" } })
      const ended = yield* Effect.gen(function*() {
        yield* Effect.flip(labels)
        const { ended, started } = hangs()
        yield* Effect.forkChild(labels)
        yield* started
        return ended
      }).pipe(Effect.provide(layerKubeConfig({ kubeconfigPath: kubeconfig(trusted(server.url), user) })))
      yield* ended
    }).pipe(Effect.scoped))

  it.live("ends a credential plugin with the start that waits for it", () =>
    Effect.gen(function*() {
      const { hangs, user } = plugin()
      const { ended, started } = hangs()
      const kubeconfigPath = kubeconfig({ server: "https://10.0.0.1" }, user)
      const fiber = yield* Effect.forkChild(labels.pipe(Effect.provide(layerKubeConfig({ kubeconfigPath }))))
      yield* started
      yield* Fiber.interrupt(fiber)
      yield* ended
    }))

  it.live("shows a renewed client certificate at once, and lets open watches end by themselves", () =>
    Effect.gen(function*() {
      const server = yield* serverNamed("one")
      const certificate = join(folder, "client.crt")
      const key = join(folder, "client.key")
      const lay = ({ cert, key: privateKey }: Pair) => {
        writeFileSync(certificate, cert)
        writeFileSync(key, privateKey)
      }
      const shown = () => [...server.sockets].map(commonName).toSorted()
      lay(authority.issue("/CN=first", "clientAuth"))
      const kubeconfigPath = kubeconfig(trusted(server.url), { "client-certificate": certificate, "client-key": key })
      yield* Effect.gen(function*() {
        const api = yield* KubeApi
        yield* api.observe(ConfigMaps).pipe(Stream.runDrain, Effect.forkScoped)
        yield* Effect.sleep("200 millis")
        assert.strictEqual((yield* labels)["user"], "first")
        assert.deepStrictEqual(shown(), ["first", "first"])

        server.expired.add("first")
        assert.strictEqual((yield* Effect.flip(labels)).reason, "Unauthorized")
        lay(authority.issue("/CN=second", "clientAuth"))
        assert.strictEqual((yield* labels)["user"], "second")
        yield* Effect.sleep("50 millis")
        assert.deepStrictEqual(shown(), ["first", "second"], "the watch goes on")
      }).pipe(Effect.provide(layerKubeConfig({ kubeconfigPath })))
      yield* Effect.sleep("50 millis")
      assert.deepStrictEqual(shown(), [], "closing the layer closes the connections of both")
    }).pipe(Effect.scoped))

  it.live("goes on with its certificate while the files hold a key that is another's", () =>
    Effect.gen(function*() {
      const server = yield* serverNamed("one")
      const certificate = join(folder, "half.crt")
      const key = join(folder, "half.key")
      const first = authority.issue("/CN=first", "clientAuth")
      const second = authority.issue("/CN=second", "clientAuth")
      writeFileSync(certificate, first.cert)
      writeFileSync(key, first.key)
      const kubeconfigPath = kubeconfig(trusted(server.url), { "client-certificate": certificate, "client-key": key })
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* labels)["user"], "first")
        server.expired.add("first")
        yield* Effect.flip(labels)
        server.expired.clear()
        writeFileSync(certificate, second.cert)
        assert.strictEqual((yield* labels)["user"], "first")
        server.expired.add("first")
        yield* Effect.flip(labels)
        writeFileSync(key, second.key)
        assert.strictEqual((yield* labels)["user"], "second")
      }).pipe(Effect.provide(layerKubeConfig({ kubeconfigPath })))
    }).pipe(Effect.scoped))

  it.live.each(["named from the kubeconfig's folder", "named in full"])(
    "takes a user's tokenFile, %s",
    (how) =>
      Effect.gen(function*() {
        const server = yield* serverNamed("one")
        writeFileSync(join(folder, "user-token"), "stale\n")
        const tokenFile = how === "named in full" ? join(folder, "user-token") : "user-token"
        const kubeconfigPath = kubeconfig(trusted(server.url), { token: "older", tokenFile })
        yield* Effect.gen(function*() {
          assert.strictEqual((yield* Effect.flip(labels)).reason, "Unauthorized")
          writeFileSync(join(folder, "user-token"), "second\n")
          assert.strictEqual((yield* labels)["token"], "Bearer second")
        }).pipe(Effect.provide(layerKubeConfig({ kubeconfigPath })))
      }).pipe(Effect.scoped)
  )

  it.live.each(
    [
      [{ server: "http://10.0.0.1:8080" }, "plain http"],
      [{ server: "https://10.0.0.1", "insecure-skip-tls-verify": true }, "name its certificate-authority"],
      [{ server: "https://10.0.0.1", "proxy-url": "http://proxy" }, "proxy-url"],
      [{ server: "nowhere" }, "no URL"]
    ] as const
  )("refuses %o with a sentence", ([cluster, sentence]) =>
    Effect.gen(function*() {
      const error = yield* labels.pipe(
        Effect.provide(layerKubeConfig({ kubeconfigPath: kubeconfig(cluster, {}) })),
        Effect.flip
      )
      assert.include(error.message, sentence)
    }))

  it.live("names the context and the file that are not there", () =>
    Effect.gen(function*() {
      const kubeconfigPath = kubeconfig({ server: "https://10.0.0.1" }, {})
      const attempts = [{ kubeconfigPath, context: "other" }, { kubeconfigPath: "/nowhere/config" }]
      const errors = yield* Effect.forEach(attempts, (options) =>
        Effect.flip(labels.pipe(Effect.provide(layerKubeConfig(options)))))
      assert.include(errors[0]?.message, "no context other")
      assert.include(errors[1]?.message, "/nowhere/config")
    }))

  describe("a KUBECONFIG of many files", () => {
    afterEach(() => void vi.unstubAllEnvs())
    const list = (...paths: ReadonlyArray<string>) => vi.stubEnv("KUBECONFIG", paths.join(delimiter))
    const shown = Effect.map(labels, ({ server, token }) => ({ server, token })).pipe(Effect.provide(layerKubeConfig()))

    it.live("is what the first file says that says it, and those that are empty or not there say nothing", () =>
      Effect.gen(function*() {
        const one = yield* serverNamed("one")
        const two = yield* serverNamed("two")
        writeFileSync(join(folder, "second-token"), "second")
        const first = kubeconfig(trusted(one.url), { token: "first" })
        const second = kubeconfig(trusted(two.url), { tokenFile: "second-token" })
        const empty = join(folder, "empty")
        writeFileSync(empty, "\n")
        list("/nowhere/config", empty, first, "", second)
        assert.deepStrictEqual(yield* shown, { server: "one", token: "Bearer first" })
        list(second, first)
        assert.deepStrictEqual(yield* shown, { server: "two", token: "Bearer second" })
      }).pipe(Effect.scoped))

    it.live("takes the current context from the first file that has one", () =>
      Effect.gen(function*() {
        const one = yield* serverNamed("one")
        const two = yield* serverNamed("two")
        const contexts = [{ name: "y", context: { cluster: "d", user: "u" } }]
        const clusters = [{ name: "d", cluster: trusted(two.url) }]
        list(
          kubeconfig(trusted(one.url), { token: "first" }, { "current-context": "" }),
          kubeconfig({}, {}, { users: [], clusters, contexts, "current-context": "y" }),
          kubeconfig(trusted(one.url), {})
        )
        assert.deepStrictEqual(yield* shown, { server: "two", token: "Bearer first" })
      }).pipe(Effect.scoped))

    it.live("is refused where not one of them is there", () =>
      Effect.gen(function*() {
        list("/nowhere/config", "/nowhere/else")
        assert.include((yield* Effect.flip(shown)).message, "/nowhere/config")
      }))
  })

  it.live("an interrupted request closes its connection instead of leaving it half-read", () =>
    Effect.gen(function*() {
      const server = yield* serverNamed("one")
      server.server.removeAllListeners("request")
      server.server.on("request", (_, response) => void response.write("{"))
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(labels)
        yield* Effect.sleep("100 millis")
        assert.strictEqual(server.sockets.size, 1)
        yield* Fiber.interrupt(fiber)
        yield* Effect.sleep("100 millis")
        assert.strictEqual(server.sockets.size, 0)
      }).pipe(Effect.provide(layerKubeConfig({ kubeconfigPath: kubeconfig(trusted(server.url), withCertificate) })))
    }).pipe(Effect.scoped))
})
