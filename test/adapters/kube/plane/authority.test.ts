/** Who may do what: tokens, reviews, RBAC, certificate requests; and that the plane itself stays pure. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { X509Certificate } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { TokenSigner } from "../../../../adapters/kube/plane/authority/TokenSigner.ts"
import { layerCertificateSigning } from "../../../../adapters/kube/plane/controller/controllers.ts"
import { at, type JsonObject, objectsAt, stringAt } from "../../../../adapters/kube/plane/object/json.ts"
import {
  layerCertificateSigner,
  layerTokenSigner,
  newAuthority
} from "../../../../adapters/kube/plane/server/authority.ts"
import { createRequest } from "../../../../adapters/x509/certificate.ts"
import { ask, node, planeLayer, pod } from "./asking.ts"

const accounts = "/api/v1/namespaces/default/serviceaccounts"
const reviews = "/apis/authentication.k8s.io/v1/tokenreviews"
const tokenOf = (spec: JsonObject) => ask("POST", `${accounts}/default/token`, { body: { spec } })
const reviewOf = (token: string, audiences: ReadonlyArray<string> = []) =>
  Effect.map(ask("POST", reviews, { body: { spec: { token, audiences } } }), ({ json }) => json)

describe("a service account token", () => {
  it.effect("speaks for its account until it expires", () =>
    Effect.gen(function*() {
      const { status, json } = yield* tokenOf({ expirationSeconds: 600 })
      assert.strictEqual(status, 201)
      const token = stringAt(json, "status", "token") ?? ""
      const review = yield* reviewOf(token)
      assert.strictEqual(at(review, "status", "user", "username"), "system:serviceaccount:default:default")
      assert.include(at(review, "status", "user", "groups") as ReadonlyArray<string>, "system:serviceaccounts:default")
      assert.isUndefined(at(yield* reviewOf(token, ["elsewhere"]), "status", "authenticated"))
      yield* TestClock.adjust("11 minutes")
      assert.isUndefined(at(yield* reviewOf(token), "status", "authenticated"))
      assert.strictEqual((yield* ask("GET", accounts, { token })).status, 401)
    }).pipe(Effect.provide(planeLayer())))

  it.effect("bound to a pod dies with it; the one admission asks for lives a year for the API alone", () =>
    Effect.gen(function*() {
      yield* ask("POST", "/api/v1/nodes", { body: node("n") })
      const { json: made } = yield* ask("POST", "/api/v1/namespaces/default/pods", {
        body: pod("p", { spec: { nodeName: "n" } })
      })
      const boundObjectRef = { kind: "Pod", apiVersion: "v1", name: "p", uid: stringAt(made, "metadata", "uid") ?? "" }
      assert.strictEqual((yield* tokenOf({ boundObjectRef: { ...boundObjectRef, uid: "other" } })).status, 409)
      const injected =
        stringAt((yield* tokenOf({ boundObjectRef, expirationSeconds: 3607 })).json, "status", "token") ?? ""
      const own = stringAt(
        (yield* tokenOf({ boundObjectRef, audiences: ["me"], expirationSeconds: 3607 })).json,
        "status",
        "token"
      ) ?? ""
      yield* TestClock.adjust("2 hours")
      const review = yield* reviewOf(injected)
      assert.deepStrictEqual(at(review, "status", "user", "extra", "authentication.kubernetes.io/node-name"), ["n"])
      assert.isUndefined(at(yield* reviewOf(own, ["me"]), "status", "authenticated"))
      yield* ask("DELETE", "/api/v1/namespaces/default/pods/p?gracePeriodSeconds=0")
      assert.isUndefined(at(yield* reviewOf(injected), "status", "authenticated"))
    }).pipe(Effect.provide(planeLayer())))

  it.effect("is not believed when anybody else signed it", () =>
    Effect.gen(function*() {
      const sign = (authority: ReturnType<typeof newAuthority>) =>
        Effect.flatMap(TokenSigner, (signer) => signer.sign({ sub: "x" })).pipe(
          Effect.provide(layerTokenSigner(authority))
        )
      const ours = newAuthority(0)
      const verify = (token: string) =>
        Effect.flatMap(TokenSigner, (signer) => signer.verify(token)).pipe(Effect.provide(layerTokenSigner(ours)))
      const good = yield* sign(ours)
      assert.deepStrictEqual(yield* verify(good), { sub: "x" })
      assert.isUndefined(yield* verify(yield* sign(newAuthority(0))))
      const unsigned = `${Buffer.from(`{"alg":"none"}`).toString("base64url")}.${good.split(".")[1]}.`
      for (const bad of [unsigned, `${good}x`, "", "..", "a.b.c.d"]) assert.isUndefined(yield* verify(bad))
    }))
})

describe("authorisation", () => {
  const rbac = "/apis/rbac.authorization.k8s.io/v1"
  const may = (user: string, groups: ReadonlyArray<string>, resourceAttributes: JsonObject) =>
    Effect.map(
      ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {
        body: { spec: { user, groups, resourceAttributes } }
      }),
      ({ json }) => at(json, "status", "allowed")
    )

  it.effect("follows roles, bindings, names and namespaces as they change", () =>
    Effect.gen(function*() {
      const reading = { verb: "get", resource: "pods", namespace: "default", name: "p" }
      assert.isFalse(yield* may("ann", [], reading))
      yield* ask("POST", `${rbac}/namespaces/default/roles`, {
        body: {
          metadata: { name: "r" },
          rules: [{ apiGroups: [""], resources: ["pods"], resourceNames: ["p"], verbs: ["get"] }]
        }
      })
      yield* ask("POST", `${rbac}/namespaces/default/rolebindings`, {
        body: {
          metadata: { name: "r" },
          roleRef: { kind: "Role", name: "r" },
          subjects: [{ kind: "User", name: "ann" }]
        }
      })
      assert.isTrue(yield* may("ann", [], reading))
      assert.isFalse(yield* may("ann", [], { ...reading, name: "q" }))
      assert.isFalse(yield* may("ann", [], { ...reading, namespace: "kube-system" }))
      assert.isFalse(yield* may("ann", [], { ...reading, subresource: "log" }))
      assert.isTrue(yield* may("root", ["system:masters"], { verb: "delete", resource: "nodes" }))
      yield* ask("DELETE", `${rbac}/namespaces/default/rolebindings/r`)
      assert.isFalse(yield* may("ann", [], reading))
    }).pipe(Effect.provide(planeLayer())))

  it.effect("lets who has the right to one name list and watch that name, and do nothing else by naming it", () =>
    Effect.gen(function*() {
      const user = { username: "ann", groups: [] }
      const maps = "/api/v1/namespaces/default/configmaps"
      yield* ask("POST", `${rbac}/namespaces/default/roles`, {
        body: {
          metadata: { name: "r" },
          rules: [{ apiGroups: [""], resources: ["configmaps"], resourceNames: ["m"], verbs: ["list", "create"] }]
        }
      })
      yield* ask("POST", `${rbac}/namespaces/default/rolebindings`, {
        body: {
          metadata: { name: "r" },
          roleRef: { kind: "Role", name: "r" },
          subjects: [{ kind: "User", name: "ann" }]
        }
      })
      for (const name of ["m", "other"]) yield* ask("POST", maps, { body: { metadata: { name } } })
      const listed = (selector: string) => ask("GET", `${maps}?fieldSelector=${encodeURIComponent(selector)}`, { user })
      const found = yield* listed("metadata.name=m")
      assert.deepStrictEqual(objectsAt(found.json, "items").map((each) => stringAt(each, "metadata", "name")), ["m"])
      for (const selector of ["metadata.name=other", "metadata.name!=m", "metadata.namespace=default", ""]) {
        assert.strictEqual((yield* listed(selector)).status, 403, selector)
      }
      const body = { metadata: { name: "third" } }
      assert.strictEqual((yield* ask("POST", `${maps}?fieldSelector=metadata.name=m`, { user, body })).status, 403)
    }).pipe(Effect.provide(planeLayer())))

  it.effect("gives kubelet API admins the nodes' subresources, and refuses exec to those who may only read", () =>
    Effect.gen(function*() {
      const bind = (name: string, role: string) =>
        ask("POST", `${rbac}/clusterrolebindings`, {
          body: { metadata: { name }, roleRef: { kind: "ClusterRole", name: role }, subjects: [{ kind: "User", name }] }
        })
      yield* bind("prober", "system:kubelet-api-admin")
      yield* bind("viewer", "view")
      assert.isTrue(yield* may("prober", [], { verb: "create", resource: "nodes", subresource: "proxy", name: "n" }))
      assert.isFalse(yield* may("prober", [], { verb: "list", resource: "pods" }))
      assert.isTrue(yield* may("viewer", [], { verb: "list", resource: "pods", namespace: "default" }))
      assert.isFalse(yield* may("viewer", [], { verb: "get", resource: "secrets", namespace: "default" }))
      const user = { username: "viewer", groups: [] }
      assert.strictEqual((yield* ask("GET", "/api/v1/namespaces/default/pods/p/exec", { user })).status, 403)
      assert.strictEqual((yield* ask("GET", "/api/v1/namespaces/default/pods", { user })).status, 200)
    }).pipe(Effect.provide(planeLayer())))
})

describe("a certificate signing request", () => {
  const requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
  const authority = newAuthority(Date.now())
  const layer = layerCertificateSigning.pipe(
    Layer.provideMerge(planeLayer(["certificate-signing"])),
    Layer.provide(layerCertificateSigner(authority))
  )
  const submit = (
    name: string,
    names: { readonly ips?: ReadonlyArray<string>; readonly uris?: ReadonlyArray<string> },
    usages: ReadonlyArray<string>
  ) =>
    Effect.gen(function*() {
      const { request } = createRequest({ commonName: "system:node:n", organizations: ["system:nodes"] }, names)
      yield* ask("POST", requests, {
        body: {
          metadata: { name },
          spec: { request: btoa(request), signerName: "kubernetes.io/kubelet-serving", usages, expirationSeconds: 3600 }
        }
      })
      const { json } = yield* ask("GET", `${requests}/${name}`)
      return { ...json, status: { conditions: [{ type: "Approved", status: "True", reason: "Test" }] } } as JsonObject
    })
  const usages = ["digital signature", "server auth"]

  it.effect("is signed once somebody who may approve did so", () =>
    Effect.gen(function*() {
      const approved = yield* submit("good", { ips: ["10.0.0.1"] }, usages)
      const nobody = { username: "nobody", groups: [] }
      assert.strictEqual((yield* ask("PUT", `${requests}/good/approval`, { body: approved, user: nobody })).status, 403)
      assert.strictEqual((yield* ask("PUT", `${requests}/good/approval`, { body: approved })).status, 200)
      yield* TestClock.adjust("1 second")
      const { json } = yield* ask("GET", `${requests}/good`)
      const certificate = new X509Certificate(atob(stringAt(json, "status", "certificate") ?? ""))
      assert.isTrue(certificate.verify(new X509Certificate(authority.ca.certificate).publicKey))
      assert.strictEqual(certificate.subjectAltName, "IP Address:10.0.0.1")
      assert.strictEqual(certificate.validToDate.getTime(), 3_600_000)
      assert.strictEqual(at(json, "spec", "username"), "admin")
    }).pipe(Effect.provide(layer)))

  it.effect("fails when it breaks the signer's rules", () =>
    Effect.gen(function*() {
      const cases = [
        ["nameless", {}, usages, /at least one DNS or IP/],
        ["uri", { ips: ["10.0.0.1"], uris: ["spiffe://x"] }, usages, /URI/],
        ["greedy", { ips: ["10.0.0.1"] }, [...usages, "client auth"], /usages did not match/]
      ] as const
      for (const [name, names, wanted, why] of cases) {
        const approved = yield* submit(name, names, wanted)
        yield* ask("PUT", `${requests}/${name}/approval`, { body: approved })
        yield* TestClock.adjust("1 second")
        const { json } = yield* ask("GET", `${requests}/${name}`)
        const failed = objectsAt(json, "status", "conditions").find((condition) => condition["type"] === "Failed")
        assert.strictEqual(stringAt(failed, "reason"), "SignerValidationFailure")
        assert.match(stringAt(failed, "message") ?? "", why)
        assert.isUndefined(at(json, "status", "certificate"))
      }
    }).pipe(Effect.provide(layer)))
})

describe("the embedded control plane", () => {
  it("imports nothing but effect below its doors, and reads neither clock nor chance of the machine", () => {
    const root = fileURLToPath(new URL("../../../../adapters/kube/plane/", import.meta.url))
    const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) =>
      file.endsWith(".ts") && !file.startsWith("server/")
    )
    assert.isAbove(files.length, 60)
    const breaches = files.flatMap((file) => {
      const text = readFileSync(join(root, file), "utf8")
      const imports = [...text.matchAll(/from "([^"]+)"/g)].map((match) => match[1] ?? "")
      return [
        ...imports.filter((name) => !name.startsWith(".") && !/^effect(\/|$)/.test(name)),
        ...imports.filter((name) => name.includes("server/") || name.includes("x509")),
        ...text.match(/\b(Date\.now|new Date\(|Math\.random|setTimeout|setInterval|process\.|console\.|crypto\.)/g) ??
          []
      ].map((breach) => `${file}: ${breach}`)
    })
    assert.deepStrictEqual(breaches, [])
  })
})
