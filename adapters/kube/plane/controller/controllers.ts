/** All controllers together; ControllerSwitches decides which of them run. */
import { Layer } from "effect"
import { certificateSigning } from "./certificateSigning.ts"
import { cronJobs } from "./cronJobs.ts"
import { daemonSets } from "./daemonSets.ts"
import { deployments } from "./deployments.ts"
import { disruption } from "./disruption.ts"
import { endpoints } from "./endpoints.ts"
import { eventExpiry } from "./eventExpiry.ts"
import { garbageCollector } from "./garbageCollector.ts"
import { jobs } from "./jobs.ts"
import { namespaceAccounts } from "./namespaceAccounts.ts"
import { namespaceDeletion } from "./namespaceDeletion.ts"
import { nodeLifecycle } from "./nodeLifecycle.ts"
import { podGarbage } from "./podGarbage.ts"
import { replicaSets } from "./replicaSets.ts"
import { scheduler } from "./scheduler.ts"
import { statefulSets } from "./statefulSets.ts"
import { taintEviction } from "./taintEviction.ts"

/** Every controller that needs nothing from outside. */
export const layerControllers = (rootCa = "") =>
  Layer.mergeAll(
    cronJobs.layer,
    daemonSets.layer,
    deployments.layer,
    disruption.layer,
    endpoints.layer,
    eventExpiry.layer,
    garbageCollector.layer,
    jobs.layer,
    namespaceAccounts(rootCa).layer,
    namespaceDeletion.layer,
    nodeLifecycle.layer,
    podGarbage.layer,
    replicaSets.layer,
    scheduler.layer,
    statefulSets.layer,
    taintEviction.layer
  )

/** The one that needs the cluster's CA key, through CertificateSigner. */
export const layerCertificateSigning = certificateSigning.layer
