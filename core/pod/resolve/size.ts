/** How large an assignment is at least, found without encoding it. */
import { assignedContainers, type PodAssignment } from "../PodAssignment.ts"
import { lengthOf } from "./deviceText.ts"

const sum = (sizes: Iterable<number>): number => {
  let all = 0
  for (const size of sizes) all += size
  return all
}

/** Bytes; characters beyond ASCII take more. */
export const leastSize = (pod: PodAssignment): number => {
  const texts = assignedContainers(pod).map(({ args, command, env }) =>
    sum([...command, ...args].map(lengthOf)) + sum(env.map(({ name, value }) => name.length + lengthOf(value)))
  )
  const files = pod.volumes.flatMap((volume) => volume._tag === "Files" ? volume.files : [])
  return sum(texts) + sum(files.map(({ content }) => content.length))
}
