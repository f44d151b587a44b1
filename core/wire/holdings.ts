/** What a device holds, and the digest by which two sides see at once that they agree. */
import { create, toBinary } from "@bufbuild/protobuf"
import { Effect, Schema } from "effect"
import { type Held, HeldSchema } from "../gen/aranya/wire/v1/message_pb.ts"
import { Cryptography } from "../link/Cryptography.ts"
import { hashFields, hashOf, uidFields, uidOf } from "./identity.ts"
import { limits } from "./limits.ts"
import { bounded, count, long } from "./message.ts"

/** One pod on a device: which version of its assignment, and the number of its newest report. */
export const HeldPod = Schema.Struct({
  uid: Schema.String,
  hash: Schema.String,
  /** 0 while there is none. */
  reportNumber: Schema.Number
})
export type HeldPod = typeof HeldPod.Type

export const heldMessage = (pods: ReadonlyArray<HeldPod>): Held =>
  create(HeldSchema, {
    pods: pods
      .toSorted((a, b) => a.uid < b.uid ? -1 : a.uid > b.uid ? 1 : 0)
      .map(({ hash: text, reportNumber, uid }) => {
        const [hash, hashText] = hashFields(text)
        return { ...uidFields(uid), hash, hashText, reportNumber: long(reportNumber) }
      })
  })

export const heldValue = ({ pods }: Held): ReadonlyArray<HeldPod> =>
  bounded(pods, limits.parts).map((pod) => ({
    uid: uidOf(pod),
    hash: hashOf(pod.hash, pod.hashText),
    reportNumber: count(pod.reportNumber)
  }))

const domain = new TextEncoder().encode("aranya held v1\n")

/** 32 bytes over all that a device holds, whatever the order of the list. */
export const holdingsDigest = Effect.fnUntraced(function*(pods: ReadonlyArray<HeldPod>) {
  const { sha256 } = yield* Cryptography
  return sha256(domain, toBinary(HeldSchema, heldMessage(pods)))
})
