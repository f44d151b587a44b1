/** Cipher suites by the names IANA gives them; kept with the link, whose every method has them. */
export * from "../../core/link/cipherSuites.ts"
