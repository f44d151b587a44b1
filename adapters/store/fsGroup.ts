/** Ownership by a pod's fsGroup, as the kubelet widens it. */
import * as fs from "node:fs"

/**
 * Gives everything below `path` to `group`: files become readable (and writable unless the volume is read-only) by it,
 * directories also searchable and setgid, so that what is made within belongs to it too. Links themselves have no mode.
 */
export const ownByGroup = (path: string, group: number, access: "readOnly" | "readWrite"): void => {
  const found = fs.lstatSync(path)
  fs.lchownSync(path, found.uid, group)
  if (found.isSymbolicLink()) return
  const bits = access === "readOnly" ? 0o440 : 0o660
  const mode = (found.mode & 0o7777) | bits
  // After the owner: chown clears setgid.
  if (!found.isDirectory()) {
    fs.chmodSync(path, mode)
    return
  }
  fs.chmodSync(path, mode | 0o2110)
  for (const name of fs.readdirSync(path)) ownByGroup(`${path}/${name}`, group, access)
}
