/** This very program, for what it does in processes of its own. */
export const thisProgram = (): ReadonlyArray<string> => [process.execPath, ...process.execArgv, process.argv[1] ?? ""]
