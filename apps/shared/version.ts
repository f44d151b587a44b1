/** The product's version; the build writes it in. */
export const version: string = process.env["ARANYA_VERSION"] ?? "0.1.0"
