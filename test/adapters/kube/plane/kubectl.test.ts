/** The real kubectl against the HTTPS door: what people type, and what they read. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schedule } from "effect"
import { spawn } from "node:child_process"
import { createServer, type Server } from "node:https"
import type { AddressInfo } from "node:net"
import { ControlPlane } from "../../../../adapters/kube/plane/ControlPlane.ts"
import type { JsonObject } from "../../../../adapters/kube/plane/object/json.ts"
import { createAuthority, createLeaf } from "../../../../adapters/x509/certificate.ts"
import { node, pod } from "./asking.ts"
import { kubectlMissing, kubectlPath, makeKubectl } from "./kubectl.ts"
import { kubelets } from "./kubelets.ts"

if (kubectlMissing !== undefined) {
  console.warn(`SKIPPED: the kubectl tests of the embedded control plane: ${kubectlMissing}`)
}

class Kubectl extends Context.Service<Kubectl, Effect.Success<ReturnType<typeof makeKubectl>>>()("test/Kubectl") {
  static readonly layer = Layer.effect(Kubectl, makeKubectl())
}

const kubectl = (line: string, input?: string | JsonObject) =>
  Effect.gen(function*() {
    const { run } = yield* Kubectl
    const outcome = yield* run(line.split(" "), typeof input === "object" ? JSON.stringify(input) : input)
    assert.strictEqual(outcome.code, 0, `kubectl ${line}: ${outcome.err}${outcome.out}`)
    return outcome.out
  })

const failing = (line: string, input?: JsonObject) =>
  Effect.gen(function*() {
    const { run } = yield* Kubectl
    const outcome = yield* run(line.split(" "), input === undefined ? "" : JSON.stringify(input))
    assert.notStrictEqual(outcome.code, 0, `kubectl ${line} should have failed: ${outcome.out}`)
    return outcome.err
  })

const kubelet = Effect.gen(function*() {
  const { embedded } = yield* Kubectl
  yield* kubelets.pipe(
    Effect.repeat(Schedule.spaced("50 millis")),
    Effect.provide(Layer.succeed(ControlPlane, embedded.plane)),
    Effect.forkScoped
  )
})

const applied = (kind: string, name: string, more: JsonObject): JsonObject => ({
  apiVersion: "v1",
  kind,
  metadata: { name },
  ...more
})

describe.skipIf(kubectlMissing !== undefined)("kubectl against the embedded control plane", () => {
  it.layer(Kubectl.layer, { excludeTestServices: true })((it) => {
    it.effect("reads discovery: versions, resources and who it is", () =>
      Effect.gen(function*() {
        assert.match(yield* kubectl("version"), /Server Version: v1\.32/)
        assert.include(yield* kubectl("api-versions"), "coordination.k8s.io/v1")
        const resources = yield* kubectl("api-resources")
        assert.match(resources, /pods\s+po\s+v1\s+true\s+Pod/)
        assert.match(resources, /deployments\s+deploy\s+apps\/v1\s+true\s+Deployment/)
        assert.match(yield* kubectl("auth whoami"), /kubernetes-admin/)
        assert.strictEqual((yield* kubectl("get --raw /readyz")).trim(), "ok")
      }))

    it.effect("creates the kinds that kubectl sends as protobuf", () =>
      Effect.gen(function*() {
        yield* kubectl("create namespace made")
        yield* kubectl("create configmap c -n made --from-literal=colour=blue")
        yield* kubectl("create secret generic s -n made --from-literal=word=hush")
        yield* kubectl("create serviceaccount robot -n made")
        yield* kubectl("create role reader -n made --verb=get,list --resource=pods")
        yield* kubectl("create rolebinding robot-reads -n made --role=reader --serviceaccount=made:robot")
        yield* kubectl("create service clusterip front -n made --tcp=80:8080")
        yield* kubectl("create job once -n made --image=busybox:1 -- true")
        yield* kubectl("create cronjob often -n made --image=busybox:1 --schedule=@hourly -- true")
        yield* kubectl("create poddisruptionbudget few -n made --selector=app=web --min-available=1")
        assert.match(yield* kubectl("get cronjobs -n made"), /often\s+@hourly\s+<none>\s+False\s+0\s+<none>/)
        assert.strictEqual(yield* kubectl("get configmap c -n made -o jsonpath={.data.colour}"), "blue")
        assert.strictEqual(yield* kubectl("get secret s -n made -o jsonpath={.data.word}"), "aHVzaA==")
        assert.strictEqual(yield* kubectl("get role reader -n made -o jsonpath={.rules[0].apiGroups}"), "[\"\"]")
        assert.strictEqual(yield* kubectl("get service front -n made -o jsonpath={.spec.ports[0].targetPort}"), "8080")
        const robot = "--as=system:serviceaccount:made:robot"
        assert.strictEqual((yield* kubectl(`auth can-i list pods -n made ${robot}`)).trim(), "yes")
        assert.match(yield* failing(`delete configmap c -n made ${robot}`), /cannot delete resource "configmaps"/)
      }))

    it.effect("applies, changes and deletes, client-side and server-side", () =>
      Effect.gen(function*() {
        const first = applied("ConfigMap", "mine", { data: { a: "1", b: "2" } })
        assert.include(yield* kubectl("apply -f -", first), "created")
        assert.include(yield* kubectl("apply -f -", first), "unchanged")
        assert.include(yield* kubectl("apply -f -", applied("ConfigMap", "mine", { data: { a: "3" } })), "configured")
        assert.strictEqual(yield* kubectl("get cm mine -o jsonpath={.data}"), `{"a":"3"}`)
        yield* kubectl("apply --server-side -f -", applied("ConfigMap", "theirs", { data: { a: "1", b: "2" } }))
        yield* kubectl("apply --server-side -f -", applied("ConfigMap", "theirs", { data: { b: "4" } }))
        assert.strictEqual(yield* kubectl("get cm theirs -o jsonpath={.data}"), `{"b":"4"}`)
        assert.match(
          yield* failing(
            "apply --server-side --field-manager=other -f -",
            applied("ConfigMap", "theirs", { data: { b: "5" } })
          ),
          /conflict with "kubectl": \.data\.b/
        )
        yield* kubectl("label cm mine tier=edge")
        yield* kubectl("annotate cm mine note=kept")
        yield* kubectl(`patch cm mine -p {"data":{"c":"9"}}`)
        yield* kubectl(`patch cm mine --type=json -p [{"op":"remove","path":"/data/c"}]`)
        assert.match(yield* kubectl("get cm -l tier=edge --show-labels"), /mine\s+1\s+\S+\s+tier=edge/)
        yield* kubectl("delete cm mine theirs")
        assert.match(yield* failing("get cm mine"), /configmaps "mine" not found/)
      }))

    it.effect("says which field is wrong", () =>
      Effect.gen(function*() {
        assert.match(
          yield* failing("create -f -", pod("bad", { spec: { containers: [] } })),
          /The Pod "bad" is invalid: spec.containers: Required value/
        )
        assert.match(yield* failing("create -f -", pod("Bad")), /metadata.name: Invalid value: "Bad"/)
      }))

    it.effect("rolls a deployment out over nodes, scales it and shows it", () =>
      Effect.gen(function*() {
        yield* kubelet
        yield* kubectl("create -f -", node("one"))
        yield* kubectl("create deployment web --image=nginx:1 --replicas=2")
        assert.include(yield* kubectl("rollout status deployment/web --timeout=20s"), "successfully rolled out")
        yield* kubectl("scale deployment web --replicas=3")
        yield* kubectl("wait --for=jsonpath={.status.readyReplicas}=3 deployment/web --timeout=20s")
        yield* kubectl("set image deployment/web nginx=nginx:2")
        yield* kubectl("rollout status deployment/web --timeout=20s")
        assert.match(yield* kubectl("get deployment web"), /web\s+3\/3\s+3\s+3/)
        assert.match(
          yield* kubectl("get pods -l app=web -o wide"),
          /web-\S+\s+1\/1\s+Running\s+0\s+\S+\s+10\.1\.2\.3\s+one/
        )
        assert.match(yield* kubectl("get nodes"), /one\s+Ready/)
        yield* kubectl("wait --for=condition=Ready pod -l app=web --timeout=20s")
        const described = yield* kubectl("describe deployment web")
        assert.match(described, /ScalingReplicaSet/)
        assert.match(yield* kubectl("describe pods -l app=web"), /Successfully assigned default\/web-/)
        assert.match(yield* kubectl("describe node one"), /Non-terminated Pods:\s+\(\d+ in total\)/)
        yield* kubectl("expose deployment web --port=80")
        yield* kubectl("wait --for=jsonpath={.subsets[0].addresses[0].ip}=10.1.2.3 endpoints/web --timeout=20s")
        yield* kubectl("rollout undo deployment/web")
        yield* kubectl("rollout status deployment/web --timeout=20s")
        assert.strictEqual(
          yield* kubectl("get deployment web -o jsonpath={.spec.template.spec.containers[0].image}"),
          "nginx:1"
        )
        yield* kubectl("cordon one")
        assert.match(yield* kubectl("get node one"), /Ready,SchedulingDisabled/)
        yield* kubectl("drain one --timeout=20s --ignore-daemonsets --force")
        yield* kubectl("delete deployment,service web --cascade=foreground --timeout=20s")
        assert.match((yield* kubectl("get replicasets,endpointslices -l app=web -o name")).trim(), /^$/)
      }).pipe(Effect.scoped))

    it.effect("waits for a StatefulSet that starts, and for one that rolls", () =>
      Effect.gen(function*() {
        yield* kubelet
        yield* kubectl("create -f -", node("shelf"))
        const labels = { app: "store" }
        const containers = [{ name: "c", image: "nginx:1" }]
        yield* kubectl("create -f -", {
          apiVersion: "apps/v1",
          kind: "StatefulSet",
          metadata: { name: "store" },
          spec: {
            replicas: 2,
            serviceName: "store",
            selector: { matchLabels: labels },
            template: { metadata: { labels }, spec: { containers } }
          }
        })
        assert.include(yield* kubectl("rollout status statefulset/store --timeout=20s"), "roll out complete")
        yield* kubectl("set image statefulset/store c=nginx:2")
        assert.include(yield* kubectl("rollout status statefulset/store --timeout=20s"), "roll out complete")
        const images = "jsonpath={.items[*].spec.containers[0].image}"
        assert.strictEqual(yield* kubectl(`get pods -l app=store -o ${images}`), "nginx:2 nginx:2")
        yield* kubectl("delete statefulset store --cascade=foreground --timeout=20s")
        yield* kubectl("delete node shelf")
      }).pipe(Effect.scoped))

    it.effect("streams a watch as a table", () =>
      Effect.gen(function*() {
        const { home, config } = yield* Kubectl
        // kubectl writes a line cell by cell, so that what arrives at once may be a part of one.
        let written = ""
        const lines = () => written.split("\n")
        yield* Effect.acquireRelease(
          Effect.sync(() => {
            const child = spawn(kubectlPath, [
              `--cache-dir=${home}/cache`,
              "get",
              "cm",
              "-w",
              "--field-selector=metadata.name=seen"
            ], {
              env: { PATH: process.env["PATH"], HOME: home, KUBECONFIG: config }
            })
            child.stdout.on("data", (chunk: Buffer) => written += chunk.toString())
            return child
          }),
          (child) => Effect.sync(() => child.kill("SIGKILL"))
        )
        yield* kubectl("create configmap unseen")
        yield* kubectl("create configmap seen --from-literal=a=1")
        const some = (pattern: RegExp) =>
          Effect.suspend(() => lines().some((line) => pattern.test(line)) ? Effect.void : Effect.fail("not yet"))
            .pipe(Effect.retry(Schedule.spaced("20 millis")), Effect.timeout("10 seconds"))
        yield* some(/^NAME\s+DATA\s+AGE/)
        yield* some(/^seen\s+1/)
        yield* kubectl(`patch cm seen -p {"data":{"b":"2"}}`)
        yield* some(/^seen\s+2/)
        assert.isFalse(lines().some((line) => line.startsWith("unseen")))
        yield* kubectl("delete cm seen unseen")
      }).pipe(Effect.scoped))

    it.effect("explains, makes tokens and answers can-i", () =>
      Effect.gen(function*() {
        assert.match(yield* kubectl("explain pod.spec.containers.image"), /Container image name/)
        const token = (yield* kubectl("create token default --duration=20m")).trim()
        assert.strictEqual(token.split(".").length, 3)
        assert.strictEqual((yield* kubectl("auth can-i create pods")).trim(), "yes")
        const { run, embedded } = yield* Kubectl
        const args = [
          `--server=${embedded.url}`,
          `--token=${token}`,
          "--kubeconfig=/dev/null",
          "--insecure-skip-tls-verify"
        ]
        const refused = yield* run([...args, "auth", "can-i", "create", "pods"])
        assert.strictEqual(refused.out.trim(), "no")
        const whoami = yield* run([...args, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"])
        assert.strictEqual(whoami.out, "system:serviceaccount:default:default")
        const list = yield* run([...args, "get", "pods"])
        assert.match(
          list.err,
          /pods is forbidden: User "system:serviceaccount:default:default" cannot list resource "pods" in API group "" in the namespace "default"/
        )
      }))

    it.effect("serves a custom resource as soon as its definition is created", () =>
      Effect.gen(function*() {
        yield* kubectl("create -f -", lampDefinition)
        yield* kubectl("wait --for=condition=Established crd/lamps.test.example --timeout=10s")
        const lamp = (spec: JsonObject) => ({
          apiVersion: "test.example/v1",
          kind: "Lamp",
          metadata: { name: "desk" },
          spec
        })
        assert.match(yield* failing("create -f -", lamp({ colour: "grey" })), /spec.colour: Unsupported value: "grey"/)
        assert.match(yield* failing("create -f -", lamp({ coulour: "red" })), /unknown field "spec.coulour"/)
        yield* kubectl("apply -f -", lamp({ colour: "red" }))
        assert.match(yield* kubectl("get lamps"), /NAME\s+COLOUR\s+AGE\s+desk\s+red/)
        assert.match(yield* kubectl("get lp -o wide"), /NAME\s+COLOUR\s+BRIGHTNESS\s+AGE\s+desk\s+red\s+50/)
        yield* kubectl("apply -f -", lamp({ colour: "blue" }))
        yield* kubectl(`patch lamp desk --subresource=status --type=merge -p {"status":{"on":true}}`)
        assert.strictEqual(
          yield* kubectl("get lamp desk -o jsonpath={.metadata.generation},{.spec.brightness},{.status.on}"),
          "2,50,true"
        )
        assert.match(yield* kubectl("explain lamp.spec"), /brightness/)
        yield* kubectl("delete crd lamps.test.example")
        // kubectl still knows the name from its cache; the server does not serve it any more.
        assert.match(yield* failing("get lamps"), /could not find the requested resource|doesn't have a resource type/)
      }))

    it.effect("empties a namespace before it lets it go", () =>
      Effect.gen(function*() {
        yield* kubectl("create namespace gone")
        yield* kubectl("create configmap left -n gone")
        yield* kubectl("delete namespace gone --timeout=20s")
        assert.match(yield* failing("get namespace gone"), /not found/)
        assert.strictEqual((yield* kubectl("get cm -A -o name")).includes("left"), false)
      }))

    it.effect("fetches logs from the node's kubelet in the kubelet's own words", () =>
      Effect.gen(function*() {
        const { port, requests } = yield* fakeKubelet
        const status = {
          addresses: [{ type: "InternalIP", address: "127.0.0.1" }],
          daemonEndpoints: { kubeletEndpoint: { Port: port } }
        }
        yield* kubectl("create -f -", node("two", { status, labels: { where: "two" } }))
        yield* kubectl("create -f -", pod("chatty", { spec: { nodeName: "two" } }))
        assert.strictEqual(yield* kubectl("logs chatty --tail=5 --timestamps"), "hello from the device\n")
        assert.strictEqual(
          requests[0],
          "GET /containerLogs/default/chatty/c?timestamps=true&tailLines=5 kube-apiserver-kubelet-client"
        )
        assert.match(yield* failing("logs chatty -p"), /previous terminated container "c" in pod "chatty" not found/)
        assert.strictEqual(
          yield* kubectl("get --raw /api/v1/nodes/two/proxy/metrics/resource"),
          "hello from the device\n"
        )
        yield* failing("exec chatty -- true")
        const exec = requests.find((line) => line.includes("/exec/")) ?? ""
        assert.match(
          exec,
          /^POST \/exec\/default\/chatty\/c\?command=true&output=1&error=1 SPDY\/3\.1 .*v4\.channel\.k8s\.io/
        )
        yield* kubectl("delete pod chatty --force --grace-period=0")
        yield* kubectl("delete node two")
      }).pipe(Effect.scoped))
  })
})

const lampDefinition: JsonObject = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "lamps.test.example" },
  spec: {
    group: "test.example",
    scope: "Namespaced",
    names: { plural: "lamps", kind: "Lamp", shortNames: ["lp"] },
    versions: [{
      name: "v1",
      served: true,
      storage: true,
      subresources: { status: {} },
      additionalPrinterColumns: [
        { name: "Colour", type: "string", jsonPath: ".spec.colour" },
        { name: "Brightness", type: "integer", jsonPath: ".spec.brightness", priority: 1 },
        { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" }
      ],
      schema: {
        openAPIV3Schema: {
          type: "object",
          properties: {
            spec: {
              type: "object",
              required: ["colour"],
              properties: {
                colour: { type: "string", enum: ["red", "blue"] },
                brightness: { type: "integer", minimum: 0, maximum: 100, default: 50 }
              }
            },
            status: { type: "object", properties: { on: { type: "boolean" } } }
          }
        }
      }
    }]
  }
}

/** A kubelet that answers logs and refuses the rest, and remembers how it was asked and by whom. */
const fakeKubelet = Effect.gen(function*() {
  const requests: Array<string> = []
  const start = new Date(Date.now() - 60_000)
  const end = new Date(Date.now() + 3_600_000)
  const authority = createAuthority("kubelets", start, end)
  const { certificate, key } = createLeaf(authority, {
    subject: { commonName: "kubelet" },
    names: { ips: ["127.0.0.1"] },
    purposes: ["server auth"],
    notBefore: start,
    notAfter: end
  })
  const server = yield* Effect.acquireRelease(
    Effect.callback<Server>((resume) => {
      const made = createServer({ cert: certificate, key, requestCert: true, rejectUnauthorized: false })
      made.on("request", (request, response) => {
        const peer = (request.socket as unknown as { getPeerCertificate: () => { subject?: { CN?: string } } })
          .getPeerCertificate()
        requests.push(`${request.method} ${request.url} ${peer.subject?.CN ?? ""}`)
        if (request.url?.includes("previous=true")) {
          response.writeHead(400).end(`previous terminated container "c" in pod "chatty" not found`)
        } else response.end("hello from the device\n")
      })
      made.on("upgrade", (request, socket) => {
        requests.push(
          `${request.method} ${request.url} ${request.headers.upgrade} ${request.headers["x-stream-protocol-version"]}`
        )
        socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
      })
      made.listen(0, "127.0.0.1", () => resume(Effect.succeed(made)))
    }),
    (each) =>
      Effect.callback<void>((resume) => {
        each.close(() => resume(Effect.void))
        each.closeAllConnections()
      })
  )
  return { port: (server.address() as AddressInfo).port, requests }
})
