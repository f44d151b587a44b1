/** The fields `kubectl explain` can tell about: the ones people ask for, in a short notation. */
export interface FieldDocument {
  readonly description: string
  /** `name: type`, the type being string, integer, boolean, object, Quantity, `[]type`, `map` or another document. */
  readonly fields: Readonly<Record<string, readonly [type: string, description: string]>>
}

export const fieldDocuments: Readonly<Record<string, FieldDocument>> = {
  ObjectMeta: {
    description: "ObjectMeta is metadata that all persisted resources must have.",
    fields: {
      name: ["string", "Name must be unique within a namespace."],
      generateName: ["string", "GenerateName is a prefix the server makes a unique name from."],
      namespace: ["string", "Namespace defines the space within which each name must be unique."],
      labels: ["map", "Map of keys and values that can be used to organize and select objects."],
      annotations: ["map", "Annotations is an unstructured key value map stored with a resource."],
      uid: ["string", "UID is the unique in time and space value for this object."],
      resourceVersion: ["string", "An opaque value that represents the internal version of this object."],
      generation: ["integer", "A sequence number representing a specific generation of the desired state."],
      creationTimestamp: ["string", "The time at which this object was created."],
      deletionTimestamp: ["string", "The time after which this resource will be gone."],
      deletionGracePeriodSeconds: ["integer", "Seconds allowed for this object to gracefully terminate."],
      finalizers: ["[]string", "Must be empty before the object is deleted from the registry."],
      ownerReferences: ["[]object", "List of objects depended by this object."]
    }
  },
  PodSpec: {
    description: "PodSpec is a description of a pod.",
    fields: {
      containers: ["[]Container", "List of containers belonging to the pod."],
      initContainers: ["[]Container", "Containers that run to completion before the others start."],
      ephemeralContainers: ["[]Container", "Containers added to a running pod for debugging."],
      volumes: ["[]Volume", "Volumes that can be mounted by containers belonging to the pod."],
      nodeName: ["string", "The node this pod is bound to."],
      nodeSelector: ["map", "Labels the node must have."],
      affinity: ["object", "The pod's scheduling constraints."],
      tolerations: ["[]Toleration", "The taints the pod tolerates."],
      restartPolicy: ["string", "Always, OnFailure or Never. Default to Always."],
      terminationGracePeriodSeconds: ["integer", "Seconds the pod needs to terminate gracefully. Defaults to 30."],
      activeDeadlineSeconds: ["integer", "Seconds the pod may be active on the node."],
      dnsPolicy: ["string", "ClusterFirst, ClusterFirstWithHostNet, Default or None."],
      serviceAccountName: ["string", "Name of the ServiceAccount to run this pod as."],
      automountServiceAccountToken: ["boolean", "Whether a service account token is mounted."],
      hostNetwork: ["boolean", "Use the host's network namespace."],
      hostname: ["string", "The hostname of the pod."],
      imagePullSecrets: ["[]object", "Secrets used for pulling the images."],
      priorityClassName: ["string", "Indicates the pod's priority."],
      runtimeClassName: ["string", "The RuntimeClass that should be used to run this pod."],
      schedulerName: ["string", "The scheduler that dispatches the pod."],
      securityContext: ["object", "Pod-level security attributes."]
    }
  },
  Container: {
    description: "A single application container that you want to run within a pod.",
    fields: {
      name: ["string", "Name of the container, unique within the pod."],
      image: ["string", "Container image name."],
      imagePullPolicy: ["string", "Always, Never or IfNotPresent."],
      command: ["[]string", "Entrypoint array, not executed within a shell."],
      args: ["[]string", "Arguments to the entrypoint."],
      workingDir: ["string", "Container's working directory."],
      env: ["[]object", "Environment variables to set in the container."],
      envFrom: ["[]object", "Sources to populate environment variables from."],
      ports: ["[]object", "Ports to expose from the container."],
      resources: ["object", "Compute resources required by this container."],
      volumeMounts: ["[]object", "Pod volumes to mount into the container's filesystem."],
      livenessProbe: ["object", "Container is restarted if the probe fails."],
      readinessProbe: ["object", "Container is removed from service endpoints if the probe fails."],
      startupProbe: ["object", "Until it succeeds no other probes are executed."],
      lifecycle: ["object", "Actions taken in response to lifecycle events."],
      restartPolicy: ["string", "Always makes an init container a sidecar."],
      securityContext: ["object", "Security options the container runs with."],
      stdin: ["boolean", "Whether this container allocates a buffer for stdin."],
      tty: ["boolean", "Whether this container allocates a TTY."]
    }
  },
  Volume: {
    description: "Volume represents a named volume in a pod that may be accessed by any container in the pod.",
    fields: {
      name: ["string", "Name of the volume."],
      configMap: ["object", "A ConfigMap that populates this volume."],
      secret: ["object", "A Secret that populates this volume."],
      emptyDir: ["object", "A temporary directory that shares a pod's lifetime."],
      hostPath: ["object", "A file or directory on the host."],
      projected: ["object", "All in one: secrets, config maps, downward API, tokens."],
      downwardAPI: ["object", "Pod fields as files."],
      persistentVolumeClaim: ["object", "A PersistentVolumeClaim in the same namespace."]
    }
  },
  Toleration: {
    description: "The pod this Toleration is attached to tolerates any taint that matches.",
    fields: {
      key: ["string", "The taint key that the toleration applies to."],
      operator: ["string", "Exists or Equal."],
      value: ["string", "The taint value the toleration matches to."],
      effect: ["string", "NoSchedule, PreferNoSchedule or NoExecute."],
      tolerationSeconds: ["integer", "How long a NoExecute taint is tolerated."]
    }
  },
  PodTemplateSpec: {
    description: "PodTemplateSpec describes the data a pod should have when created from a template.",
    fields: {
      metadata: ["ObjectMeta", "Standard object's metadata."],
      spec: ["PodSpec", "The desired behavior of the pod."]
    }
  },
  LabelSelector: {
    description: "A label selector is a label query over a set of resources.",
    fields: {
      matchLabels: ["map", "Key and value pairs."],
      matchExpressions: ["[]object", "Label selector requirements, ANDed."]
    }
  },
  WorkloadSpec: {
    description: "The specification of the desired behavior.",
    fields: {
      replicas: ["integer", "Number of desired pods."],
      selector: ["LabelSelector", "Label selector for pods."],
      template: ["PodTemplateSpec", "Describes the pods that will be created."],
      minReadySeconds: ["integer", "Seconds a pod must be ready to count as available."],
      strategy: ["object", "How existing pods are replaced with new ones."],
      revisionHistoryLimit: ["integer", "Old ReplicaSets to retain."]
    }
  },
  NodeSpec: {
    description: "NodeSpec describes the attributes that a node is created with.",
    fields: {
      taints: ["[]object", "The node's taints."],
      unschedulable: ["boolean", "Controls schedulability of new pods."],
      podCIDR: ["string", "The pod IP range assigned to the node."],
      providerID: ["string", "ID of the node assigned by the cloud provider."]
    }
  },
  ServiceSpec: {
    description: "ServiceSpec describes the attributes that a user creates on a service.",
    fields: {
      selector: ["map", "Route traffic to pods with these labels."],
      ports: ["[]object", "The list of ports that are exposed by this service."],
      clusterIP: ["string", "The IP address of the service."],
      type: ["string", "ExternalName, ClusterIP, NodePort or LoadBalancer."],
      sessionAffinity: ["string", "ClientIP or None."]
    }
  }
}

/** The document of `spec` by kind. */
export const specDocuments: Readonly<Record<string, string>> = {
  Pod: "PodSpec",
  Node: "NodeSpec",
  Service: "ServiceSpec",
  Deployment: "WorkloadSpec",
  ReplicaSet: "WorkloadSpec",
  StatefulSet: "WorkloadSpec",
  DaemonSet: "WorkloadSpec",
  Job: "WorkloadSpec"
}
