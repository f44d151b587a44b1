/** The machine's memory of all its pods: every change is in the journal before it is believed. */
import { Effect, Semaphore } from "effect"
import type { Change, Journal, JournalError } from "../../agent/Journal.ts"
import { decodeAssignment, encodeAssignment } from "../../wire/assignment.ts"
import type { PodAssignment } from "../PodAssignment.ts"
import {
  attemptKey,
  decodeContainerRecord,
  decodePodRecord,
  encodeContainerRecord,
  encodePodRecord
} from "./podRows.ts"
import type { ContainerRecord, PodRecord, PodState } from "./PodState.ts"

export interface PodStore {
  readonly get: (uid: string) => PodState | undefined
  readonly all: () => ReadonlyArray<PodState>
  /** Pods whose rows cannot be read: nothing of theirs is touched, unless it has to rest, until they are added anew or forgotten. */
  readonly unreadable: ReadonlySet<string>
  readonly add: (state: PodState) => Effect.Effect<void, JournalError>
  readonly saveAssignment: (assignment: PodAssignment) => Effect.Effect<void, JournalError>
  /** Changes the record in memory at once; the journal follows with the next save. For what may be done twice. */
  readonly touch: (uid: string, change: (pod: PodRecord) => PodRecord) => void
  readonly savePod: (uid: string, change: (pod: PodRecord) => PodRecord) => Effect.Effect<void, JournalError>
  readonly saveContainer: (uid: string, name: string, record: ContainerRecord) => Effect.Effect<void, JournalError>
  /** As `touch`, of a container. */
  readonly touchContainer: (uid: string, name: string, record: ContainerRecord) => void
  readonly forget: (uid: string) => Effect.Effect<void, JournalError>
}

const put = (table: "assignments" | "pods" | "attempts", key: string, value: Uint8Array): Change => ({
  _tag: "Put",
  table,
  key,
  value,
  secret: table === "assignments"
})

interface Entry {
  state: PodState
  /** One save of a pod at a time, so that none overwrites another with something older. */
  readonly lock: Semaphore.Semaphore
}

/** Reads everything back. Rows that cannot be read hold their whole pod back: what it ran would be guesswork. */
export const makePodStore = Effect.fnUntraced(function*(journal: Journal["Service"]) {
  const entries = new Map<string, Entry>()
  const unreadable = new Set<string>()

  const setAside = (uid: string, what: string) => (error: { readonly message: string }) => {
    unreadable.add(uid)
    return Effect.as(
      Effect.logError(`${what} of pod ${uid} cannot be read, the pod is left alone: ${error.message}`),
      undefined
    )
  }

  const assignments = yield* journal.rows("assignments")
  const pods = new Map((yield* journal.rows("pods")).map(({ key, value }) => [key, value]))
  const attempts = yield* journal.rows("attempts")
  for (const { key: uid, value } of assignments) {
    const assignment = yield* Effect.catch(decodeAssignment(value), setAside(uid, "the assignment"))
    const row = pods.get(uid)
    const pod = row === undefined ? undefined : yield* Effect.catch(decodePodRecord(row), setAside(uid, "the state"))
    if (assignment === undefined || pod === undefined) {
      unreadable.add(uid)
      continue
    }
    const containers = new Map<string, ContainerRecord>()
    for (const attempt of attempts.filter(({ key }) => key.startsWith(attemptKey(uid, "")))) {
      const record = yield* Effect.catch(decodeContainerRecord(attempt.value), setAside(uid, "an attempt"))
      if (record !== undefined) containers.set(attempt.key.slice(uid.length + 1), record)
    }
    if (!unreadable.has(uid)) {
      entries.set(uid, { state: { assignment, pod, containers }, lock: Semaphore.makeUnsafe(1) })
    }
  }

  const removals = (uid: string, containers: Iterable<string>): ReadonlyArray<Change> => [
    { _tag: "Remove", table: "assignments", key: uid },
    { _tag: "Remove", table: "pods", key: uid },
    ...Array.from(containers, (name): Change => ({ _tag: "Remove", table: "attempts", key: attemptKey(uid, name) }))
  ]
  /** Whatever there is of a pod that cannot be read: left behind, it would set aside the next life of the pod too. */
  const unreadableRows = (uid: string): ReadonlyArray<Change> =>
    unreadable.has(uid)
      ? removals(
        uid,
        attempts.filter(({ key }) => key.startsWith(attemptKey(uid, ""))).map(({ key }) => key.slice(uid.length + 1))
      )
      : []

  /** Encoding what is in memory cannot fail but by a bug of ours. */
  const commit = (changes: ReadonlyArray<Effect.Effect<Change>>) =>
    Effect.flatMap(Effect.all(changes), (all) => journal.commit(all))

  const exclusively = (uid: string, save: (entry: Entry) => Effect.Effect<unknown, JournalError>) =>
    Effect.suspend(() => {
      const entry = entries.get(uid)
      if (entry === undefined) return Effect.void
      // Forgotten, also while it waited for its turn: there is nothing to remember.
      const saved = Effect.suspend(() => entries.get(uid) === entry ? save(entry) : Effect.void)
      return Effect.asVoid(Effect.uninterruptible(entry.lock.withPermit(saved)))
    })

  const assignmentRow = (assignment: PodAssignment) =>
    Effect.map(Effect.orDie(encodeAssignment(assignment)), (value) => put("assignments", assignment.uid, value))
  const podRow = (uid: string, pod: PodRecord) =>
    Effect.map(Effect.orDie(encodePodRecord(pod)), (value) => put("pods", uid, value))

  const believe = (entry: Entry, name: string, record: ContainerRecord) => {
    entry.state = { ...entry.state, containers: new Map([...entry.state.containers, [name, record]]) }
  }

  const store: PodStore = {
    get: (uid) => entries.get(uid)?.state,
    all: () => [...entries.values()].map(({ state }) => state),
    unreadable,
    add: (state) => {
      const { uid } = state.assignment
      const former = unreadableRows(uid).map((change) => Effect.succeed(change))
      return commit([...former, assignmentRow(state.assignment), podRow(uid, state.pod)]).pipe(
        Effect.andThen(Effect.sync(() => {
          unreadable.delete(uid)
          entries.set(uid, { state, lock: Semaphore.makeUnsafe(1) })
        })),
        Effect.uninterruptible
      )
    },
    saveAssignment: (assignment) =>
      exclusively(assignment.uid, (entry) =>
        Effect.andThen(
          commit([assignmentRow(assignment)]),
          Effect.sync(() => {
            entry.state = { ...entry.state, assignment }
          })
        )),
    touch: (uid, change) => {
      const entry = entries.get(uid)
      if (entry !== undefined) entry.state = { ...entry.state, pod: change(entry.state.pod) }
    },
    savePod: (uid, change) =>
      exclusively(uid, (entry) => {
        const pod = change(entry.state.pod)
        return Effect.andThen(
          commit([podRow(uid, pod)]),
          Effect.sync(() => {
            // What was touched while the journal wrote is kept, and changed the same way.
            entry.state = { ...entry.state, pod: change(entry.state.pod) }
          })
        )
      }),
    saveContainer: (uid, name, record) =>
      exclusively(uid, (entry) =>
        Effect.andThen(
          commit([
            Effect.map(
              Effect.orDie(encodeContainerRecord(record)),
              (value) => put("attempts", attemptKey(uid, name), value)
            )
          ]),
          Effect.sync(() => believe(entry, name, record))
        )),
    touchContainer: (uid, name, record) => {
      const entry = entries.get(uid)
      if (entry !== undefined) believe(entry, name, record)
    },
    forget: (uid) =>
      Effect.suspend(() =>
        unreadable.has(uid)
          ? Effect.andThen(journal.commit(unreadableRows(uid)), Effect.sync(() => void unreadable.delete(uid)))
          : exclusively(uid, (entry) =>
            Effect.andThen(
              journal.commit(removals(uid, entry.state.containers.keys())),
              Effect.sync(() => entries.delete(uid))
            ))
      )
  }
  return store
})
