/** The aranya program: serves every EdgeDevice, listens for devices, answers the kubelet API. Composed from services only. */
import { Effect, Layer, Schedule } from "effect"
import type { Admitted, DeviceHello } from "../link/Hello.ts"
import { LinkServer } from "../link/LinkServer.ts"
import { type Handlers, LinkError, type Session } from "../link/Session.ts"
import { reportDelta } from "../wire/ReportBases.ts"
import { deviceAdmission } from "./deviceAdmission.ts"
import { DeviceRegistry } from "./DeviceRegistry.ts"
import { EventRecorder } from "./EventRecorder.ts"
import { Fleet } from "./Fleet.ts"
import { kubeletBackend } from "./kubeletBackend.ts"
import { NodeDoors } from "./NodeDoors.ts"
import { NodeIndex } from "./NodeIndex.ts"
import { OperatorIdentity } from "./OperatorIdentity.ts"
import { PodIndex } from "./PodIndex.ts"
import { ReferencedObjects } from "./ReferencedObjects.ts"
import { Revocations } from "./Revocations.ts"
import { ServiceIndex } from "./ServiceIndex.ts"

const watches = Layer.mergeAll(
  PodIndex.layer,
  NodeIndex.layer,
  NodeDoors.layer,
  DeviceRegistry.layer,
  ReferencedObjects.layer,
  ServiceIndex.layer,
  Revocations.layer,
  EventRecorder.layer
)

/**
 * Everything of the operator but its doors: needs KubeApi, OperatorIdentity, NamedIdentities, Brokers, Cryptography
 * and SecureRandom.
 */
export const operatorLayer = Layer.mergeAll(deviceAdmission, kubeletBackend).pipe(
  Layer.provideMerge(Fleet.layer),
  Layer.provideMerge(watches)
)

/** A device may link in the very second in which its EdgeDevice is taken up. */
const soon = Schedule.spaced("200 millis").pipe(Schedule.upTo({ times: 50 }))

const refuse = (detail: string): Handlers => ({
  onRequest: () => Effect.fail(new LinkError({ reason: "Refused", detail })),
  onOpen: (_, channel) => channel.fail(detail)
})

/** Runs until interrupted; fails where it cannot listen. */
export const operator = Effect.gen(function*() {
  const fleet = yield* Fleet
  const identity = yield* OperatorIdentity

  const onSession = (session: Session, hello: DeviceHello, admitted: Admitted) =>
    fleet.onSession(session, hello, admitted).pipe(
      Effect.retry(soon),
      Effect.catch((refused) => Effect.as(session.close(refused.message), refuse(refused.message)))
    )

  const server = yield* LinkServer.make({
    privateKey: identity.privateKey,
    operatorVersion: identity.version,
    capabilities: [reportDelta],
    onSession
  })
  return yield* server.run
})
