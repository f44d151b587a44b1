/** When a ServiceAccount token is to be asked for anew. */

/** No token is kept longer than this, however long it lives. */
const oldestMillis = 24 * 3_600_000
/** Share of its life after which it is replaced. */
const freshShare = 0.8

/** Milliseconds for which a token is used that lives so many. */
export const freshMillis = (life: number): number => Math.min(life * freshShare, oldestMillis)
