/** The images of the scenarios and what they run where a pod says nothing else. */

export const busybox = "conformance/busybox:1.36"
/** Prints the words it was started with. */
export const talker = "conformance/talker:1.0"
export const pause = "conformance/pause:3.9"

interface Defaults {
  readonly entrypoint: ReadonlyArray<string>
  readonly arguments: ReadonlyArray<string>
}

const none: Defaults = { entrypoint: [], arguments: ["true"] }

const known: ReadonlyMap<string, Defaults> = new Map([
  [talker, { entrypoint: ["tell", "entrypoint"], arguments: ["default", "arguments"] }],
  [pause, { entrypoint: ["pause"], arguments: [] }]
])

/** The words of the process, as an engine joins them: a command of one's own makes the image's arguments void. */
export const wordsOf = (
  { args, command, image }: {
    readonly image: string
    readonly command: ReadonlyArray<string>
    readonly args: ReadonlyArray<string>
  }
): ReadonlyArray<string> => {
  const defaults = known.get(image) ?? none
  if (command.length > 0) return [...command, ...args]
  return [...defaults.entrypoint, ...(args.length > 0 ? args : defaults.arguments)]
}
