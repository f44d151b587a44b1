/** Whether systemd is taking the machine down. Its own socket answers, so that no D-Bus daemon has to be alive any more. */
import { Effect } from "effect"
import { execFile } from "node:child_process"

/** `systemctl is-system-running` says so from when shutdown.target is to be reached, whatever asked for it: poweroff, reboot, halt, kexec. */
const stopping = "stopping"

/** A farewell waits for this; systemd itself is busy then. */
const patienceMillis = 500

/** False where there is no systemd, or it does not answer in time: then the agent alone is known to end. */
export const machineEnding = (systemctl: string): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const child = execFile(
      systemctl,
      ["is-system-running"],
      { timeout: patienceMillis, killSignal: "SIGKILL", maxBuffer: 1024 },
      // Anything but `running` is said with an exit code of 1.
      (_, stdout) => resume(Effect.succeed(stdout.trim() === stopping))
    )
    return Effect.sync(() => void child.kill("SIGKILL"))
  })
