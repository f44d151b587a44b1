/** A duration as Go prints it, which is how kubelet texts show durations: `850ms`, `1.2s`, `2m40s`, `1h0m0s`. */
export const goDuration = (millis: number): string => {
  const whole = Math.max(0, Math.round(millis))
  if (whole === 0) return "0s"
  if (whole < 1000) return `${whole}ms`
  const hours = Math.floor(whole / 3_600_000)
  const minutes = Math.floor(whole / 60_000) % 60
  const seconds = `${(whole % 60_000) / 1000}s`
  return hours > 0 ? `${hours}h${minutes}m${seconds}` : minutes > 0 ? `${minutes}m${seconds}` : seconds
}
