/** The Kubernetes messages clients send as protobuf (generated.proto of each API group), and their envelope. */
import { Result } from "effect"
import { type ApiFailure, badRequest, unsupportedMediaType } from "../object/ApiFailure.ts"
import { type JsonObject, objectAt, stringAt } from "../object/json.ts"
import { decodeMessage, type Message } from "./decode.ts"
import { metadata, workloadMessages } from "./workloadMessages.ts"

const resourceAttributes: Message = {
  1: ["namespace", "string"],
  2: ["verb", "string"],
  3: ["group", "string"],
  4: ["version", "string"],
  5: ["resource", "string"],
  6: ["subresource", "string"],
  7: ["name", "string"]
}
const nonResourceAttributes: Message = { 1: ["path", "string"], 2: ["verb", "string"] }

const deleteOptions: Message = {
  1: ["gracePeriodSeconds", "count"],
  2: ["preconditions", { 1: ["uid", "string"], 2: ["resourceVersion", "string"] }],
  3: ["orphanDependents", "flag"],
  4: ["propagationPolicy", "string"],
  5: ["dryRun", "string", "repeated"]
}

const condition: Message = {
  1: ["type", "string"],
  2: ["reason", "string"],
  3: ["message", "string"],
  4: ["lastUpdateTime", "time"],
  5: ["lastTransitionTime", "time"],
  6: ["status", "string"]
}

const certificateSigningRequest: Message = {
  1: ["metadata", metadata],
  2: ["spec", {
    1: ["request", "bytes"],
    2: ["username", "string"],
    3: ["uid", "string"],
    4: ["groups", "string", "repeated"],
    5: ["usages", "string", "repeated"],
    7: ["signerName", "string"],
    8: ["expirationSeconds", "integer"]
  }],
  3: ["status", { 1: ["conditions", condition, "repeated"], 2: ["certificate", "bytes"] }]
}

const messages: Readonly<Record<string, Message>> = {
  ...workloadMessages,
  TokenRequest: {
    1: ["metadata", metadata],
    2: ["spec", {
      1: ["audiences", "string", "repeated"],
      3: ["boundObjectRef", {
        1: ["kind", "string"],
        2: ["apiVersion", "string"],
        3: ["name", "string"],
        4: ["uid", "string"]
      }],
      4: ["expirationSeconds", "integer"]
    }]
  },
  TokenReview: {
    1: ["metadata", metadata],
    2: ["spec", { 1: ["token", "string"], 2: ["audiences", "string", "repeated"] }]
  },
  SelfSubjectAccessReview: {
    1: ["metadata", metadata],
    2: ["spec", { 1: ["resourceAttributes", resourceAttributes], 2: ["nonResourceAttributes", nonResourceAttributes] }]
  },
  SubjectAccessReview: {
    1: ["metadata", metadata],
    2: ["spec", {
      1: ["resourceAttributes", resourceAttributes],
      2: ["nonResourceAttributes", nonResourceAttributes],
      3: ["user", "string"],
      4: ["groups", "string", "repeated"],
      6: ["uid", "string"]
    }]
  },
  SelfSubjectRulesReview: { 1: ["metadata", metadata], 2: ["spec", { 1: ["namespace", "string"] }] },
  SelfSubjectReview: { 1: ["metadata", metadata] },
  CertificateSigningRequest: certificateSigningRequest,
  Eviction: { 1: ["metadata", metadata], 2: ["deleteOptions", deleteOptions] },
  DeleteOptions: deleteOptions
}

/** runtime.Unknown behind the magic number `k8s\0`. */
const envelope: Message = {
  1: ["typeMeta", { 1: ["apiVersion", "string"], 2: ["kind", "string"] }],
  2: ["raw", "bytes"]
}

const magic = [0x6b, 0x38, 0x73, 0x00]

export const decodeProtobuf = (body: Uint8Array): Result.Result<JsonObject, ApiFailure> => {
  if (!magic.every((byte, index) => body[index] === byte)) {
    return Result.fail(badRequest("the body is not a Kubernetes protobuf message"))
  }
  return Result.flatMap(decodeMessage(body.subarray(4), envelope), (unknown) => {
    const kind = stringAt(unknown, "typeMeta", "kind") ?? ""
    const message = messages[kind]
    if (message === undefined) return Result.fail(unsupportedMediaType(`${kind} is accepted as JSON only`))
    const raw = Uint8Array.from(atob(stringAt(unknown, "raw") ?? ""), (character) => character.charCodeAt(0))
    return Result.map(decodeMessage(raw, message), (decoded) => ({ ...objectAt(unknown, "typeMeta"), ...decoded }))
  })
}
