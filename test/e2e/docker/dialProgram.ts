/** What arhat does when it is called to connect within a pod's network, alone. */
import { runDialProgram } from "../../../adapters/docker/dialProgram.ts"

runDialProgram()
