/**
 * The tests of Kubernetes 1.30.2 that ask something of a node: all sig-node ones marked Conformance or NodeConformance, and those of
 * sig-storage about volumes of files, empty directories and host paths. Names only, by suite, as the upstream list spells them.
 */
export const upstreamNames: { readonly [suite: string]: ReadonlyArray<string> } = {
  "[sig-node] ConfigMap": [
    "should be consumable via environment variable [NodeConformance] [Conformance]",
    "should be consumable via the environment [NodeConformance] [Conformance]",
    "should fail to create ConfigMap with empty key [Conformance]",
    "should run through a ConfigMap lifecycle [Conformance]"
  ],
  "[sig-node] Container Lifecycle Hook": [
    "when create a pod with lifecycle hook should execute poststart exec hook properly [NodeConformance] [Conformance]",
    "when create a pod with lifecycle hook should execute poststart http hook properly [NodeConformance] [Conformance]",
    "when create a pod with lifecycle hook should execute poststart https hook properly [MinimumKubeletVersion:1.23] [NodeConformance]",
    "when create a pod with lifecycle hook should execute prestop exec hook properly [NodeConformance] [Conformance]",
    "when create a pod with lifecycle hook should execute prestop http hook properly [NodeConformance] [Conformance]",
    "when create a pod with lifecycle hook should execute prestop https hook properly [MinimumKubeletVersion:1.23] [NodeConformance]"
  ],
  "[sig-node] Container Runtime": [
    "blackbox test on terminated container should report termination message as empty when pod succeeds and TerminationMessagePolicy FallbackToLogsOnError is set [NodeConformance] [Conformance]",
    "blackbox test on terminated container should report termination message from file when pod succeeds and TerminationMessagePolicy FallbackToLogsOnError is set [NodeConformance] [Conformance]",
    "blackbox test on terminated container should report termination message from log output if TerminationMessagePolicy FallbackToLogsOnError is set [NodeConformance] [Conformance]",
    "blackbox test on terminated container should report termination message if TerminationMessagePath is set [NodeConformance]",
    "blackbox test on terminated container should report termination message if TerminationMessagePath is set as non-root user and at a non-default path [NodeConformance] [Conformance]",
    "blackbox test when running a container with a new image should be able to pull from private registry with secret [NodeConformance]",
    "blackbox test when running a container with a new image should be able to pull image [NodeConformance]",
    "blackbox test when running a container with a new image should not be able to pull from private registry without secret [NodeConformance]",
    "blackbox test when running a container with a new image should not be able to pull image from invalid registry [NodeConformance]",
    "blackbox test when starting a container that exits should run with the expected status [NodeConformance] [Conformance]"
  ],
  "[sig-node] Containers": [
    "should be able to override the image's default arguments (container cmd) [NodeConformance] [Conformance]",
    "should be able to override the image's default command (container entrypoint) [NodeConformance] [Conformance]",
    "should be able to override the image's default command and arguments [NodeConformance] [Conformance]",
    "should use the image defaults if command and args are blank [NodeConformance] [Conformance]"
  ],
  "[sig-node] Downward API": [
    "should provide container's limits.cpu/memory and requests.cpu/memory as env vars [NodeConformance] [Conformance]",
    "should provide default limits.cpu/memory from node allocatable [NodeConformance] [Conformance]",
    "should provide host IP as an env var [NodeConformance] [Conformance]",
    "should provide pod UID as env vars [NodeConformance] [Conformance]",
    "should provide pod name, namespace and IP address as env vars [NodeConformance] [Conformance]"
  ],
  "[sig-node] Ephemeral Containers": [
    "[NodeConformance] should update the ephemeral containers in an existing pod [Conformance]",
    "[NodeConformance] will start an ephemeral container in an existing pod [Conformance]"
  ],
  "[sig-node] InitContainer": [
    "[NodeConformance] should invoke init containers on a RestartAlways pod [Conformance]",
    "[NodeConformance] should invoke init containers on a RestartNever pod [Conformance]",
    "[NodeConformance] should not start app containers and fail the pod if init containers fail on a RestartNever pod [Conformance]",
    "[NodeConformance] should not start app containers if init containers fail on a RestartAlways pod [Conformance]"
  ],
  "[sig-node] KubeletManagedEtcHosts": [
    "should test kubelet managed /etc/hosts file [LinuxOnly] [NodeConformance] [Conformance]"
  ],
  "[sig-node] Kubelet": [
    "when scheduling a busybox command in a pod should print the output to logs [NodeConformance] [Conformance]",
    "when scheduling a busybox command that always fails in a pod should be possible to delete [NodeConformance] [Conformance]",
    "when scheduling a busybox command that always fails in a pod should have an terminated reason [NodeConformance] [Conformance]",
    "when scheduling a read only busybox container should not write to root filesystem [LinuxOnly] [NodeConformance] [Conformance]",
    "when scheduling an agnhost Pod with hostAliases should write entries to /etc/hosts [NodeConformance] [Conformance]",
    "with pods in a privileged namespace when scheduling an agnhost Pod with hostAliases and hostNetwork should write entries to /etc/hosts when hostNetwork is enabled [NodeConformance]"
  ],
  "[sig-node] Lease": [
    "lease API should be available [Conformance]"
  ],
  "[sig-node] NoExecuteTaintManager": [
    "Multiple Pods [Serial] evicts pods with minTolerationSeconds [Disruptive] [Conformance]",
    "Single Pod [Serial] removing taint cancels eviction [Disruptive] [Conformance]"
  ],
  "[sig-node] PodOSRejection": [
    "[NodeConformance] Kubelet should reject pod when the node OS doesn't match pod's OS"
  ],
  "[sig-node] PodTemplates": [
    "should delete a collection of pod templates [Conformance]",
    "should replace a pod template [Conformance]",
    "should run the lifecycle of PodTemplates [Conformance]"
  ],
  "[sig-node] Pods Extended": [
    "Pods Set QOS Class should be set on Pods with matching resource requests and limits for memory and cpu [Conformance]"
  ],
  "[sig-node] Pods": [
    "should allow activeDeadlineSeconds to be updated [NodeConformance] [Conformance]",
    "should be submitted and removed [NodeConformance] [Conformance]",
    "should be updated [NodeConformance] [Conformance]",
    "should cap back-off at MaxContainerBackOff [Slow] [NodeConformance]",
    "should contain environment variables for services [NodeConformance] [Conformance]",
    "should delete a collection of pods [Conformance]",
    "should get a host IP [NodeConformance] [Conformance]",
    "should have their auto-restart back-off timer reset on image update [Slow] [NodeConformance]",
    "should patch a pod status [Conformance]",
    "should run through the lifecycle of Pods and PodStatus [Conformance]",
    "should support pod readiness gates [NodeConformance]",
    "should support remote command execution over websockets [NodeConformance] [Conformance]",
    "should support retrieving logs from the container over websockets [NodeConformance] [Conformance]"
  ],
  "[sig-node] PreStop": [
    "should call prestop when killing a pod [Conformance]"
  ],
  "[sig-node] PrivilegedPod": [
    "[NodeConformance] should enable privileged commands [LinuxOnly]"
  ],
  "[sig-node] Probing container": [
    "should *not* be restarted with a /healthz http liveness probe [NodeConformance] [Conformance]",
    "should *not* be restarted with a GRPC liveness probe [NodeConformance] [Conformance]",
    "should *not* be restarted with a exec \"cat /tmp/health\" liveness probe [NodeConformance] [Conformance]",
    "should *not* be restarted with a tcp:8080 liveness probe [NodeConformance] [Conformance]",
    "should be restarted with a /healthz http liveness probe [NodeConformance] [Conformance]",
    "should be restarted with a GRPC liveness probe [NodeConformance] [Conformance]",
    "should be restarted with a exec \"cat /tmp/health\" liveness probe [NodeConformance] [Conformance]",
    "should be restarted with an exec liveness probe with timeout [MinimumKubeletVersion:1.20] [NodeConformance]",
    "should have monotonically increasing restart count [NodeConformance] [Conformance]",
    "should not be ready with an exec readiness probe timeout [MinimumKubeletVersion:1.20] [NodeConformance]",
    "should override timeoutGracePeriodSeconds when LivenessProbe field is set [NodeConformance]",
    "should override timeoutGracePeriodSeconds when StartupProbe field is set [NodeConformance]",
    "with readiness probe should not be ready before initial delay and never restart [NodeConformance] [Conformance]",
    "with readiness probe that fails should never be ready and never restart [NodeConformance] [Conformance]"
  ],
  "[sig-node] RuntimeClass": [
    "should reject a Pod requesting a deleted RuntimeClass [NodeConformance] [Conformance]",
    "should reject a Pod requesting a non-existent RuntimeClass [NodeConformance] [Conformance]",
    "should schedule a Pod requesting a RuntimeClass and initialize its Overhead [NodeConformance] [Conformance]",
    "should schedule a Pod requesting a RuntimeClass without PodOverhead [NodeConformance] [Conformance]",
    "should support RuntimeClasses API operations [Conformance]"
  ],
  "[sig-node] Secrets": [
    "should be consumable from pods in env vars [NodeConformance] [Conformance]",
    "should be consumable via the environment [NodeConformance] [Conformance]",
    "should fail to create secret due to empty secret key [Conformance]",
    "should patch a secret [Conformance]"
  ],
  "[sig-node] Security Context": [
    "When creating a container with runAsUser should run the container with uid 0 [LinuxOnly] [NodeConformance]",
    "When creating a container with runAsUser should run the container with uid 65534 [LinuxOnly] [NodeConformance] [Conformance]",
    "When creating a pod with privileged should run the container as unprivileged when false [LinuxOnly] [NodeConformance] [Conformance]",
    "When creating a pod with readOnlyRootFilesystem should run the container with readonly rootfs when readOnlyRootFilesystem=true [LinuxOnly] [NodeConformance]",
    "When creating a pod with readOnlyRootFilesystem should run the container with writable rootfs when readOnlyRootFilesystem=false [NodeConformance] [Conformance]",
    "should support container.SecurityContext.RunAsUser And container.SecurityContext.RunAsGroup [LinuxOnly] [Conformance]",
    "should support pod.Spec.SecurityContext.RunAsUser And pod.Spec.SecurityContext.RunAsGroup [LinuxOnly] [Conformance]",
    "when creating containers with AllowPrivilegeEscalation should allow privilege escalation when not explicitly set and uid != 0 [LinuxOnly] [NodeConformance]",
    "when creating containers with AllowPrivilegeEscalation should allow privilege escalation when true [LinuxOnly] [NodeConformance]",
    "when creating containers with AllowPrivilegeEscalation should not allow privilege escalation when false [LinuxOnly] [NodeConformance] [Conformance]"
  ],
  "[sig-node] Sysctls": [
    "[LinuxOnly] [NodeConformance] should not launch unsafe, but not explicitly enabled sysctls on the node [MinimumKubeletVersion:1.21]",
    "[LinuxOnly] [NodeConformance] should reject invalid sysctls [MinimumKubeletVersion:1.21] [Conformance]",
    "[LinuxOnly] [NodeConformance] should support sysctls [MinimumKubeletVersion:1.21] [Environment:NotInUserNS] [Conformance]",
    "[LinuxOnly] [NodeConformance] should support sysctls with slashes as separator [MinimumKubeletVersion:1.23] [Environment:NotInUserNS]"
  ],
  "[sig-node] Variable Expansion": [
    "should allow composing env vars into new env vars [NodeConformance] [Conformance]",
    "should allow substituting values in a container's args [NodeConformance] [Conformance]",
    "should allow substituting values in a container's command [NodeConformance] [Conformance]",
    "should allow substituting values in a volume subpath [Conformance]",
    "should fail substituting values in a volume subpath with absolute path [Slow] [Conformance]",
    "should fail substituting values in a volume subpath with backticks [Slow] [Conformance]",
    "should succeed in writing subpaths in container [Slow] [Conformance]",
    "should verify that a failing subpath expansion can be modified during the lifecycle of a container [Slow] [Conformance]"
  ],
  "[sig-storage] ConfigMap": [
    "binary data should be reflected in volume [NodeConformance] [Conformance]",
    "optional updates should be reflected in volume [NodeConformance] [Conformance]",
    "should be consumable from pods in volume [NodeConformance] [Conformance]",
    "should be consumable from pods in volume as non-root [NodeConformance] [Conformance]",
    "should be consumable from pods in volume with defaultMode set [LinuxOnly] [NodeConformance] [Conformance]",
    "should be consumable from pods in volume with mappings [NodeConformance] [Conformance]",
    "should be consumable from pods in volume with mappings and Item mode set [LinuxOnly] [NodeConformance] [Conformance]",
    "should be consumable from pods in volume with mappings as non-root [NodeConformance] [Conformance]",
    "should be consumable in multiple volumes in the same pod [NodeConformance] [Conformance]",
    "should be immutable if `immutable` field is set [Conformance]",
    "updates should be reflected in volume [NodeConformance] [Conformance]"
  ],
  "[sig-storage] Downward API volume": [
    "should provide container's cpu limit [NodeConformance] [Conformance]",
    "should provide container's cpu request [NodeConformance] [Conformance]",
    "should provide container's memory limit [NodeConformance] [Conformance]",
    "should provide container's memory request [NodeConformance] [Conformance]",
    "should provide node allocatable (cpu) as default cpu limit if the limit is not set [NodeConformance] [Conformance]",
    "should provide node allocatable (memory) as default memory limit if the limit is not set [NodeConformance] [Conformance]",
    "should provide podname only [NodeConformance] [Conformance]",
    "should set DefaultMode on files [LinuxOnly] [NodeConformance] [Conformance]",
    "should set mode on item file [LinuxOnly] [NodeConformance] [Conformance]",
    "should update annotations on modification [NodeConformance] [Conformance]",
    "should update labels on modification [NodeConformance] [Conformance]"
  ],
  "[sig-storage] EmptyDir volumes": [
    "pod should support shared volumes between containers [Conformance]",
    "should support (non-root,0644,default) [LinuxOnly] [NodeConformance] [Conformance]",
    "should support (non-root,0644,tmpfs) [LinuxOnly] [NodeConformance] [Conformance]",
    "should support (non-root,0666,default) [LinuxOnly] [NodeConformance] [Conformance]",
    "should support (non-root,0666,tmpfs) [LinuxOnly] [NodeConformance] [Conformance]",
    "should support (non-root,0777,default) [LinuxOnly] [NodeConformance] [Conformance]",
    "should support (non-root,0777,tmpfs) [LinuxOnly] [NodeConformance] [Conformance]",
    "should support (root,0644,default) [LinuxOnly] [NodeConformance] [Conformance]",
    "should support (root,0644,tmpfs) [LinuxOnly] [NodeConformance] [Conformance]",
    "should support (root,0666,default) [LinuxOnly] [NodeConformance] [Conformance]",
    "should support (root,0666,tmpfs) [LinuxOnly] [NodeConformance] [Conformance]",
    "should support (root,0777,default) [LinuxOnly] [NodeConformance] [Conformance]",
    "should support (root,0777,tmpfs) [LinuxOnly] [NodeConformance] [Conformance]",
    "volume on default medium should have the correct mode [LinuxOnly] [NodeConformance] [Conformance]",
    "volume on tmpfs should have the correct mode [LinuxOnly] [NodeConformance] [Conformance]"
  ],
  "[sig-storage] EmptyDir wrapper volumes": [
    "should not cause race condition when used for configmaps [Serial] [Conformance]",
    "should not conflict [Conformance]"
  ],
  "[sig-storage] HostPath": [
    "should give a volume the correct mode [LinuxOnly] [NodeConformance]",
    "should support r/w [NodeConformance]",
    "should support subPath [NodeConformance]"
  ],
  "[sig-storage] Projected combined": [
    "should project all components that make up the projection API [Projection] [NodeConformance] [Conformance]"
  ],
  "[sig-storage] Projected configMap": [
    "optional updates should be reflected in volume [NodeConformance] [Conformance]",
    "should be consumable from pods in volume [NodeConformance] [Conformance]",
    "should be consumable from pods in volume as non-root [NodeConformance] [Conformance]",
    "should be consumable from pods in volume with defaultMode set [LinuxOnly] [NodeConformance] [Conformance]",
    "should be consumable from pods in volume with mappings [NodeConformance] [Conformance]",
    "should be consumable from pods in volume with mappings and Item mode set [LinuxOnly] [NodeConformance] [Conformance]",
    "should be consumable from pods in volume with mappings as non-root [NodeConformance] [Conformance]",
    "should be consumable in multiple volumes in the same pod [NodeConformance] [Conformance]",
    "updates should be reflected in volume [NodeConformance] [Conformance]"
  ],
  "[sig-storage] Projected downwardAPI": [
    "should provide container's cpu limit [NodeConformance] [Conformance]",
    "should provide container's cpu request [NodeConformance] [Conformance]",
    "should provide container's memory limit [NodeConformance] [Conformance]",
    "should provide container's memory request [NodeConformance] [Conformance]",
    "should provide node allocatable (cpu) as default cpu limit if the limit is not set [NodeConformance] [Conformance]",
    "should provide node allocatable (memory) as default memory limit if the limit is not set [NodeConformance] [Conformance]",
    "should provide podname only [NodeConformance] [Conformance]",
    "should set DefaultMode on files [LinuxOnly] [NodeConformance] [Conformance]",
    "should set mode on item file [LinuxOnly] [NodeConformance] [Conformance]",
    "should update annotations on modification [NodeConformance] [Conformance]",
    "should update labels on modification [NodeConformance] [Conformance]"
  ],
  "[sig-storage] Projected secret": [
    "optional updates should be reflected in volume [NodeConformance] [Conformance]",
    "should be able to mount in a volume regardless of a different secret existing with same name in different namespace [NodeConformance]",
    "should be consumable from pods in volume [NodeConformance] [Conformance]",
    "should be consumable from pods in volume as non-root with defaultMode and fsGroup set [LinuxOnly] [NodeConformance] [Conformance]",
    "should be consumable from pods in volume with defaultMode set [LinuxOnly] [NodeConformance] [Conformance]",
    "should be consumable from pods in volume with mappings [NodeConformance] [Conformance]",
    "should be consumable from pods in volume with mappings and Item Mode set [LinuxOnly] [NodeConformance] [Conformance]",
    "should be consumable in multiple volumes in a pod [NodeConformance] [Conformance]"
  ],
  "[sig-storage] Secrets": [
    "optional updates should be reflected in volume [NodeConformance] [Conformance]",
    "should be able to mount in a volume regardless of a different secret existing with same name in different namespace [NodeConformance] [Conformance]",
    "should be consumable from pods in volume [NodeConformance] [Conformance]",
    "should be consumable from pods in volume as non-root with defaultMode and fsGroup set [LinuxOnly] [NodeConformance] [Conformance]",
    "should be consumable from pods in volume with defaultMode set [LinuxOnly] [NodeConformance] [Conformance]",
    "should be consumable from pods in volume with mappings [NodeConformance] [Conformance]",
    "should be consumable from pods in volume with mappings and Item Mode set [LinuxOnly] [NodeConformance] [Conformance]",
    "should be consumable in multiple volumes in a pod [NodeConformance] [Conformance]",
    "should be immutable if `immutable` field is set [Conformance]"
  ],
  "[sig-storage] Subpath Atomic writer volumes": [
    "should support subpaths with configmap pod [Conformance]",
    "should support subpaths with configmap pod with mountPath of existing file [Conformance]",
    "should support subpaths with downward pod [Conformance]",
    "should support subpaths with projected pod [Conformance]",
    "should support subpaths with secret pod [Conformance]"
  ]
}
