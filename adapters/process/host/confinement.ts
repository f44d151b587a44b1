/** How what runs on the host is held to the root, group and user that the owner of the device gave it. */
import { Effect } from "effect"
import { PodStreamError } from "../../../core/pod/PodRuntime.ts"
import { readIfThere } from "../disk.ts"
import type { Tools } from "../tools.ts"

/** `arhat.host.rootfs`, `.uid` and `.gid`; without any of them it runs as the agent itself does. */
export interface Confinement {
  readonly rootfs?: string
  readonly uid?: number
  /** That of the user where only the user is given. */
  readonly gid?: number
}

export const isConfined = ({ gid, rootfs, uid }: Confinement): boolean =>
  rootfs !== undefined || uid !== undefined || gid !== undefined

/** Who cannot take root's place away cannot put anybody else in it. */
export const checkConfinement = (confinement: Confinement, asRoot: boolean) =>
  asRoot || !isConfined(confinement) ? Effect.void : Effect.fail(
    new PodStreamError({
      reason: "Refused",
      detail: "arhat does not run as root and cannot hold anything to arhat.host.rootfs, uid and gid: "
        + "run it as root, or take those keys away"
    })
  )

/** Root first, then groups, then group, then user: chroot(1) of coreutils does it in this order, and leaves no other group. */
export const confined = (
  confinement: Confinement,
  tools: Tools,
  command: ReadonlyArray<string>
): ReadonlyArray<string> => {
  if (!isConfined(confinement)) return command
  const { rootfs = "/", uid } = confinement
  const gid = confinement.gid ?? uid
  const who = gid === undefined ? [] : [`--userspec=${uid === undefined ? "" : `+${uid}`}:+${gid}`, "--groups="]
  return [tools.path("chroot"), ...who, rootfs, ...command]
}

export interface Account {
  readonly home: string
  readonly shell: string
}

const plainShell = "/bin/sh"
/** Shells that are none, by the habit of system accounts. */
const noShell = /\/(nologin|false)$/

/** passwd(5) of the root it runs in. */
export const accountOf = ({ rootfs = "", uid = process.getuid?.() ?? 0 }: Confinement): Account => {
  const fields = (readIfThere(`${rootfs}/etc/passwd`) ?? "").split("\n").map((line) => line.split(":"))
    .find((line) => line[2] === `${uid}`)
  const [home = "", shell = ""] = fields?.slice(5, 7) ?? []
  return {
    home: home.startsWith("/") ? home : "/",
    shell: shell.startsWith("/") && !noShell.test(shell) ? shell : plainShell
  }
}
