/** Requests and limits of containers as numbers, the pod's QoS class, and what resourceFieldRef shows of them. */
import type { Container, Pod } from "../../kube/Pod.ts"
import type { AssignedContainer, PodAssignment } from "../PodAssignment.ts"
import { divideUp, nanosPerUnit, parseQuantity, toMillis, toWhole } from "./quantity.ts"
import { allContainers } from "./references.ts"
import type { ResolveSettings } from "./Resolution.ts"

type Amounts = Readonly<Record<string, string | number>> | undefined

const amount = (list: Amounts, name: string): bigint => {
  const quantity = list?.[name]
  return quantity === undefined ? 0n : parseQuantity(quantity) ?? 0n
}

/** A limit without a request is the request too, as the API server has it. */
const request = (container: Container, name: string): bigint =>
  container.resources?.requests?.[name] === undefined
    ? amount(container.resources?.limits, name)
    : amount(container.resources.requests, name)

export const containerResources = (container: Container): AssignedContainer["resources"] => ({
  cpuRequest: toMillis(request(container, "cpu")),
  cpuLimit: toMillis(amount(container.resources?.limits, "cpu")),
  memoryRequest: toWhole(request(container, "memory")),
  memoryLimit: toWhole(amount(container.resources?.limits, "memory"))
})

/** Resources that a device does not manage; asking for one is refused. */
export const unknownResources = (container: Container): ReadonlyArray<string> =>
  [...Object.keys(container.resources?.limits ?? {}), ...Object.keys(container.resources?.requests ?? {})]
    .filter((name) => !["cpu", "memory", "ephemeral-storage"].includes(name))

export const qosClass = (pod: Pod): PodAssignment["qosClass"] => {
  const counted = ["cpu", "memory"]
  let any = false
  let guaranteed = true
  for (const container of allContainers(pod)) {
    for (const name of counted) {
      const limit = amount(container.resources?.limits, name)
      const asked = request(container, name)
      if (limit > 0n || asked > 0n) any = true
      if (limit === 0n || limit !== asked) guaranteed = false
    }
  }
  return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable"
}

/** The text of a resourceFieldRef, or a sentence that says what is wrong with it. */
export const resourceField = (
  container: Container,
  reference: { readonly resource: string; readonly divisor?: string | number },
  settings: ResolveSettings
): { readonly text: string } | { readonly wrong: string } => {
  const match = /^(limits|requests)\.(cpu|memory|ephemeral-storage)$/u.exec(reference.resource)
  if (match === null) return { wrong: `unsupported container resource : ${reference.resource}` }
  const [, kind, name = ""] = match
  const given = reference.divisor === undefined ? 0n : parseQuantity(reference.divisor) ?? 0n
  const divisor = given === 0n ? nanosPerUnit : given
  const { cpuMillis, memoryBytes, storageBytes } = settings.allocatable
  const most: Readonly<Record<string, bigint>> = {
    cpu: BigInt(Math.floor(cpuMillis)) * 1_000_000n,
    memory: BigInt(Math.floor(memoryBytes)) * nanosPerUnit,
    "ephemeral-storage": BigInt(Math.floor(storageBytes)) * nanosPerUnit
  }
  const value = kind === "requests" ? request(container, name) : amount(container.resources?.limits, name)
  // Without a limit a container may use what the node has.
  const effective = value === 0n && kind === "limits" ? most[name] ?? 0n : value
  return { text: String(divideUp(effective, divisor)) }
}
