/**
 * Mistakes that somebody could make in the product, each as one change of one file. Storms that do not notice them prove nothing:
 * every one of them has to be found. To add one, write it into the table.
 */

export interface Mutation {
  readonly name: string
  /** What the product no longer does. */
  readonly mistake: string
  /** Below the root of the project. */
  readonly file: string
  /** Stands in the file exactly once. */
  readonly from: string
  readonly to: string
  /** Faults that bring it to light soonest; all of them by default. */
  readonly profile?: string
}

export const mutations: ReadonlyArray<Mutation> = [
  {
    name: "unwritten-attempt",
    mistake: "attempts of containers are not in the journal",
    file: "core/pod/machine/PodStore.ts",
    from: "put(\"attempts\", attemptKey(uid, name), value)",
    to: "put(\"attempts\", attemptKey(uid, `${name}~`), value)",
    profile: "device"
  },
  {
    name: "starts-again",
    mistake: "a container that has ended is started again instead of being taken for its result",
    file: "core/pod/machine/judgeContainer.ts",
    from: "if (container?.state === \"exited\") return { _tag: \"Exited\", container }",
    to: "if (container?.state === \"exited\") return { _tag: \"Created\", container }",
    profile: "device"
  },
  {
    name: "forgets-boot",
    mistake: "a container that is gone is taken for one that never ran",
    file: "core/pod/machine/judgeContainer.ts",
    from: "if (container === undefined) return { _tag: \"Vanished\" }",
    to: "if (container === undefined) return { _tag: \"Absent\" }",
    profile: "device"
  },
  {
    name: "gone-with-its-container",
    mistake: "the sandbox of a container that is gone is taken for gone, too, and all its containers begin anew",
    file: "core/pod/machine/observeContainers.ts",
    from: "  bench.waiting.delete(name)\n  const known",
    to: "  bench.waiting.delete(name)\n  if (verdict._tag === \"Vanished\") bench.sandbox = undefined\n  const known",
    profile: "device"
  },
  {
    name: "never-runs-again",
    mistake: "restartPolicy Never is taken for OnFailure",
    file: "core/pod/machine/planPod.ts",
    from: "if (policy === \"Never\") return false",
    to: "if (policy === \"Never\") return !succeeded",
    profile: "calm"
  },
  {
    name: "success-runs-again",
    mistake: "restartPolicy OnFailure is taken for Always",
    file: "core/pod/machine/planPod.ts",
    from: "return policy === \"OnFailure\" || init ? !succeeded : true",
    to: "return init ? !succeeded : true",
    profile: "calm"
  },
  {
    name: "skips-initialisation",
    mistake: "init containers are not run",
    file: "core/pod/machine/planPod.ts",
    from: "if (startsSomething || !hasInitialized(input.state)) {",
    to: "if (input.busy.size < 0) {",
    profile: "calm"
  },
  {
    name: "initialises-beside",
    mistake: "containers do not wait for init containers",
    file: "core/pod/machine/planPod.ts",
    from: "      initialising = true\n",
    to: "",
    profile: "calm"
  },
  {
    name: "keeps-sandboxes",
    mistake: "a sandbox that was replaced stays",
    file: "core/pod/machine/ensureSandbox.ts",
    from: "if (!wanted) yield* bench.runtime.removeSandbox(old.id)",
    to: "if (wanted) yield* bench.runtime.removeSandbox(old.id)",
    profile: "device"
  },
  {
    name: "keeps-rows",
    mistake: "what the journal says of a pod stays when it is forgotten",
    file: "core/pod/machine/PodStore.ts",
    from: "    { _tag: \"Remove\", table: \"pods\", key: uid },\n",
    to: "",
    profile: "calm"
  },
  {
    name: "keeps-the-dead",
    mistake: "containers that have ended are never removed while their pod lives",
    file: "core/pod/machine/collectGarbage.ts",
    from: "if (newer) yield* bench.runtime.remove(id)",
    to: "if (newer) yield* Effect.void",
    profile: "calm"
  },
  {
    name: "empty-logs",
    mistake: "logs are empty unless they are followed",
    file: "core/operator/kubeletBackend.ts",
    from: "(channel) => Stream.mapError(channel.messages, streamError(at.node))",
    to: "(channel) => query.follow ? Stream.mapError(channel.messages, streamError(at.node)) : Stream.empty",
    profile: "streams"
  },
  {
    name: "distrusts-successors",
    mistake: "a container that ended well is run again where the attempt before it was gone",
    file: "core/pod/machine/planPod.ts",
    from: "const succeeded = record.result?.exitCode === 0\n",
    to: "const succeeded = record.result?.exitCode === 0 && record.previous?.vanished !== true\n",
    profile: "device"
  },
  {
    name: "uncounted-restart",
    mistake: "a restart is not a new attempt",
    file: "core/pod/machine/planPod.ts",
    from: "starts.push({ container, attempt: record.attempt + 1,",
    to: "starts.push({ container, attempt: record.attempt,",
    profile: "calm"
  },
  {
    name: "finished-too-soon",
    mistake: "a pod is told to be finished while its containers still stop",
    file: "core/pod/machine/endPod.ts",
    from: "    yield* publishStatus(bench, none, false)\n    return Number.POSITIVE_INFINITY\n  }\n  yield* (refused",
    to: "    yield* publishStatus(bench, none, true)\n    return Number.POSITIVE_INFINITY\n  }\n  yield* (refused",
    profile: "calm"
  },
  {
    name: "holds-unwritten",
    mistake: "a pod that the disk does not take begins all the same",
    file: "core/pod/machine/PodStore.ts",
    from: "return commit([...former, assignmentRow(state.assignment), podRow(uid, state.pod)]).pipe(",
    to: "return commit([...former, assignmentRow(state.assignment), podRow(uid, state.pod)]).pipe(Effect.ignore,",
    profile: "disk"
  },
  {
    name: "keeps-secrets",
    mistake: "the files of a pod stay on the device when it goes",
    file: "core/pod/machine/endPod.ts",
    from: "  yield* bench.files.remove(bench.uid)\n",
    to: "",
    profile: "calm"
  },
  {
    name: "no-dedupe",
    mistake: "what arrives twice is acted on twice",
    file: "core/link/session/InOrder.ts",
    from: "if (sequence <= this.received || this.held.has(sequence)) return false",
    to: "if (this.held.has(sequence)) return false\n    if (sequence <= this.received) this.received = sequence - 1",
    profile: "link"
  },
  {
    name: "never-resends",
    mistake: "what was not acknowledged is not sent again",
    file: "core/link/session/Unacknowledged.ts",
    from: "    sent.departure = undefined\n    this.cursor = Math.min(this.cursor, this.start)",
    to: "    this.cursor = Math.min(this.cursor, this.start)",
    profile: "link"
  },
  {
    name: "acknowledges-gaps",
    mistake: "what has not come yet is acknowledged with what came after it",
    file: "core/link/session/Conversation.ts",
    from: "packet.ack = BigInt(this.received)",
    to: "packet.ack = BigInt(Math.max(this.received, this.inOrder.beyond))",
    profile: "link"
  },
  {
    name: "takes-unwritten-report",
    mistake: "a report counts as taken before the API has it",
    file: "core/operator/deviceHandlers.ts",
    from: "code: error.reason === \"Invalid\" || error.reason === \"BadRequest\" ? \"Invalid\" : \"Unavailable\",",
    to: "code: \"Invalid\",",
    profile: "cloud"
  },
  {
    name: "unanswered-is-unsent",
    mistake: "an assignment without an answer is taken for one that never came",
    file: "core/operator/devicePods.ts",
    from: "assigning: (uid) => void held?.set(uid, \"\"),",
    to: "assigning: () => {},",
    profile: "link"
  },
  {
    name: "orphans-stay",
    mistake: "a pod that is gone from the API by force goes on running on its device",
    file: "core/operator/keepPod.ts",
    from: "      yield* end(session, place?.graceSeconds ?? 30)\n      // One that",
    to: "      // One that",
    profile: "calm"
  },
  {
    name: "deletes-a-namesake",
    mistake: "the uid is no precondition when a pod is taken out of the API",
    file: "core/operator/podWrites.ts",
    from: "{ gracePeriodSeconds: 0, uid: pod.metadata.uid ?? \"\" }",
    to: "{ gracePeriodSeconds: 0 }",
    profile: "names"
  },
  {
    name: "overwrites-a-namesake",
    mistake: "the status of a pod is written to whichever pod has its name, in whichever version",
    file: "core/operator/podWrites.ts",
    from: "metadata: { uid, resourceVersion },",
    to: "metadata: {},",
    profile: "names"
  },
  {
    name: "no-tolerations",
    mistake: "pods are evicted while the operator is away",
    file: "core/node/keepTolerations.ts",
    from: "return patch.length === 0 ? undefined : patch",
    to: "return undefined",
    profile: "partition"
  },
  {
    name: "disconnected-stays",
    mistake: "pods of a device that is back stay not ready",
    file: "core/operator/devicePods.ts",
    from: "          && readiness(status) === readiness(current.status)\n",
    to: "",
    profile: "link"
  },
  {
    name: "stays-with-old-list",
    mistake: "a watch that has expired is not begun anew",
    file: "adapters/kube/client/observe.ts",
    from: "if (error instanceof WatchLost || LIST_AGAIN.has(error.reason)) version = undefined",
    to: "",
    profile: "api"
  },
  {
    name: "acknowledges-early",
    mistake: "a report is confirmed before it is written, and not written where the API does not answer",
    file: "core/operator/deviceHandlers.ts",
    from: "return yield* parts.pods.take(event.report).pipe(",
    to: "return yield* parts.pods.take(event.report).pipe(Effect.ignore,",
    profile: "api"
  },
  {
    name: "keeps-the-epoch",
    mistake: "an operator that takes a device over does not raise its epoch",
    file: "core/operator/lineage.ts",
    from: "(link.epoch ?? 0) + 1",
    to: "link.epoch ?? 1",
    profile: "handover"
  },
  {
    name: "obeys-lower-epochs",
    mistake: "a device obeys an operator that another one has taken it from",
    file: "core/link/client/establish.ts",
    from: "if (hello.epoch < known.epoch) {",
    to: "if (false) {",
    profile: "handover"
  },
  {
    name: "hears-retained",
    mistake: "what a broker has retained is heard as if it were said now",
    file: "adapters/mqtt/brokerConnection.ts",
    from: "if (!retained) onMessage(topic, payload)",
    to: "onMessage(topic, payload)",
    profile: "broker"
  },
  {
    name: "anybody-hangs-up",
    mistake: "a broker's other clients may end a device's connection",
    file: "adapters/mqtt/Switchboard.ts",
    from: "if (provesEnd(message)) this.lose",
    to: "this.lose",
    profile: "broker"
  },
  {
    name: "switching-begins-anew",
    mistake: "a device that changes its way to the operator begins a new session, and its streams end",
    file: "core/link/client/establish.ts",
    from: "        resumable && { session: resumable.idBytes, received: resumable.conversation.received },\n",
    to: "        undefined,\n",
    profile: "methods"
  },
  {
    name: "never-returns",
    mistake: "a device stays with a lesser way when the better one works again",
    file: "core/link/LinkClient.ts",
    from: "const candidates = methods.slice(0, using.rank)",
    to: "const candidates = methods.slice(0, 0)",
    profile: "methods"
  },
  {
    name: "one-way-only",
    mistake: "a device whose best way is dead does not try the other",
    file: "core/link/client/MethodHealth.ts",
    from: "methods.filter(({ notBefore }) => notBefore <= now).reduce",
    to: "methods.slice(0, 1).filter(({ notBefore }) => notBefore <= now).reduce",
    profile: "methods"
  },
  {
    name: "forgets-the-leash",
    mistake:
      "a device that was told to rest without a word of its operator begins its workloads after a reboot all the same",
    file: "core/agent/leash.ts",
    from: "leash !== undefined && (leash.acknowledged === undefined || now - leash.acknowledged >= leash.stopAfter)",
    to: "leash !== undefined && leash.acknowledged !== undefined && now - leash.acknowledged >= leash.stopAfter",
    profile: "partition"
  },
  {
    name: "replaces-what-runs",
    mistake: "pods are replaced that their device was never told to end",
    file: "core/operator/keepPartition.ts",
    from: "if (stopsAfter === undefined && !allowRunningTwice) {",
    to: "if (false) {",
    profile: "partition"
  },
  {
    name: "stops-late",
    mistake: "what does not end by itself is given a minute more than its pod's grace",
    file: "core/pod/machine/stopContainer.ts",
    from: "Math.max(leastGrace, left)))",
    to: "Math.max(leastGrace, left) + 60))",
    profile: "calm"
  },
  {
    name: "refuses-control",
    mistake: "what keeps a device going is refused when its budget is used up",
    file: "core/operator/deviceTraffic.ts",
    from: "return name === \"control\" ? undefined : new LinkError(",
    to: "return new LinkError(",
    profile: "budgets"
  },
  {
    name: "measures-anyway",
    mistake: "a device is measured when its owner lets nothing be spent on metrics",
    file: "core/operator/deviceUsage.ts",
    from: "traffic: \"metrics\"",
    to: "traffic: \"control\"",
    profile: "budgets"
  },
  {
    name: "leaks-channels",
    mistake: "a channel that has ended in order is never forgotten by the side that served it",
    file: "core/link/session/Streams.ts",
    from: "stream.whenSent = () => this.table.forget(stream)",
    to: "stream.whenSent = () => {}",
    profile: "streams"
  },
  {
    name: "tells-another-exit",
    mistake: "a process that was ended by a signal is told to have ended well",
    file: "core/pod/machine/observeContainers.ts",
    from: "const exitCode = container.exitCode ?? 137",
    to: "const exitCode = (container.exitCode ?? 137) > 128 ? 0 : container.exitCode ?? 137",
    profile: "device"
  },
  {
    name: "keeps-old-files",
    mistake: "files of a volume stay as they were when their ConfigMap changes",
    file: "core/pod/machine/PodWorker.ts",
    from: "      bench.volumes = undefined\n",
    to: "",
    profile: "calm"
  },
  {
    name: "says-it-failed",
    mistake: "a command whose device was lost is said to have failed",
    file: "core/operator/remoteProcess.ts",
    from: "return begun || reason === \"OutcomeUnknown\" ? outcomeUnknown(message) : unavailable(message)",
    to: "return unavailable(message)",
    profile: "methods"
  },
  {
    name: "leaves-a-fiber",
    mistake: "each connection that a device loses leaves a fiber behind",
    file: "core/link/LinkClient.ts",
    from: "      const began = now()\n      method.error = undefined\n",
    to: "      const began = now()\n      method.error = undefined\n      yield* Effect.forkIn(Effect.never, parent)\n",
    profile: "link"
  },
  {
    name: "counts-again",
    mistake: "bytes that were written into the status are counted again with the next ones",
    file: "core/operator/deviceTraffic.ts",
    from: "unsaved = { day: unsaved.day, count: lessTraffic(unsaved.count, attempt.count) }",
    to: "unsaved = { day: unsaved.day, count: unsaved.count }",
    profile: "budgets"
  }
]
