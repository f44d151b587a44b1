/** What the topics of one device begin with: `<topic namespace>/cmd` and so on, the same text at both ends. */

/** MQTT allows 65,535 bytes for a topic; brokers for hire allow 256 (AWS IoT Core), of which the end takes a few. */
const mostBytes = 200

/** What is wrong with it, as the end of a sentence about it; undefined where it can be used. */
export const topicNamespaceProblem = (text: string): string | undefined => {
  if (text === "") return "is empty: give each device a text of its own, such as sites/hall-7/edge-1"
  if (new TextEncoder().encode(text).length > mostBytes) return `is longer than ${mostBytes} bytes`
  if (/[+#]/u.test(text)) return "holds a + or a #, which are wildcards: leave them out"
  if (/\p{Cc}/u.test(text)) return "holds a control character: leave it out"
  if (text.startsWith("$")) return "begins with a $, which brokers keep for themselves: begin it otherwise"
  if (text.includes("//")) return "has an empty level: write one slash at a time"
  if (text.endsWith("/")) return "ends with a slash: leave that out"
  return undefined
}
