/** Probes of containers, which this version refuses. */
import { skipped, suite } from "../Scenario.ts"

const none = skipped("probes are not run yet: a pod that has one is refused by name of the field")

export const probing = suite("[sig-node] Probing container", {
  "should *not* be restarted with a /healthz http liveness probe [NodeConformance] [Conformance]": none,
  "should *not* be restarted with a GRPC liveness probe [NodeConformance] [Conformance]": none,
  "should *not* be restarted with a exec \"cat /tmp/health\" liveness probe [NodeConformance] [Conformance]": none,
  "should *not* be restarted with a tcp:8080 liveness probe [NodeConformance] [Conformance]": none,
  "should be restarted with a /healthz http liveness probe [NodeConformance] [Conformance]": none,
  "should be restarted with a GRPC liveness probe [NodeConformance] [Conformance]": none,
  "should be restarted with a exec \"cat /tmp/health\" liveness probe [NodeConformance] [Conformance]": none,
  "should be restarted with an exec liveness probe with timeout [MinimumKubeletVersion:1.20] [NodeConformance]": none,
  "should have monotonically increasing restart count [NodeConformance] [Conformance]": none,
  "should not be ready with an exec readiness probe timeout [MinimumKubeletVersion:1.20] [NodeConformance]": none,
  "should override timeoutGracePeriodSeconds when LivenessProbe field is set [NodeConformance]": none,
  "should override timeoutGracePeriodSeconds when StartupProbe field is set [NodeConformance]": none,
  "with readiness probe should not be ready before initial delay and never restart [NodeConformance] [Conformance]":
    none,
  "with readiness probe that fails should never be ready and never restart [NodeConformance] [Conformance]": none
})
