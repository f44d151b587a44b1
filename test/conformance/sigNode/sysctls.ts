/** Kernel settings of a pod: the safe ones, refused ones, and those that are none. */
import { Effect } from "effect"
import { createPod, eventOf, must, mustContain, mustEqual, podOf, podUntil, printedBy } from "../podVocabulary.ts"
import { suite } from "../Scenario.ts"

type Sysctls = ReadonlyArray<{ readonly name: string; readonly value: string }>

const withSysctls = (sysctls: Sysctls) =>
  podOf("sysctl", { command: ["sysctl", "kernel.shm_rmid_forced"] }, { securityContext: { sysctls } })

const supported = (name: string) =>
  Effect.flatMap(
    printedBy(withSysctls([{ name, value: "1" }])),
    (printed) => mustContain(printed, "kernel.shm_rmid_forced = 1\n")
  )

export const sysctls = suite("[sig-node] Sysctls", {
  "[LinuxOnly] [NodeConformance] should support sysctls [MinimumKubeletVersion:1.21] [Environment:NotInUserNS] [Conformance]":
    supported("kernel.shm_rmid_forced"),
  "[LinuxOnly] [NodeConformance] should support sysctls with slashes as separator [MinimumKubeletVersion:1.23] [Environment:NotInUserNS]":
    supported("kernel/shm_rmid_forced"),

  "[LinuxOnly] [NodeConformance] should reject invalid sysctls [MinimumKubeletVersion:1.21] [Conformance]": Effect.gen(
    function*() {
      const answer = yield* Effect.result(createPod(withSysctls([
        { name: "foo-", value: "bar" },
        { name: "kernel.shmmax", value: "100000000" },
        { name: "safe-and-unsafe", value: "100000000" },
        { name: "bar..", value: "42" }
      ])))
      yield* must(answer._tag === "Failure", "the pod was accepted")
      if (answer._tag === "Success") return
      yield* mustEqual(answer.failure.reason, "Invalid", "reason")
      yield* mustContain(answer.failure.detail, "Invalid value: \"foo-\"", "Invalid value: \"bar..\"")
      for (const good of ["safe-and-unsafe", "kernel.shmmax"]) {
        yield* must(!answer.failure.detail.includes(good), `${good} is said to be wrong`)
      }
    }
  ),

  "[LinuxOnly] [NodeConformance] should not launch unsafe, but not explicitly enabled sysctls on the node [MinimumKubeletVersion:1.21]":
    Effect.gen(function*() {
      yield* createPod(withSysctls([{ name: "kernel.msgmax", value: "10000000000" }]))
      yield* eventOf("sysctl", "SysctlForbidden")
      const after = yield* podUntil("sysctl", ({ status }) => status?.phase === "Failed", "is rejected")
      yield* mustEqual(after.status?.reason, "SysctlForbidden", "reason")
    })
})
