/** A real nginx of the test's own, configured as ingress-nginx configures its own for gRPC; ended with the scope. */
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freePorts } from "./freePorts.ts"

const program = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"].find(existsSync)
const streamModule = "/usr/lib/nginx/modules/ngx_stream_module.so"

export const hasNginx = program !== undefined && existsSync(streamModule)
if (!hasNginx) {
  console.warn("SKIPPED: no nginx with its stream module here (apt-get install nginx libnginx-mod-stream)")
}

export interface Nginx {
  /** TLS ends here; requests go to the backend by their authority. */
  readonly httpsPort: number
  /** TLS goes through; connections go to the backend by the server name they ask for. */
  readonly passthroughPort: number
  /** Connections of the former workers end within two seconds. */
  readonly reload: Effect.Effect<void>
  readonly stop: Effect.Effect<void>
  readonly start: Effect.Effect<void>
  /** Authorities of the requests that have ended. */
  readonly authorities: () => ReadonlyArray<string>
}

/** `hosts`: host name to PEM files of its certificate, and the ports of its backend, plain and with TLS. */
export const nginx = Effect.fnUntraced(function*(
  hosts: Readonly<
    Record<string, {
      readonly cert: Uint8Array
      readonly key: Uint8Array
      readonly plainPort: number
      readonly tlsPort: number
    }>
  >
): Effect.fn.Return<Nginx, never, Scope.Scope> {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "aranya-nginx-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )
  const [httpsPort = 0, passthroughPort = 0] = yield* freePorts(2)
  for (const [host, { cert, key }] of Object.entries(hosts)) {
    writeFileSync(join(directory, `${host}.crt`), cert)
    writeFileSync(join(directory, `${host}.key`), key, { mode: 0o600 })
  }
  const [first = ""] = Object.keys(hosts)
  const server = (host: string, plainPort: number) => `
  server {
    listen 127.0.0.1:${httpsPort} ssl http2;
    server_name ${host};
    ssl_certificate ${directory}/${host}.crt;
    ssl_certificate_key ${directory}/${host}.key;
    location /aranya.link.v1.Link/ {
      client_max_body_size 0;
      grpc_set_header Host $http_host;
      grpc_read_timeout 300s;
      grpc_send_timeout 300s;
      grpc_pass grpc://127.0.0.1:${plainPort};
    }
  }`
  writeFileSync(
    join(directory, "conf"),
    `
daemon off;
${process.getuid?.() === 0 ? "user root;" : ""}
load_module ${streamModule};
worker_processes 2;
worker_shutdown_timeout 2s;
pid ${directory}/pid;
error_log ${directory}/error.log warn;
events { worker_connections 512; }
http {
  log_format authority '$host';
  access_log ${directory}/access.log authority;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  client_body_timeout 300s;
  server {
    listen 127.0.0.1:${httpsPort} ssl http2 default_server;
    ssl_certificate ${directory}/${first}.crt;
    ssl_certificate_key ${directory}/${first}.key;
    return 404;
  }
  ${Object.entries(hosts).map(([host, { plainPort }]) => server(host, plainPort)).join("\n")}
}
stream {
  map $ssl_preread_server_name $backend {
    ${Object.entries(hosts).map(([host, { tlsPort }]) => `${host} 127.0.0.1:${tlsPort};`).join("\n    ")}
  }
  server {
    listen 127.0.0.1:${passthroughPort};
    ssl_preread on;
    proxy_pass $backend;
  }
}
`
  )

  const answers = (port: number) =>
    Effect.callback<boolean>((resume) => {
      const socket = connect(port, "127.0.0.1")
      socket.once("connect", () => resume(Effect.succeed(true)))
      socket.once("error", () => resume(Effect.succeed(false)))
      return Effect.sync(() => socket.destroy())
    }).pipe(Effect.tap(() => Effect.void))

  let child: ChildProcess | undefined
  let output = ""
  const stop = Effect.suspend(() => {
    const running = child
    child = undefined
    if (running === undefined || running.exitCode !== null) return Effect.void
    return Effect.callback<void>((resume) => {
      running.once("exit", () => resume(Effect.void))
      // Fast: connections are cut.
      running.kill("SIGTERM")
    })
  })
  const start = Effect.gen(function*() {
    const running = spawn(program ?? "nginx", ["-p", directory, "-c", join(directory, "conf")], {
      stdio: ["ignore", "ignore", "pipe"]
    })
    child = running
    running.stderr?.on("data", (text: Buffer) => (output = (output + text.toString()).slice(-20_000)))
    for (const port of [httpsPort, passthroughPort]) {
      while (!(yield* answers(port))) {
        if (running.exitCode !== null) throw new Error(`nginx ended: ${output}`)
        yield* Effect.sleep("50 millis")
      }
    }
  })
  yield* Effect.acquireRelease(start, () => stop)
  return {
    httpsPort,
    passthroughPort,
    reload: Effect.sync(() => void child?.kill("SIGHUP")),
    stop,
    start,
    authorities: () => {
      const log = join(directory, "access.log")
      return existsSync(log) ? readFileSync(log, "utf8").split("\n").filter((line) => line !== "") : []
    }
  }
})
