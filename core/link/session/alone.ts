/** Bytes that may be kept for long: a small piece must not keep all of the packet that it came in. */
export const alone = (data: Uint8Array): Uint8Array =>
  // A Buffer's slice would be a view again.
  data.length * 2 < data.buffer.byteLength ? new Uint8Array(data) : data
