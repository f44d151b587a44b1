/** What the bench and its fleet process say to each other. */
export interface DeviceSetting {
  readonly name: string
  /** `localhost` when absent. */
  readonly host?: string
  readonly port: number
  /** By MQTT in place of gRPC. */
  readonly mqtt?: {
    readonly topicNamespace: string
    /** PEM of the authorities to trust; without it there is no TLS. */
    readonly ca?: string
  }
}

export type FleetRequest =
  | {
    readonly op: "prepare"
    readonly operatorKey: string
    readonly caData: string
    readonly devices: ReadonlyArray<DeviceSetting>
  }
  | { readonly op: "start"; readonly names: ReadonlyArray<string> }
  | { readonly op: "stop"; readonly names: ReadonlyArray<string> }
  | { readonly op: "payload"; readonly names: ReadonlyArray<string> }
  | { readonly op: "crash"; readonly name: string; readonly pod: string; readonly container: string }
  | { readonly op: "powerCut"; readonly name: string }
  | { readonly op: "startUntilRunning"; readonly name: string; readonly containers: number }

export interface FleetAnswers {
  /** Public keys in base64, in the order asked for. */
  readonly prepare: ReadonlyArray<string>
  readonly start: null
  readonly stop: null
  /** Bytes of the frames of these devices since they were prepared, both directions. */
  readonly payload: number
  readonly crash: null
  readonly powerCut: null
  /** Milliseconds from the agent's start. */
  readonly startUntilRunning: number
}

export type Asked = FleetRequest & { readonly id: number }
export type Answered = { readonly id: number; readonly value: unknown } | {
  readonly id: number
  readonly problem: string
}
