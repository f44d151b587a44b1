/** `$(NAME)` in environment, command, arguments and sub-paths. */
import { Effect } from "effect"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { type Container, Pods } from "../../../core/kube/Pod.ts"
import { namespace } from "../Cluster.ts"
import {
  createPod,
  deletePod,
  mustContain,
  podIsGone,
  podOf,
  podPrints,
  podRuns,
  podUntil,
  printedBy,
  shell,
  statusOf
} from "../podVocabulary.ts"
import { suite } from "../Scenario.ts"

const volumes = [{ name: "work", emptyDir: {} }]

const test = { name: "TEST_VAR", value: "test-value" }

const ownName = { name: "POD_NAME", valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: "metadata.name" } } }

const byAnnotation: NonNullable<Container["env"]> = [
  { name: "POD_NAME", value: "foo" },
  {
    name: "ANNOTATION",
    valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: "metadata.annotations['mysubpath']" } }
  }
]

const annotate = (name: string, annotations: Readonly<Record<string, string>>) =>
  Effect.flatMap(
    KubeApi,
    (api) => api.patch(Pods, { namespace, name }, { type: "merge", body: { metadata: { annotations } } })
  )

const cannotBeConfigured = (name: string) =>
  podUntil(
    name,
    (pod) => statusOf(pod, "main")?.state?.waiting?.reason === "CreateContainerConfigError",
    "waits with CreateContainerConfigError"
  )

const failsFor = (value: string) =>
  Effect.andThen(
    createPod(podOf("expansion", {
      command: ["pause"],
      env: [{ name: "POD_NAME", value }],
      volumeMounts: [{ name: "work", mountPath: "/logs", subPathExpr: "$(POD_NAME)" }]
    }, { volumes })),
    cannotBeConfigured("expansion")
  )

export const variableExpansion = suite("[sig-node] Variable Expansion", {
  "should allow composing env vars into new env vars [NodeConformance] [Conformance]": Effect.gen(function*() {
    const printed = yield* printedBy(podOf("expansion", {
      command: ["env"],
      env: [
        { name: "FOO", value: "foo-value" },
        { name: "BAR", value: "bar-value" },
        { name: "FOOBAR", value: "$(FOO);;$(BAR)" }
      ]
    }))
    yield* mustContain(printed, "FOO=foo-value\n", "BAR=bar-value\n", "FOOBAR=foo-value;;bar-value\n")
  }),

  "should allow substituting values in a container's command [NodeConformance] [Conformance]": Effect.gen(function*() {
    const printed = yield* printedBy(podOf("expansion", { ...shell("echo \"$(TEST_VAR)\""), env: [test] }))
    yield* mustContain(printed, "test-value\n")
  }),

  "should allow substituting values in a container's args [NodeConformance] [Conformance]": Effect.gen(function*() {
    const args = ["echo \"$(TEST_VAR)\""]
    const printed = yield* printedBy(podOf("expansion", { command: ["sh", "-c"], args, env: [test] }))
    yield* mustContain(printed, "test-value\n")
  }),

  "should allow substituting values in a volume subpath [Conformance]": printedBy(podOf("expansion", {
    ...shell("touch /logs/made && test -f /whole/expansion/made"),
    env: [ownName],
    volumeMounts: [
      { name: "work", mountPath: "/logs", subPathExpr: "$(POD_NAME)" },
      { name: "work", mountPath: "/whole" }
    ]
  }, { volumes })),

  "should fail substituting values in a volume subpath with backticks [Slow] [Conformance]": failsFor(".."),

  "should fail substituting values in a volume subpath with absolute path [Slow] [Conformance]": failsFor("/tmp"),

  "should verify that a failing subpath expansion can be modified during the lifecycle of a container [Slow] [Conformance]":
    Effect.gen(function*() {
      yield* createPod(podOf(
        "expansion",
        {
          command: ["pause"],
          env: byAnnotation,
          volumeMounts: [{ name: "work", mountPath: "/logs", subPathExpr: "$(ANNOTATION)/$(POD_NAME)" }]
        },
        { volumes },
        { namespace, name: "expansion", annotations: { notmysubpath: "mypath" } }
      ))
      yield* cannotBeConfigured("expansion")
      yield* annotate("expansion", { mysubpath: "mypath" })
      yield* podUntil("expansion", ({ status }) => status?.phase === "Running", "runs")
      yield* deletePod("expansion")
      yield* podIsGone("expansion")
    }),

  "should succeed in writing subpaths in container [Slow] [Conformance]": Effect.gen(function*() {
    const pod = yield* podRuns(podOf(
      "expansion",
      {
        ...shell("touch /whole/mypath/foo/test.log && test -f /part/test.log && echo the same; pause"),
        env: byAnnotation,
        volumeMounts: [
          { name: "work", mountPath: "/part", subPathExpr: "$(ANNOTATION)/$(POD_NAME)" },
          { name: "work", mountPath: "/whole" }
        ]
      },
      { volumes },
      { namespace, name: "expansion", annotations: { mysubpath: "mypath" } }
    ))
    yield* podPrints(pod, "the same")
    yield* annotate("expansion", { mysubpath: "mynewpath" })
    yield* podUntil("expansion", ({ status }) => status?.phase === "Running", "still runs")
    yield* deletePod("expansion")
    yield* podIsGone("expansion")
  })
})
