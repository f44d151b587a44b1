/**
 * Reports of one session that both sides have: a pod's next one is told as what differs. Only reports of the same pod, or the
 * frozen dictionary, ever serve as one another's dictionary: lengths tell nothing of other pods.
 */
import { Effect } from "effect"
import type { Cryptography } from "../link/Cryptography.ts"
import type { PodReport } from "../pod/PodReport.ts"
import { decodeEvent, type Event } from "./Event.ts"
import { fromHex } from "./identity.ts"
import { limits } from "./limits.ts"
import { WireError } from "./WireError.ts"

/** The capability of a side that keeps what a delta needs. */
export const reportDelta = "report-delta"

/** Bytes of one report, and of all of a session; the oldest go first, and whose base is gone is told whole. */
const mostReport = 4 * 1024
const mostReports = 64 * 1024

type Delta = Event & { readonly _tag: "ReportDelta" }

export class ReportBases {
  private readonly cryptography: Cryptography["Service"]
  private readonly bases = new Map<string, { readonly number: number; readonly message: Uint8Array }>()
  private size = 0

  constructor(cryptography: Cryptography["Service"]) {
    this.cryptography = cryptography
  }

  /** What to say for an encoded event with a report of this pod. */
  pack(uid: string, message: Uint8Array): Pick<Delta, "base" | "delta" | "length"> | undefined {
    if (message.length > mostReport) return undefined
    const known = this.bases.get(uid)
    const delta = this.cryptography.deflate(message, known?.message ?? frozenReport)
    return { base: known?.number ?? 0, length: message.length, delta }
  }

  /** The encoded event; `NotFound` asks to be told the whole. */
  unpack(
    { base, delta, length, uid }: Delta
  ): Effect.Effect<{ readonly message: Uint8Array; readonly event: Event }, WireError> {
    const refuse = (detail: string) => Effect.fail(new WireError({ reason: "Invalid", subject: "ReportDelta", detail }))
    if (length > Math.min(mostReport, limits.event)) return refuse(`${length} bytes, at most ${mostReport} are allowed`)
    const known = this.bases.get(uid)
    const dictionary = base === 0 ? frozenReport : known?.number === base ? known.message : undefined
    if (dictionary === undefined) return refuse("the report it builds on is not known: tell the whole")
    const message = this.cryptography.inflate(delta, length, dictionary)
    if (message?.length !== length) return refuse("it does not inflate to what it said")
    return Effect.flatMap(decodeEvent(message), (event) =>
      event._tag === "PodReport" && event.report.uid === uid
        ? Effect.succeed({ message, event })
        : refuse("it is no report of that pod"))
  }

  /** The operator has acted on it, and has said so. */
  agree({ finished, number, uid }: PodReport, message: Uint8Array): void {
    this.forget(uid)
    if (finished || number <= 0 || message.length > mostReport) return
    this.bases.set(uid, { number, message })
    this.size += message.length
    for (const oldest of this.bases.keys()) {
      if (this.size <= mostReports) return
      this.forget(oldest)
    }
  }

  forget(uid: string): void {
    this.size -= this.bases.get(uid)?.message.length ?? 0
    this.bases.delete(uid)
  }
}

/** Base 0: two events with reports, of a pod that runs and of one that waits. Never to change; docs/protocol.md has it too. */
export const frozenReport = fromHex([
  "12d4010a10000000000000000000000000000000001a0764656661756c7422056170702d3028033a1d646f636b65722d7075",
  "6c6c61626c653a2f2f617070407368613235363a4080f2d6ca06480150026a04080230006a04080330006a04080530006a04",
  "080430006a04080130007a0b3139322e3136382e312e318a010a3137322e31372e302e3290010098012eaa01430a046d6169",
  "6e121c646f636b65722e696f2f6c6962726172792f6170703a6c6174657374188001282f3801400248015204120208005a0c",
  "1a0a0801182328003000382fb0017712b7010a10000000000000000000000000000000001a0764656661756c742205617070",
  "2d3028013a26636f6e7461696e657273207769746820756e7265616479207374617475733a205b6d61696e5d4080f2d6ca06",
  "480150016a060802100a30006a04080330006a0b0805100a180c20800130006a0b0804100a180c20800130006a0408013000",
  "7a0b3139322e3136382e312e3190010098012eaa011a0a046d61696e120a6170703a6c6174657374400152040a020813b001",
  "33"
].join(""))
