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
import { noExecuteTaints } from "./sigNode/noExecuteTaints.ts"
import { podOs, pods, podsExtended } from "./sigNode/pods.ts"
import { podTemplates } from "./sigNode/podTemplates.ts"
import { probing } from "./sigNode/probing.ts"
import { runtimeClasses } from "./sigNode/runtimeClass.ts"
import { secrets } from "./sigNode/secrets.ts"
import { privilegedPod, securityContext } from "./sigNode/securityContext.ts"
import { sysctls } from "./sigNode/sysctls.ts"
import { variableExpansion } from "./sigNode/variableExpansion.ts"
import { configMapVolumes } from "./sigStorage/configMapVolumes.ts"
import { downwardVolumes } from "./sigStorage/downwardVolumes.ts"
import { emptyDirs } from "./sigStorage/emptyDirs.ts"
import { hostPaths } from "./sigStorage/hostPaths.ts"
import { projectedCombined } from "./sigStorage/projectedCombined.ts"
import { secretVolumes } from "./sigStorage/secretVolumes.ts"
import { subPaths } from "./sigStorage/subPaths.ts"

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
  ...noExecuteTaints,
  ...podOs,
  ...pods,
  ...podsExtended,
  ...podTemplates,
  ...probing,
  ...runtimeClasses,
  ...secrets,
  ...privilegedPod,
  ...securityContext,
  ...sysctls,
  ...variableExpansion,
  ...configMapVolumes,
  ...downwardVolumes,
  ...emptyDirs,
  ...hostPaths,
  ...projectedCombined,
  ...secretVolumes,
  ...subPaths
]
