/** Hooks of containers, which this version refuses. */
import { skipped, suite } from "../Scenario.ts"

const none = skipped("lifecycle hooks are not run yet: a pod that has one is refused by name of the field")

export const lifecycleHooks = suite("[sig-node] Container Lifecycle Hook", {
  "when create a pod with lifecycle hook should execute poststart exec hook properly [NodeConformance] [Conformance]":
    none,
  "when create a pod with lifecycle hook should execute poststart http hook properly [NodeConformance] [Conformance]":
    none,
  "when create a pod with lifecycle hook should execute poststart https hook properly [MinimumKubeletVersion:1.23] [NodeConformance]":
    none,
  "when create a pod with lifecycle hook should execute prestop exec hook properly [NodeConformance] [Conformance]":
    none,
  "when create a pod with lifecycle hook should execute prestop http hook properly [NodeConformance] [Conformance]":
    none,
  "when create a pod with lifecycle hook should execute prestop https hook properly [MinimumKubeletVersion:1.23] [NodeConformance]":
    none
})

export const preStop = suite("[sig-node] PreStop", {
  "should call prestop when killing a pod [Conformance]": none
})
