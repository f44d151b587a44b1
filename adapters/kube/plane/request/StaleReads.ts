/** How many store versions reads lag behind: 0 unless a fault injector says otherwise for one request. */
import { Context } from "effect"

export const StaleReads = Context.Reference<number>("aranya/plane/StaleReads", { defaultValue: () => 0 })
