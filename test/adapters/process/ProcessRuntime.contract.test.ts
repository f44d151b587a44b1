import { describe } from "vitest"
import { containerRuntimeContract } from "../../contracts/containerRuntime.ts"
import { openWorld, whyNoImage, whyNotRoot } from "./processWorld.ts"

if (whyNotRoot !== undefined) console.warn(`skipped: most of the process runtime, because ${whyNotRoot}`)
else if (whyNoImage !== undefined) console.warn(`skipped: process pods with a root filesystem, because ${whyNoImage}`)

describe.skipIf(whyNotRoot !== undefined)("process pods", () => {
  containerRuntimeContract("processes of root", openWorld())
  containerRuntimeContract("processes of the pod's own user", openWorld({ allowRoot: false }))
})

describe.skipIf(whyNoImage !== undefined)("process pods with an image", () => {
  containerRuntimeContract("processes in a root filesystem", openWorld({ allowRoot: false, image: "busybox" }))
})
