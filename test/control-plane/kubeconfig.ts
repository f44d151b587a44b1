/** A kubeconfig with its certificates inside, so that it may be copied anywhere. */
import { Effect } from "effect"
import { readFile, writeFile } from "node:fs/promises"
import type { KeyPair } from "./certificateAuthority.ts"

export const writeKubeconfig = (path: string, server: string, ca: string, pair: KeyPair) =>
  Effect.promise(async () => {
    const [certificate, key] = await Promise.all([readFile(pair.certificate), readFile(pair.key)])
    const name = "aranya-test"
    // JSON is YAML.
    const content = {
      apiVersion: "v1",
      kind: "Config",
      "current-context": name,
      clusters: [{ name, cluster: { server, "certificate-authority-data": Buffer.from(ca).toString("base64") } }],
      users: [{
        name,
        user: {
          "client-certificate-data": certificate.toString("base64"),
          "client-key-data": key.toString("base64")
        }
      }],
      contexts: [{ name, context: { cluster: name, user: name } }]
    }
    await writeFile(path, JSON.stringify(content, null, 2), { mode: 0o600 })
    return path
  })
