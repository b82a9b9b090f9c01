// The kinds that are applied, with the fields they have in Kubernetes 1.34: those that matter here with their
// types, all others as `any`, so that only what Kubernetes does not know either is reported.

import {
  any,
  boolean,
  integer,
  intOrString,
  list,
  map,
  object,
  quantity,
  type Shape,
  string,
} from "./shape.ts";

const anyOf = (...names: string[]): Record<string, Shape> =>
  Object.fromEntries(names.map((name) => [name, any]));

const metadata = object({
  name: string,
  generateName: string,
  namespace: string,
  labels: map(string),
  annotations: map(string),
  ...anyOf(
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generation",
  ),
  ...anyOf("managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid"),
});

const requirement = object({ key: string, operator: string, values: list(string) });
export const labelSelector = object({ matchLabels: map(string), matchExpressions: list(requirement) });

const probe = object({
  httpGet: object({ path: string, port: intOrString, ...anyOf("host", "httpHeaders", "scheme") }),
  tcpSocket: object({ port: intOrString, host: string }),
  grpc: object({ port: integer, service: string }),
  exec: object({ command: list(string) }),
  initialDelaySeconds: integer,
  periodSeconds: integer,
  timeoutSeconds: integer,
  successThreshold: integer,
  failureThreshold: integer,
  terminationGracePeriodSeconds: integer,
});

const container = object({
  name: string,
  image: string,
  ports: list(
    object({ name: string, containerPort: integer, hostPort: integer, hostIP: string, protocol: string }),
  ),
  resources: object({ requests: map(quantity), limits: map(quantity), claims: any }),
  startupProbe: probe,
  readinessProbe: probe,
  livenessProbe: probe,
  restartPolicy: string,
  ...anyOf("args", "command", "env", "envFrom", "imagePullPolicy", "lifecycle", "resizePolicy"),
  ...anyOf("restartPolicyRules", "securityContext", "stdin", "stdinOnce", "terminationMessagePath"),
  ...anyOf("terminationMessagePolicy", "tty", "volumeDevices", "volumeMounts", "workingDir"),
});

const nodeTerm = object({ matchExpressions: list(requirement), matchFields: list(requirement) });

const podTerm = object({
  labelSelector,
  namespaces: list(string),
  namespaceSelector: labelSelector,
  topologyKey: string,
  ...anyOf("matchLabelKeys", "mismatchLabelKeys"),
});

const podAffinity = object({
  requiredDuringSchedulingIgnoredDuringExecution: list(podTerm),
  preferredDuringSchedulingIgnoredDuringExecution: list(
    object({ weight: integer, podAffinityTerm: podTerm }),
  ),
});

const podSpec = object({
  containers: list(container),
  initContainers: list(container),
  restartPolicy: string,
  terminationGracePeriodSeconds: integer,
  nodeName: string,
  nodeSelector: map(string),
  affinity: object({
    nodeAffinity: object({
      requiredDuringSchedulingIgnoredDuringExecution: object({ nodeSelectorTerms: list(nodeTerm) }),
      preferredDuringSchedulingIgnoredDuringExecution: list(
        object({ weight: integer, preference: nodeTerm }),
      ),
    }),
    podAffinity,
    podAntiAffinity: podAffinity,
  }),
  tolerations: list(
    object({ key: string, operator: string, value: string, effect: string, tolerationSeconds: integer }),
  ),
  topologySpreadConstraints: list(
    object({
      maxSkew: integer,
      topologyKey: string,
      whenUnsatisfiable: string,
      labelSelector,
      ...anyOf("matchLabelKeys", "minDomains", "nodeAffinityPolicy", "nodeTaintsPolicy"),
    }),
  ),
  hostNetwork: boolean,
  hostname: string,
  subdomain: string,
  ...anyOf("activeDeadlineSeconds", "automountServiceAccountToken", "dnsConfig", "dnsPolicy"),
  ...anyOf("enableServiceLinks", "ephemeralContainers", "hostAliases", "hostIPC", "hostPID", "hostUsers"),
  ...anyOf("hostnameOverride", "imagePullSecrets", "os", "overhead", "preemptionPolicy", "priority"),
  ...anyOf("priorityClassName", "readinessGates", "resourceClaims", "resources", "runtimeClassName"),
  ...anyOf("schedulerName", "schedulingGates", "securityContext", "serviceAccount", "serviceAccountName"),
  ...anyOf("setHostnameAsFQDN", "shareProcessNamespace", "volumes", "workloadRef"),
});

const template = object({ metadata, spec: podSpec });

const servicePort = object({
  name: string,
  port: integer,
  targetPort: intOrString,
  protocol: string,
  nodePort: integer,
  appProtocol: string,
});

const serviceSpec = object({
  ports: list(servicePort),
  selector: map(string),
  type: string,
  clusterIP: string,
  clusterIPs: list(string),
  externalIPs: list(string),
  externalName: string,
  externalTrafficPolicy: string,
  internalTrafficPolicy: string,
  sessionAffinity: string,
  sessionAffinityConfig: object({ clientIP: object({ timeoutSeconds: integer }) }),
  loadBalancerIP: string,
  loadBalancerSourceRanges: list(string),
  allocateLoadBalancerNodePorts: boolean,
  healthCheckNodePort: integer,
  publishNotReadyAddresses: boolean,
  trafficDistribution: string,
  ...anyOf("ipFamilies", "ipFamilyPolicy", "loadBalancerClass"),
});

const policyPort = object({ protocol: string, port: intOrString, endPort: integer });
const policyPeer = object({
  podSelector: labelSelector,
  namespaceSelector: labelSelector,
  ipBlock: object({ cidr: string, except: list(string) }),
});

const kind = (fields: Readonly<Record<string, Shape>>): Shape =>
  object({ apiVersion: string, kind: string, metadata, status: any, ...fields });

const scalingRules = object({
  stabilizationWindowSeconds: integer,
  selectPolicy: string,
  policies: list(object({ type: string, value: integer, periodSeconds: integer })),
  tolerance: any,
});

const metricTarget = object({
  type: string,
  averageUtilization: integer,
  averageValue: quantity,
  value: any,
});

const targetRef = object({
  kind: string,
  namespace: string,
  name: string,
  ...anyOf("apiVersion", "fieldPath", "resourceVersion", "uid"),
});

const endpointAddress = object({ ip: string, hostname: string, nodeName: string, targetRef });

export const SHAPES: Readonly<Record<string, Shape>> = {
  "autoscaling/v2 HorizontalPodAutoscaler": kind({
    spec: object({
      scaleTargetRef: object({ apiVersion: string, kind: string, name: string }),
      minReplicas: integer,
      maxReplicas: integer,
      metrics: list(
        object({
          type: string,
          resource: object({ name: string, target: metricTarget }),
          pods: object({ metric: object({ name: string, selector: any }), target: metricTarget }),
          ...anyOf("containerResource", "external", "object"),
        }),
      ),
      behavior: object({ scaleUp: scalingRules, scaleDown: scalingRules }),
    }),
  }),
  "apps/v1 Deployment": kind({
    spec: object({
      replicas: integer,
      selector: labelSelector,
      template,
      strategy: object({
        type: string,
        rollingUpdate: object({ maxSurge: intOrString, maxUnavailable: intOrString }),
      }),
      minReadySeconds: integer,
      revisionHistoryLimit: integer,
      paused: boolean,
      progressDeadlineSeconds: integer,
    }),
  }),
  "apps/v1 ReplicaSet": kind({
    spec: object({ replicas: integer, selector: labelSelector, template, minReadySeconds: integer }),
  }),
  "apps/v1 StatefulSet": kind({
    spec: object({
      replicas: integer,
      selector: labelSelector,
      template,
      serviceName: string,
      podManagementPolicy: string,
      updateStrategy: object({
        type: string,
        rollingUpdate: object({ partition: integer, maxUnavailable: any }),
      }),
      minReadySeconds: integer,
      ordinals: object({ start: integer }),
      ...anyOf("persistentVolumeClaimRetentionPolicy", "revisionHistoryLimit", "volumeClaimTemplates"),
    }),
  }),
  "apps/v1 DaemonSet": kind({
    spec: object({
      selector: labelSelector,
      template,
      updateStrategy: object({
        type: string,
        rollingUpdate: object({ maxSurge: intOrString, maxUnavailable: intOrString }),
      }),
      minReadySeconds: integer,
      revisionHistoryLimit: any,
    }),
  }),
  "batch/v1 Job": kind({
    spec: object({
      template,
      completions: integer,
      parallelism: integer,
      backoffLimit: integer,
      ...anyOf(
        "activeDeadlineSeconds",
        "backoffLimitPerIndex",
        "completionMode",
        "managedBy",
        "manualSelector",
      ),
      ...anyOf("maxFailedIndexes", "podFailurePolicy", "podReplacementPolicy", "selector", "successPolicy"),
      ...anyOf("suspend", "ttlSecondsAfterFinished"),
    }),
  }),
  "v1 Pod": kind({ spec: podSpec }),
  "v1 Service": kind({ spec: serviceSpec }),
  "v1 Namespace": kind({ spec: any }),
  "v1 Node": kind({
    spec: object({
      unschedulable: boolean,
      taints: list(object({ key: string, value: string, effect: string, timeAdded: any })),
      ...anyOf("configSource", "externalID", "podCIDR", "podCIDRs", "providerID"),
    }),
  }),
  "discovery.k8s.io/v1 EndpointSlice": kind({
    addressType: string,
    endpoints: list(
      object({
        addresses: list(string),
        conditions: object({ ready: boolean, serving: boolean, terminating: boolean }),
        hints: object({
          forZones: list(object({ name: string })),
          forNodes: list(object({ name: string })),
        }),
        ...{ hostname: string, nodeName: string, zone: string, targetRef, deprecatedTopology: any },
      }),
    ),
    ports: list(object({ name: string, port: integer, protocol: string, appProtocol: string })),
  }),
  "v1 Endpoints": kind({
    subsets: list(
      object({
        addresses: list(endpointAddress),
        notReadyAddresses: list(endpointAddress),
        ports: list(object({ name: string, port: integer, protocol: string, appProtocol: string })),
      }),
    ),
  }),
  "networking.k8s.io/v1 NetworkPolicy": kind({
    spec: object({
      podSelector: labelSelector,
      policyTypes: list(string),
      ingress: list(object({ from: list(policyPeer), ports: list(policyPort) })),
      egress: list(object({ to: list(policyPeer), ports: list(policyPort) })),
    }),
  }),
  "policy/v1 PodDisruptionBudget": kind({
    spec: object({
      minAvailable: intOrString,
      maxUnavailable: intOrString,
      selector: labelSelector,
      unhealthyPodEvictionPolicy: any,
    }),
  }),
};
