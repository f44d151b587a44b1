/**
 * One device, one life: each session issues the next lineage token. A device that shows the token it showed last, or any that was
 * issued since, goes on; anything older is a copy. Several are issued where an answer was lost, or where an operator that was
 * slow lets in a device that has turned to another operator meanwhile: which of them is on its disk only the device knows.
 */
import type { DeviceLink } from "../device/EdgeDevice.ts"
import type { DeviceHello } from "../link/Hello.ts"

/** More tokens than these are not issued without the device showing one of them: the oldest no longer counts. */
const mostIssued = 8

export type Verdict = { readonly _tag: "Continue"; readonly link: DeviceLink } | { readonly _tag: "Duplicate" }

/** Decides about a device and, if it goes on, what its link is from now on. */
export const continueLineage = (
  link: DeviceLink,
  hello: Pick<DeviceHello, "epoch" | "journalId">,
  now: {
    /** Hex SHA-256 of the token the device showed; empty when it showed none. */
    readonly shown: string
    /** Hex SHA-256 of the token about to be issued. */
    readonly issued: string
    readonly holder: string
    /** base64 */
    readonly publicKey: string
    /** The owner lets a restored or reinstalled device in. */
    readonly readmit: boolean
  }
): Verdict => {
  const first = link.lineageHash === undefined
  const newest = link.lineageHash === now.shown && now.shown !== ""
  const before = link.previousLineageHash === now.shown && now.shown !== ""
  // A token was issued that the device never saw: it still shows none, with the journal it had.
  const neverSeen = now.shown === "" && link.previousLineageHash === undefined && link.journalId === hello.journalId
  const issued = link.issuedLineageHashes ?? []
  const between = issued.includes(now.shown)
  if (!first && !newest && !before && !between && !neverSeen && !now.readmit) return { _tag: "Duplicate" }

  const held = link.holder === now.holder ? link.epoch ?? 1 : (link.epoch ?? 0) + 1
  // Whatever it was let in with it shows again if the answer is lost, be it an earlier EdgeDevice's.
  const previous = now.shown === "" ? undefined : now.shown
  const { issuedLineageHashes: _, previousLineageHash: __, ...kept } = link
  const open = (before || neverSeen) && link.lineageHash !== undefined
    ? [...issued, link.lineageHash].slice(-mostIssued)
    : []
  return {
    _tag: "Continue",
    link: {
      ...kept,
      holder: now.holder,
      // A device refuses a lower epoch than it has seen: whoever learns of a higher one goes beyond it.
      epoch: hello.epoch > held ? hello.epoch + 1 : held,
      publicKey: now.publicKey,
      lineageHash: now.issued,
      journalId: hello.journalId,
      ...(previous === undefined ? {} : { previousLineageHash: previous }),
      ...(open.length === 0 ? {} : { issuedLineageHashes: open })
    }
  }
}
