/** What a TLS listener shows to its clients, as PEM. */
export interface ServingCertificate {
  /** Its own first, then those that lead to the authority. */
  readonly certificate: string
  readonly privateKey: string
  /** Where its owner finds it, for the sentence that says what is wrong with it. */
  readonly source?: string
}
