/** First argument of the agent's program where it is to copy files of the host; the second is the request. */
export const copyFilesArgument = "copy-files"
