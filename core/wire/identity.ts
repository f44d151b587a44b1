/** What pods are known by. UIDs and hashes go as bytes: half the length of their text, and any text still passes. */
import { reject } from "./message.ts"

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const hexadecimal = /^(?:[0-9a-f]{2})+$/
const longest = 256

export const toHex = (bytes: Uint8Array): string => {
  let text = ""
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0")
  return text
}

export const fromHex = (text: string): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(text.length / 2)
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16)
  return bytes
}

const checked = (text: string): string =>
  text.length <= longest ? text : reject("TooLarge", `an identifier of ${text.length} characters`)

/** Kubernetes lets neither be longer; whoever is told of a pod keeps them. */
const longestNamespace = 63
const longestName = 253

export const placeOf = ({ name, namespace }: { readonly namespace: string; readonly name: string }) =>
  namespace.length <= longestNamespace && name.length <= longestName
    ? { namespace, name }
    : reject("TooLarge", `a namespace of ${namespace.length} characters and a name of ${name.length}`)

const empty = new Uint8Array()

/** The two fields of a uid. */
export const uidFields = (uid: string): { readonly uid: Uint8Array<ArrayBuffer>; readonly uidText: string } =>
  uuid.test(uid) ? { uid: fromHex(uid.replaceAll("-", "")), uidText: "" } : { uid: empty, uidText: checked(uid) }

export const uidOf = (message: { readonly uid: Uint8Array; readonly uidText: string }): string => {
  if (message.uid.length === 0) return checked(message.uidText)
  if (message.uid.length !== 16) return reject("Invalid", `a uid of ${message.uid.length} bytes`)
  const hex = toHex(message.uid)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** Bytes where the text is lower-case hexadecimal, else the text. */
export const hashFields = (hash: string): readonly [bytes: Uint8Array<ArrayBuffer>, text: string] =>
  hexadecimal.test(checked(hash)) ? [fromHex(hash), ""] : [empty, hash]

export const hashOf = (bytes: Uint8Array, text: string): string =>
  checked(bytes.length === 0 ? text : toHex(bytes.subarray(0, longest)))
