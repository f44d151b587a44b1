/** A tar archive of a few files (POSIX ustar): what the docker engine imports as an image. */
interface Entry {
  readonly path: string
  readonly mode: number
  readonly content?: Uint8Array
  readonly link?: string
}

const block = 512

const header = ({ content, link, mode, path }: Entry): Buffer => {
  const bytes = Buffer.alloc(block)
  const octal = (value: number, length: number) => value.toString(8).padStart(length - 1, "0")
  bytes.write(path, 0, 100)
  bytes.write(octal(mode, 8), 100)
  bytes.write(octal(0, 8), 108)
  bytes.write(octal(0, 8), 116)
  bytes.write(octal(content?.length ?? 0, 12), 124)
  bytes.write(octal(0, 12), 136)
  bytes.fill(" ", 148, 156)
  bytes.write(link === undefined ? (path.endsWith("/") ? "5" : "0") : "2", 156)
  if (link !== undefined) bytes.write(link, 157, 100)
  bytes.write("ustar\u000000", 257)
  const sum = bytes.reduce((total, byte) => total + byte, 0)
  bytes.write(`${octal(sum, 7)}\u0000 `, 148)
  return bytes
}

export const tarOf = (entries: ReadonlyArray<Entry>): Buffer =>
  Buffer.concat([
    ...entries.flatMap((entry) => {
      const { content = new Uint8Array() } = entry
      return [header(entry), content, Buffer.alloc((block - content.length % block) % block)]
    }),
    Buffer.alloc(2 * block)
  ])
