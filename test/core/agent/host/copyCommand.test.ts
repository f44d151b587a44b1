/** Which command lines are kubectl's copying, and which are not. */
import { assert, describe, it } from "@effect/vitest"
import { type CopyCommand, copyCommand } from "../../../../core/agent/host/copyCommand.ts"

const extract = (directory: string, preserve = true): CopyCommand => ({ _tag: "Extract", directory, preserve })

const known: ReadonlyArray<readonly [line: ReadonlyArray<string>, means: CopyCommand]> = [
  [["test", "-d", "/tmp"], { _tag: "IsDirectory", path: "/tmp" }],
  [["tar", "cf", "-", "/var/log"], { _tag: "Create", path: "/var/log", skip: 0 }],
  [["tar", "-cf", "-", "a b"], { _tag: "Create", path: "a b", skip: 0 }],
  [["sh", "-c", "tar cf - /var/log | tail -c+0"], { _tag: "Create", path: "/var/log", skip: 0 }],
  [["sh", "-c", "tar cf - /var/log | tail -c+5000"], { _tag: "Create", path: "/var/log", skip: 4999 }],
  [["tar", "xf", "-"], extract(".")],
  [["tar", "-xf", "-", "-C", "/srv"], extract("/srv")],
  [["tar", "xmf", "-", "-C", "/srv"], extract("/srv")],
  [["tar", "-xmf", "-"], extract(".")],
  [["tar", "-xmf", "-", "-C", "-odd"], extract("-odd")],
  [["tar", "--no-same-permissions", "--no-same-owner", "-xmf", "-", "-C", "/srv"], extract("/srv", false)]
]

const others: ReadonlyArray<ReadonlyArray<string>> = [
  [],
  ["tar"],
  ["test", "-d"],
  ["test", "-f", "/tmp"],
  ["test", "-d", "/tmp", "-a", "-r", "/etc"],
  ["tar", "cf", "-"],
  ["tar", "cf", "-", ""],
  ["tar", "cf", "-", "/a", "/b"],
  ["tar", "cf", "-", "--to-command=x"],
  ["tar", "cf", "-", "/a\0b"],
  ["tar", "cf", "/tmp/x", "/a"],
  ["tar", "czf", "-", "/a"],
  ["tar", "xf", "-", "-C"],
  ["tar", "xf", "-", "-C", "/a", "--to-command=x"],
  ["tar", "-xPf", "-"],
  ["tar", "--no-same-owner", "-xmf", "-"],
  ["/bin/tar", "cf", "-", "/a"],
  ["sh", "-c", "tar cf - /a"],
  ["sh", "-c", "tar cf - /a; id | tail -c+1"],
  ["sh", "-c", "tar cf - $(id) | tail -c+1"],
  ["sh", "-c", "tar cf - -I | tail -c+1"],
  ["sh", "-c", "tar cf - /a | tail -c+1\n"],
  ["sh", "-c", "tar cf - /a | tail -c+1", "x"]
]

describe("a command line", () => {
  it.each(known)("%j is copying", (line, means) => {
    assert.deepStrictEqual(copyCommand(line), means)
  })
  it.each(others.map((line) => [line] as const))("%j is not", (line) => {
    assert.isUndefined(copyCommand(line))
  })
})
