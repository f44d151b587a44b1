/** What a terminal shows: enough of one to read what full-screen programs of small userlands have drawn. */

/** A letter in a cell, or the blank it begins with. */
const BLANK = " "

const parsed = (parameters: string, index: number, otherwise: number): number => {
  const text = parameters.split(";")[index] ?? ""
  return text === "" ? otherwise : Number(text)
}

export class Screen {
  private cells: Array<Array<string>> = []
  private row = 0
  private column = 0
  private rest = ""
  private other: Array<Array<string>> | undefined
  private readonly decoder = new TextDecoder()
  private width: number
  private height: number

  constructor(width: number, height: number) {
    this.width = width
    this.height = height
    this.cells = this.blank()
  }

  private blank() {
    return Array.from({ length: this.height }, () => Array.from({ length: this.width }, () => BLANK))
  }

  /** Keeps what fits, as terminals do until they are drawn anew. */
  resize(width: number, height: number): void {
    const before = this.cells
    this.width = width
    this.height = height
    this.cells = this.blank().map((row, at) => row.map((cell, column) => before[at]?.[column] ?? cell))
    this.move(this.row, this.column)
  }

  /** Its rows without the blanks at their ends. */
  get lines(): ReadonlyArray<string> {
    return this.cells.map((row) => row.join("").trimEnd())
  }

  /** With a frame, for people. */
  get picture(): string {
    const edge = `+${"-".repeat(this.width)}+`
    return [edge, ...this.lines.map((line) => `|${line.padEnd(this.width)}|`), edge, ""].join("\n")
  }

  write(bytes: Uint8Array): void {
    let text = this.rest + this.decoder.decode(bytes, { stream: true })
    this.rest = ""
    while (text !== "") {
      if (text[0] !== "\x1b") {
        const next = text.indexOf("\x1b")
        const plain = next === -1 ? text : text.slice(0, next)
        for (const letter of plain) this.put(letter)
        text = text.slice(plain.length)
        continue
      }
      const sequence = /^\x1b(?:\[([?>]?[0-9;]*)([@-~])|\][^\x07]*\x07|[()][A-Z0-9]|([^[\]()]))/u.exec(text)
      if (sequence === null) {
        this.rest = text
        return
      }
      if (sequence[2] !== undefined) this.control(sequence[2], sequence[1] ?? "")
      else if (sequence[3] === "c") this.cells = this.blank()
      text = text.slice(sequence[0].length)
    }
  }

  private move(row: number, column: number): void {
    this.row = Math.max(0, Math.min(this.height - 1, row))
    this.column = Math.max(0, Math.min(this.width - 1, column))
  }

  private put(letter: string): void {
    if (letter === "\r") this.column = 0
    else if (letter === "\n") this.feed()
    else if (letter === "\b") this.move(this.row, this.column - 1)
    else if (letter === "\t") this.move(this.row, (Math.floor(this.column / 8) + 1) * 8)
    else if (letter >= " ") {
      if (this.column >= this.width) {
        this.column = 0
        this.feed()
      }
      this.cells[this.row]![this.column] = letter
      this.column += 1
    }
  }

  private feed(): void {
    if (this.row < this.height - 1) this.row += 1
    else {
      this.cells.shift()
      this.cells.push(Array.from({ length: this.width }, () => BLANK))
    }
  }

  private clear(fromRow: number, fromColumn: number, toRow: number, toColumn: number): void {
    for (let row = fromRow; row <= toRow; row++) {
      const first = row === fromRow ? fromColumn : 0
      const last = row === toRow ? toColumn : this.width - 1
      for (let column = first; column <= last; column++) this.cells[row]![column] = BLANK
    }
  }

  private control(kind: string, parameters: string): void {
    const [bottom, right] = [this.height - 1, this.width - 1]
    const by = parsed(parameters, 0, 1)
    switch (kind) {
      case "H":
      case "f":
        return this.move(by - 1, parsed(parameters, 1, 1) - 1)
      case "A":
        return this.move(this.row - by, this.column)
      case "B":
        return this.move(this.row + by, this.column)
      case "C":
        return this.move(this.row, this.column + by)
      case "D":
        return this.move(this.row, this.column - by)
      case "G":
        return this.move(this.row, by - 1)
      case "J": {
        const part = parsed(parameters, 0, 0)
        if (part === 0) return this.clear(this.row, Math.min(this.column, right), bottom, right)
        return part === 1 ? this.clear(0, 0, this.row, this.column) : this.clear(0, 0, bottom, right)
      }
      case "K": {
        const part = parsed(parameters, 0, 0)
        return this.clear(
          this.row,
          part === 0 ? Math.min(this.column, right + 1) : 0,
          this.row,
          part === 1 ? this.column : right
        )
      }
      case "h":
      case "l":
        if (parameters !== "?1049" && parameters !== "?47") return
        if (kind === "h") {
          this.other = this.cells
          this.cells = this.blank()
        } else if (this.other !== undefined) {
          this.cells = this.blank()
          this.other = undefined
        }
        return
      default:
        // Colours, modes and the rest change no letters.
        return
    }
  }
}
