/** Secret rows of the journal under AES-256-GCM, each bound to its place: nonce (12), ciphertext, tag (16). */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto"

const nonceLength = 12
const tagLength = 16

const place = (table: string, key: string) => Buffer.from(`${table}\0${key}`)

export const sealRow = (sealing: Uint8Array, table: string, key: string, plain: Uint8Array): Uint8Array => {
  const nonce = randomBytes(nonceLength)
  const cipher = createCipheriv("aes-256-gcm", sealing, nonce).setAAD(place(table, key))
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/** Undefined when it was sealed with another key or for another place, or is damaged. */
export const openRow = (
  sealing: Uint8Array,
  table: string,
  key: string,
  sealed: Uint8Array
): Uint8Array | undefined => {
  if (sealed.length < nonceLength + tagLength) return undefined
  const decipher = createDecipheriv("aes-256-gcm", sealing, sealed.subarray(0, nonceLength), {
    authTagLength: tagLength
  })
    .setAAD(place(table, key))
    .setAuthTag(sealed.subarray(-tagLength))
  try {
    return new Uint8Array(Buffer.concat([decipher.update(sealed.subarray(nonceLength, -tagLength)), decipher.final()]))
  } catch {
    // The tag does not fit: that is the answer, not a failure of ours.
    return undefined
  }
}
