/** First argument of the agent's program where it is to connect to ports from within a pod's network. */
export const dialProgramArgument = "dial-in-pod"
