import { hostileOn } from "./hostile.ts"

hostileOn("3.1.1")
