/** Every scenario there is, suite by suite. */
import type { Scenario } from "./Scenario.ts"
import { configMaps } from "./sigNode/configMap.ts"
import { containerRuntime } from "./sigNode/containerRuntime.ts"
import { containers } from "./sigNode/containers.ts"
import { downwardApi } from "./sigNode/downwardApi.ts"
import { ephemeralContainers } from "./sigNode/ephemeralContainers.ts"
import { initContainers } from "./sigNode/initContainers.ts"
import { etcHosts, kubelet } from "./sigNode/kubelet.ts"
import { lease } from "./sigNode/lease.ts"
import { lifecycleHooks, preStop } from "./sigNode/lifecycleHook.ts"
import { probing } from "./sigNode/probing.ts"
import { secrets } from "./sigNode/secrets.ts"

export const scenarios: ReadonlyArray<Scenario> = [
  ...configMaps,
  ...containerRuntime,
  ...containers,
  ...downwardApi,
  ...ephemeralContainers,
  ...initContainers,
  ...etcHosts,
  ...kubelet,
  ...lease,
  ...lifecycleHooks,
  ...preStop,
  ...probing,
  ...secrets
]
