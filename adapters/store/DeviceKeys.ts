/** The device's private key in its file, and the keys that are derived from it. */
import { Effect, Schema } from "effect"
import { hkdfSync, randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { dirname } from "node:path"

/** What the owner of the device has to mend before arhat can start. */
export class DeviceKeyError extends Schema.TaggedError<DeviceKeyError>()("DeviceKeyError", {
  detail: Schema.String
}) {
  override get message() {
    return `device key: ${this.detail}`
  }
}

const keyLength = 32
const failed = (path: string) => (cause: unknown) =>
  cause instanceof DeviceKeyError
    ? cause
    : new DeviceKeyError({ detail: `${path}: ${cause instanceof Error ? cause.message : String(cause)}` })

const syncDirectory = (path: string) => {
  const directory = fs.openSync(path, "r")
  try {
    fs.fsyncSync(directory)
  } finally {
    fs.closeSync(directory)
  }
}

const read = (path: string): Uint8Array | undefined => {
  let file: number
  try {
    file = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw cause
  }
  try {
    if ((fs.fstatSync(file).mode & 0o077) !== 0) {
      throw new DeviceKeyError({
        detail: `${path} can be read by others: chmod 600 it, and enrol anew if they may have`
      })
    }
    const key = Buffer.from(fs.readFileSync(file, "utf8").trim(), "base64")
    if (key.length !== keyLength) {
      throw new DeviceKeyError({
        detail: `${path} is damaged: restore it from a backup, or remove it and the journal and enrol the device anew`
      })
    }
    return new Uint8Array(key)
  } finally {
    fs.closeSync(file)
  }
}

/** Whole on the disk before it has its name; never over a key that is there. */
const create = (path: string): void => {
  fs.mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const draft = `${path}.${randomBytes(6).toString("hex")}`
  try {
    const file = fs.openSync(draft, "wx", 0o600)
    try {
      fs.writeSync(file, `${randomBytes(keyLength).toString("base64")}\n`)
      fs.fsyncSync(file)
    } finally {
      fs.closeSync(file)
    }
    fs.linkSync(draft, path)
  } catch (cause) {
    // Another process was first: its key is the key.
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause
  } finally {
    fs.rmSync(draft, { force: true })
  }
  syncDirectory(dirname(path))
}

/** The X25519 private key (32 bytes, base64 in a file of mode 0600), made at first use. */
export const loadOrCreateDeviceKey = (path: string): Effect.Effect<Uint8Array, DeviceKeyError> =>
  Effect.try({
    try: () => {
      const present = read(path)
      if (present !== undefined) return present
      create(path)
      const made = read(path)
      if (made === undefined) throw new DeviceKeyError({ detail: `${path} vanished while it was made` })
      return made
    },
    catch: failed(path)
  })

/** Overwrites and removes the key: whatever it sealed is lost with it. Absent is success. */
export const wipeDeviceKey = (path: string): Effect.Effect<void, DeviceKeyError> =>
  Effect.try({
    try: () => {
      if (!fs.existsSync(path)) return
      const file = fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_NOFOLLOW)
      try {
        fs.writeSync(file, Buffer.alloc(fs.fstatSync(file).size), 0, undefined, 0)
        fs.fsyncSync(file)
      } finally {
        fs.closeSync(file)
      }
      fs.unlinkSync(path)
      syncDirectory(dirname(path))
    },
    catch: failed(path)
  })

/** A key for one purpose (HKDF-SHA256, RFC 5869), so that none is used for two. */
export const derivedKey = (deviceKey: Uint8Array, purpose: string): Uint8Array =>
  new Uint8Array(hkdfSync("sha256", deviceKey, "aranya device", purpose, 32))
