import { assert, describe, it } from "@effect/vitest"
import { nodeOfForwardedUri, parsePath } from "../../../core/kubelet/KubeletRequest.ts"
import { requiredAccess } from "../../../core/kubelet/requiredAccess.ts"

const pod = { namespace: "shop", pod: "web" }

describe("the paths of the kubelet API", () => {
  it.each(
    [
      ["/containerLogs/shop/web/main", { _tag: "ContainerLogs", ...pod, container: "main" }],
      ["/exec/shop/web/main", { _tag: "Exec", ...pod, uid: undefined, container: "main" }],
      ["/exec/shop/web/u-1/main", { _tag: "Exec", ...pod, uid: "u-1", container: "main" }],
      ["/attach/shop/web/main", { _tag: "Attach", ...pod, uid: undefined, container: "main" }],
      ["/attach/shop/web/u-1/main", { _tag: "Attach", ...pod, uid: "u-1", container: "main" }],
      ["/run/shop/web/u-1/main", { _tag: "Run", ...pod, uid: "u-1", container: "main" }],
      ["/checkpoint/shop/web/main", { _tag: "Checkpoint", ...pod, uid: undefined, container: "main" }],
      ["/checkpoint/shop/web", { _tag: "Unknown" }],
      ["/portForward/shop/web", { _tag: "PortForward", ...pod, uid: undefined }],
      ["/portForward/shop/web/u-1", { _tag: "PortForward", ...pod, uid: "u-1" }],
      ["/pods", { _tag: "Pods" }],
      ["/pods/", { _tag: "Pods" }],
      ["/runningpods/", { _tag: "RunningPods" }],
      ["/healthz", { _tag: "Healthz", check: "" }],
      ["/healthz/syncloop", { _tag: "Healthz", check: "syncloop" }],
      ["/stats/summary", { _tag: "StatsSummary" }],
      ["/metrics", { _tag: "Metrics", family: "" }],
      ["/metrics/resource", { _tag: "Metrics", family: "resource" }],
      ["/configz", { _tag: "Configz" }],
      ["/logs/", { _tag: "NodeLogs", file: "" }],
      ["/logs/syslog", { _tag: "NodeLogs", file: "syslog" }],
      ["/logs/pods/a%20b/", { _tag: "NodeLogs", file: "pods/a b" }],
      ["/logs/../etc/shadow", { _tag: "Unknown" }],
      ["/logs/..%2fetc", { _tag: "Unknown" }],
      ["/", { _tag: "Unknown" }],
      ["/containerLogs/shop/web", { _tag: "Unknown" }],
      ["/containerLogs/shop/web/main/more", { _tag: "Unknown" }],
      ["/containerLogs/shop//main", { _tag: "Unknown" }],
      ["/containerLogs/shop/..%2fweb/main", { _tag: "Unknown" }],
      ["/containerLogs/../pods", { _tag: "Unknown" }],
      ["/%zz", { _tag: "Unknown" }],
      ["/exec/a/b/c/d/e", { _tag: "Unknown" }],
      ["/metrics/other", { _tag: "Unknown" }],
      ["/PODS", { _tag: "Unknown" }]
    ] as const
  )("%s", (path, request) => {
    assert.deepStrictEqual(parsePath(path).request as unknown, request)
    assert.isUndefined(parsePath(path).node)
  })

  it("a node may stand in front of node-level paths, not of a pod's", () => {
    assert.deepInclude(parsePath("/metrics/nodes/edge-1/metrics/resource"), {
      node: "edge-1",
      path: "/metrics/resource",
      request: { _tag: "Metrics", family: "resource" }
    })
    assert.deepInclude(parsePath("/metrics/nodes/edge-1/pods"), { node: "edge-1", request: { _tag: "Pods" } })
    assert.deepInclude(parsePath("/metrics/nodes/edge-1/exec/a/b/c"), { request: { _tag: "Unknown" } })
    assert.deepInclude(parsePath("/metrics/nodes/edge-1"), { node: "edge-1", request: { _tag: "Unknown" } })
  })

  it("the API server's node proxy names the node, if the rest agrees", () => {
    const node = (uri: string, path = "/metrics/resource") => nodeOfForwardedUri(uri, path)
    assert.strictEqual(node("/api/v1/nodes/edge-1/proxy/metrics/resource"), "edge-1")
    assert.strictEqual(node("/api/v1/nodes/edge-1/proxy/metrics/resource?x=/y"), "edge-1")
    assert.strictEqual(node("https://host:6443/api/v1/nodes/edge-1/proxy/metrics/resource"), "edge-1")
    assert.strictEqual(node("/api/v1/nodes/https:edge-1:10250/proxy/metrics/resource"), "edge-1")
    assert.strictEqual(node("/api/v1/nodes/edge-1:10250/proxy/metrics/resource"), "edge-1")
    assert.strictEqual(node("/api/v1/nodes/edge-1/proxy/", "/"), "edge-1")
    for (
      const other of [
        "/api/v1/nodes/edge-1/proxy/pods",
        "/api/v1/nodes//proxy/metrics/resource",
        "/api/v1/namespaces/a/pods/b/proxy/metrics/resource",
        "/api/v1/nodes/a:b:c:d/proxy/metrics/resource",
        "/api/v1/nodes/%zz/proxy/metrics/resource"
      ]
    ) assert.isUndefined(node(other), other)
  })
})

describe("the right that a request needs", () => {
  it.each(
    [
      ["GET", "/containerLogs/a/b/c", "get proxy"],
      ["GET", "/exec/a/b/c", "create proxy"],
      ["POST", "/exec/a/b/c", "create proxy"],
      ["GET", "/attach/a/b/c", "create proxy"],
      ["GET", "/portForward/a/b", "create proxy"],
      ["PUT", "/run/a/b/c", "create proxy"],
      ["GET", "/exec/a/b", "create proxy"],
      ["GET", "/pods", "get pods,proxy"],
      ["GET", "/runningpods/", "get pods,proxy"],
      ["GET", "/healthz/ping", "get healthz,proxy"],
      ["GET", "/configz", "get configz,proxy"],
      ["GET", "/flagz", "get configz"],
      ["GET", "/statusz", "get statusz"],
      ["GET", "/stats/summary", "get stats"],
      ["POST", "/stats/summary", "create stats"],
      ["GET", "/metrics", "get metrics"],
      ["GET", "/metrics/cadvisor", "get metrics"],
      ["GET", "/metrics/nodes/n/pods", "get pods,proxy"],
      ["GET", "/metrics/nodes/n/stats/summary", "get stats"],
      ["GET", "/logs/", "get log"],
      ["POST", "/checkpoint/a/b/c", "create checkpoint"],
      ["HEAD", "/pods", "get pods,proxy"],
      ["PUT", "/pods", "update pods,proxy"],
      ["PATCH", "/pods", "patch pods,proxy"],
      ["DELETE", "/pods", "delete pods,proxy"],
      ["TRACE", "/pods", "trace pods,proxy"],
      ["GET", "/debug/pprof/heap", "get proxy"],
      ["GET", "/nowhere", "get proxy"]
    ] as const
  )("%s %s needs %s", (method, path, access) => {
    const { subresources, verb } = requiredAccess(method, parsePath(path))
    assert.strictEqual(`${verb} ${subresources.join(",")}`, access)
  })
})
