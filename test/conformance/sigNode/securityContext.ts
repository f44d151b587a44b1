/** Who a container's process is, and what it may do. */
import { Effect } from "effect"
import type { Container, PodSpec } from "../../../core/kube/Pod.ts"
import { containerOf, logsOf, mustContain, mustEqual, podEnds, podOf, printedBy, shell } from "../podVocabulary.ts"
import { suite } from "../Scenario.ts"

type Security = NonNullable<Container["securityContext"]>

const prints = (
  main: Partial<Container>,
  wanted: string,
  spec: Partial<PodSpec> = {}
) => Effect.flatMap(printedBy(podOf("secured", main, spec)), (printed) => mustEqual(printed, wanted, "what it prints"))

const runsAs = (securityContext: Security, wanted: string, spec: Partial<PodSpec> = {}) =>
  prints({ ...shell("id -u; id -g"), securityContext }, wanted, spec)

const writesToRoot = (readOnlyRootFilesystem: boolean, phase: string) =>
  Effect.gen(function*() {
    const after = yield* podEnds(podOf("writer", {
      ...shell("touch checkfile"),
      securityContext: { readOnlyRootFilesystem }
    }))
    yield* mustEqual(after.status?.phase, phase, "phase")
  })

const escalates = (securityContext: Security, uid: number) =>
  prints({ command: ["setuid"], securityContext: { runAsUser: 1000, ...securityContext } }, `Effective uid: ${uid}\n`)

export const securityContext = suite("[sig-node] Security Context", {
  "When creating a container with runAsUser should run the container with uid 65534 [LinuxOnly] [NodeConformance] [Conformance]":
    prints({ command: ["id", "-u"], securityContext: { runAsUser: 65534 } }, "65534\n"),
  "When creating a container with runAsUser should run the container with uid 0 [LinuxOnly] [NodeConformance]": prints(
    { command: ["id", "-u"], securityContext: { runAsUser: 0 } },
    "0\n"
  ),
  "should support container.SecurityContext.RunAsUser And container.SecurityContext.RunAsGroup [LinuxOnly] [Conformance]":
    runsAs({ runAsUser: 1001, runAsGroup: 2002 }, "1001\n2002\n"),
  "should support pod.Spec.SecurityContext.RunAsUser And pod.Spec.SecurityContext.RunAsGroup [LinuxOnly] [Conformance]":
    runsAs({}, "1001\n2002\n", { securityContext: { runAsUser: 1001, runAsGroup: 2002 } }),

  "When creating a pod with readOnlyRootFilesystem should run the container with readonly rootfs when readOnlyRootFilesystem=true [LinuxOnly] [NodeConformance]":
    writesToRoot(true, "Failed"),
  "When creating a pod with readOnlyRootFilesystem should run the container with writable rootfs when readOnlyRootFilesystem=false [NodeConformance] [Conformance]":
    writesToRoot(false, "Succeeded"),

  "When creating a pod with privileged should run the container as unprivileged when false [LinuxOnly] [NodeConformance] [Conformance]":
    Effect.gen(function*() {
      const securityContext = { privileged: false }
      const after = yield* podEnds(podOf("interface", { command: ["add-interface"], securityContext }))
      yield* mustContain(yield* logsOf(after), "Operation not permitted")
    }),

  "when creating containers with AllowPrivilegeEscalation should allow privilege escalation when not explicitly set and uid != 0 [LinuxOnly] [NodeConformance]":
    escalates({}, 0),
  "when creating containers with AllowPrivilegeEscalation should allow privilege escalation when true [LinuxOnly] [NodeConformance]":
    escalates({ allowPrivilegeEscalation: true }, 0),
  "when creating containers with AllowPrivilegeEscalation should not allow privilege escalation when false [LinuxOnly] [NodeConformance] [Conformance]":
    escalates({ allowPrivilegeEscalation: false }, 1000)
})

export const privilegedPod = suite("[sig-node] PrivilegedPod", {
  "[NodeConformance] should enable privileged commands [LinuxOnly]": Effect.gen(function*() {
    const after = yield* podEnds(podOf("privileged", {}, {
      containers: [true, false].map((privileged) =>
        containerOf({
          name: privileged ? "privileged" : "ordinary",
          command: ["add-interface"],
          securityContext: { privileged }
        })
      )
    }))
    const codes = Object.fromEntries(
      (after.status?.containerStatuses ?? []).map(({ name, state }) => [name, state?.terminated?.exitCode])
    )
    yield* mustEqual(codes, { ordinary: 2, privileged: 0 }, "exit codes")
  })
})
