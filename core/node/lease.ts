/** The Lease that keeps a Node alive in the eyes of the node lifecycle controller. */
import type { Lease } from "../kube/kinds.ts"
import { microTimestamp } from "../kube/time.ts"

export const leaseNamespace = "kube-node-lease"
export const leaseDurationSeconds = 40
/** Between renewals; the controllers' patience is 40 to 50 s. */
export const renewMillis = 12_000
/** Share of the pause that is drawn at random, so that a fleet does not renew in step. */
export const renewJitter = 0.1

export const nodeLease = (node: { readonly name: string; readonly uid: string }, now: number): Lease => ({
  apiVersion: "coordination.k8s.io/v1",
  kind: "Lease",
  metadata: {
    name: node.name,
    namespace: leaseNamespace,
    // Without an owner a Lease outlives its Node.
    ownerReferences: [{ apiVersion: "v1", kind: "Node", name: node.name, uid: node.uid }]
  },
  spec: { holderIdentity: node.name, leaseDurationSeconds, renewTime: microTimestamp(now) }
})

export const renewal = (now: number): unknown => ({
  spec: { renewTime: microTimestamp(now), leaseDurationSeconds }
})
