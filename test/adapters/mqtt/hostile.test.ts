import { hostileOn } from "./hostile.ts"

hostileOn("5")
