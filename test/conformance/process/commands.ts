/** What the programs of the scenarios' images do. Each speaks as its namesake does and knows only what its container was given. */
import { Effect } from "effect"
import type { ContainerSpec, SandboxSpec } from "../../../core/pod/ContainerRuntime.ts"
import { type FileView, identityOf, NoFile } from "./FileView.ts"
import { parseScript, type Step } from "./shell.ts"

export interface Inside {
  readonly spec: ContainerSpec
  readonly sandbox: SandboxSpec | undefined
  readonly files: FileView
  readonly print: (text: string) => Effect.Effect<void>
}

type Command = (words: ReadonlyArray<string>, inside: Inside) => Effect.Effect<number>

/** Ends with 1 and the reason where a file says no. */
const onFiles = (work: (words: ReadonlyArray<string>, files: FileView) => string): Command => (words, inside) =>
  Effect.suspend(() => {
    try {
      return Effect.as(inside.print(work(words, inside.files)), 0)
    } catch (cause) {
      if (cause instanceof NoFile) return Effect.as(inside.print(`${cause.message}\n`), 1)
      throw cause
    }
  })

const says = (text: (inside: Inside) => string): Command => (_, inside) => Effect.as(inside.print(text(inside)), 0)

const lines = (all: ReadonlyArray<string>) => all.map((line) => `${line}\n`).join("")

const id: Command = ([what], inside) => {
  const { gid, groups, uid } = identityOf(inside.spec)
  const text = what === "-u" ? uid : what === "-g" ? gid : [...new Set(groups)].join(" ")
  return Effect.as(inside.print(`${text}\n`), 0)
}

const repeat: Command = (words, inside) =>
  Effect.forever(Effect.andThen(runWords(words, inside), Effect.sleep("2 seconds")))

const sh: Command = Effect.fnUntraced(function*([flag, script = ""], inside) {
  if (flag !== "-c") return 0
  const lookup = (name: string) => inside.spec.env.find((entry) => entry.name === name)?.value ?? ""
  let code = 0
  for (const step of parseScript(script, lookup)) {
    if (step.onSuccess && code !== 0) continue
    if (step.words[0] === "exit") return Number(step.words[1] ?? code)
    code = yield* runStep(step, inside)
  }
  return code
})

const runStep = Effect.fnUntraced(function*({ into, words }: Step, inside: Inside) {
  if (into === undefined) return yield* runWords(words, inside)
  let caught = ""
  const code = yield* runWords(words, {
    ...inside,
    print: (text) =>
      Effect.sync(() => {
        caught += text
      })
  })
  const written = yield* onFiles((_, files) => {
    files.write(into.path, caught, into.how)
    return ""
  })([], inside)
  return written === 0 ? code : written
})

const commands: Readonly<Record<string, Command>> = {
  sh,
  repeat,
  id,
  pause: () => Effect.never,
  true: () => Effect.succeed(0),
  false: () => Effect.succeed(1),
  sleep: ([seconds]) => Effect.as(Effect.sleep(Number(seconds ?? 0) * 1000), 0),
  echo: (words, inside) => {
    const bare = words[0] === "-n"
    return Effect.as(inside.print(words.slice(bare ? 1 : 0).join(" ") + (bare ? "" : "\n")), 0)
  },
  tell: (words, inside) => Effect.as(inside.print(`[${["tell", ...words].join(" ")}]\n`), 0),
  "tell-otherwise": (words, inside) => Effect.as(inside.print(`[${["tell-otherwise", ...words].join(" ")}]\n`), 0),
  env: says(({ spec }) => lines(spec.env.map(({ name, value }) => `${name}=${value}`))),
  hostname: says(({ sandbox }) => `${sandbox?.hostname ?? ""}\n`),
  cat: onFiles((paths, files) => paths.map((path) => files.read(path).toString()).join("")),
  base64: onFiles(([path = ""], files) => `${files.read(path).toString("base64")}\n`),
  ls: onFiles(([path = ""], files) => lines(files.list(path))),
  permissions: onFiles((paths, files) => lines(paths.map((path) => `${path} ${files.permissions(path)}`))),
  owner: onFiles((paths, files) => lines(paths.map((path) => `${path} ${files.owner(path)}`))),
  chmod: onFiles(([mode = "", path = ""], files) => {
    files.chmod(path, Number.parseInt(mode, 8))
    return ""
  }),
  touch: onFiles(([path = ""], files) => {
    files.write(path, "", "append")
    return ""
  }),
  mkdir: onFiles(([path = ""], files) => {
    files.makeDirectory(path)
    return ""
  }),
  /** `once MARK CODE WORDS`: ends with the code the first time and leaves its mark; later it does what the words say. */
  once: ([mark = "", code, ...words], inside) =>
    Effect.suspend(() => {
      if (inside.files.exists(mark)) return runWords(words, inside)
      inside.files.write(mark, "", "replace")
      return Effect.succeed(Number(code))
    }),
  test: ([, path = ""], { files }) => Effect.sync(() => files.exists(path) ? 0 : 1),
  sysctl: ([name = ""], inside) => Effect.as(inside.print(`${name} = ${inside.sandbox?.sysctls[name] ?? "0"}\n`), 0),
  /** A program owned by root with the setuid bit: what no_new_privs keeps from working. */
  setuid: says(({ spec }) => `Effective uid: ${spec.security.allowPrivilegeEscalation ? 0 : identityOf(spec).uid}\n`),
  /** Adds a network interface, as only the privileged may. */
  "add-interface": (_, inside) =>
    inside.spec.security.privileged
      ? Effect.succeed(0)
      : Effect.as(inside.print("RTNETLINK answers: Operation not permitted\n"), 2)
}

/** The bare name, whatever directory stands before it. */
const named = (word = "") => word.slice(word.lastIndexOf("/") + 1)

export const isKnown = ([name]: ReadonlyArray<string>): boolean => Object.hasOwn(commands, named(name))

const runWords = (words: ReadonlyArray<string>, inside: Inside): Effect.Effect<number> =>
  Effect.suspend(() => {
    const command = isKnown(words) ? commands[named(words[0])] : undefined
    return command === undefined
      ? Effect.as(inside.print(`${words[0]}: not found\n`), 127)
      : command(words.slice(1), inside)
  })

export const runCommand = runWords
