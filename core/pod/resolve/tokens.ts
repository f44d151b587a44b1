/** When a ServiceAccount token is to be asked for anew. */

/** No token is kept longer than this, however long it lives. */
const oldestMillis = 24 * 3_600_000
/** Share of its life after which it is replaced. */
const freshShare = 0.8

/** Both in milliseconds since the epoch. */
export const refreshAt = (issued: number, expires: number): number =>
  issued + Math.min((expires - issued) * freshShare, oldestMillis)
