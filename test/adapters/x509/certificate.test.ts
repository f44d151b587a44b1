/** Certificates made here are believed by node:crypto and, where it is installed, by openssl. */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { X509Certificate } from "node:crypto"
import {
  createAuthority,
  createLeaf,
  createRequest,
  readRequest,
  signRequest
} from "../../../adapters/x509/certificate.ts"

const notBefore = new Date("2026-01-01T00:00:00Z")
const notAfter = new Date("2060-01-01T00:00:00Z")
const authority = createAuthority("test authority", notBefore, notAfter)

const openssl: boolean = (() => {
  try {
    execFileSync("openssl", ["version"], { stdio: "pipe" })
    return true
  } catch {
    console.warn("SKIPPED: checking certificates with openssl, which is not installed")
    return false
  }
})()

describe("a certificate", () => {
  it("is signed by its authority and carries names, purposes and times", () => {
    const leaf = createLeaf(authority, {
      subject: { commonName: "system:node:edge", organizations: ["system:nodes"] },
      names: { dns: ["edge.example"], ips: ["10.1.2.3", "fd00::12"] },
      purposes: ["server auth", "client auth"],
      notBefore,
      notAfter
    })
    const parsed = new X509Certificate(leaf.certificate)
    const issuer = new X509Certificate(authority.certificate)
    assert.isTrue(parsed.verify(issuer.publicKey))
    assert.isTrue(parsed.checkIssued(issuer))
    assert.isTrue(issuer.ca)
    assert.isFalse(parsed.ca)
    assert.strictEqual(parsed.subject, "O=system:nodes\nCN=system:node:edge")
    assert.strictEqual(parsed.subjectAltName, "DNS:edge.example, IP Address:10.1.2.3, IP Address:FD00:0:0:0:0:0:0:12")
    assert.deepStrictEqual([...parsed.keyUsage].sort(), ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"])
    assert.strictEqual(parsed.validToDate.getTime(), notAfter.getTime())
  })
})

describe("a certificate request", () => {
  const names = { dns: ["a.example"], ips: ["127.0.0.1"] }
  const { request } = createRequest({ commonName: "system:node:x", organizations: ["system:nodes"] }, names)

  it("carries every part of a subject, and none that is empty", () => {
    const subject = {
      commonName: "system:node:x",
      organizations: ["system:nodes", "Aranya Oy"],
      organizationalUnit: "Edge",
      country: "FI",
      state: "Uusimaa",
      locality: "Järvenpää"
    }
    const read = readRequest(createRequest(subject, names).request)
    assert.deepStrictEqual(read.subject, subject)
    const { country: _, state: __, ...lesser } = subject
    assert.deepStrictEqual(readRequest(createRequest({ ...lesser, state: "" }, names).request).subject, lesser)
    const granted = new X509Certificate(
      signRequest(authority, read, { purposes: ["server auth"], notBefore, notAfter })
    )
    assert.strictEqual(
      granted.subject,
      "C=FI\nST=Uusimaa\nL=Järvenpää\nO=system:nodes\nO=Aranya Oy\nOU=Edge\nCN=system:node:x"
    )
  })

  it("says what it wants and is granted that", () => {
    const read = readRequest(request)
    assert.deepStrictEqual(read.subject, { commonName: "system:node:x", organizations: ["system:nodes"] })
    assert.deepStrictEqual(read.names, { ...names, emails: [], uris: [] })
    const granted = new X509Certificate(
      signRequest(authority, read, { purposes: ["server auth"], notBefore, notAfter })
    )
    assert.strictEqual(granted.subjectAltName, "DNS:a.example, IP Address:127.0.0.1")
    assert.isTrue(granted.verify(new X509Certificate(authority.certificate).publicKey))
  })

  it("is refused when somebody changed it, or when it is anything else", () => {
    const der = Buffer.from(request.replace(/-----[^-]+-----|\s/g, ""), "base64")
    const at = der.indexOf("system:node:x")
    der[at + 12] = "y".charCodeAt(0)
    const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`
    assert.throws(() => readRequest(forged), /not signed by its own key/)
    assert.throws(() => readRequest("nothing"), /no CERTIFICATE REQUEST/)
    for (let cut = 0; cut < der.length; cut += 7) {
      const short = `-----BEGIN CERTIFICATE REQUEST-----\n${
        der.subarray(0, cut).toString("base64")
      }\n-----END CERTIFICATE REQUEST-----\n`
      assert.throws(() => readRequest(short))
    }
  })

  it.skipIf(!openssl)("is understood by openssl", () => {
    const text = execFileSync("openssl", ["req", "-noout", "-text", "-verify"], {
      input: request,
      stdio: ["pipe", "pipe", "pipe"]
    }).toString()
    assert.match(text, /Subject: O = system:nodes, CN = system:node:x/)
    assert.match(text, /DNS:a\.example, IP Address:127\.0\.0\.1/)
  })
})
