// Types of the fields that are read from manifests, once their shape was checked (shapes.ts).

import type { LabelSelector } from "../../cluster/labels.ts";

export type Strings = Readonly<Record<string, string>>;

export interface MetadataManifest {
  name?: string;
  namespace?: string;
  labels?: Strings;
  annotations?: Strings;
}

export interface ProbeManifest {
  httpGet?: { path?: string; port?: number | string };
  tcpSocket?: { port?: number | string };
  grpc?: { port?: number };
  exec?: { command?: readonly string[] };
  initialDelaySeconds?: number;
  periodSeconds?: number;
  timeoutSeconds?: number;
  successThreshold?: number;
  failureThreshold?: number;
}

export interface ContainerManifest {
  name?: string;
  image?: string;
  ports?: readonly {
    name?: string;
    containerPort?: number;
    protocol?: string;
    hostPort?: number;
    hostIP?: string;
  }[];
  resources?: { requests?: Quantities; limits?: Quantities };
  startupProbe?: ProbeManifest;
  readinessProbe?: ProbeManifest;
  livenessProbe?: ProbeManifest;
  restartPolicy?: string;
}

export type Quantities = Readonly<Record<string, string | number>>;

export interface RequirementManifest {
  key?: string;
  operator?: string;
  values?: readonly string[];
}

export interface NodeTermManifest {
  matchExpressions?: readonly RequirementManifest[];
}

export interface PodTermManifest {
  labelSelector?: LabelSelector;
  namespaces?: readonly string[];
  namespaceSelector?: LabelSelector;
  topologyKey?: string;
}

export interface PodAffinityManifest {
  requiredDuringSchedulingIgnoredDuringExecution?: readonly PodTermManifest[];
  preferredDuringSchedulingIgnoredDuringExecution?: readonly {
    weight?: number;
    podAffinityTerm?: PodTermManifest;
  }[];
}

export interface PodSpecManifest {
  containers?: readonly ContainerManifest[];
  initContainers?: readonly ContainerManifest[];
  restartPolicy?: string;
  terminationGracePeriodSeconds?: number;
  nodeName?: string;
  nodeSelector?: Strings;
  affinity?: {
    nodeAffinity?: {
      requiredDuringSchedulingIgnoredDuringExecution?: {
        nodeSelectorTerms?: readonly NodeTermManifest[];
      };
      preferredDuringSchedulingIgnoredDuringExecution?: readonly {
        weight?: number;
        preference?: NodeTermManifest;
      }[];
    };
    podAffinity?: PodAffinityManifest;
    podAntiAffinity?: PodAffinityManifest;
  };
  tolerations?: readonly {
    key?: string;
    operator?: string;
    value?: string;
    effect?: string;
    tolerationSeconds?: number;
  }[];
  topologySpreadConstraints?: readonly {
    maxSkew?: number;
    topologyKey?: string;
    whenUnsatisfiable?: string;
    labelSelector?: LabelSelector;
  }[];
  hostNetwork?: boolean;
  hostname?: string;
  subdomain?: string;
}

export interface PodTemplateManifest {
  metadata?: MetadataManifest;
  spec?: PodSpecManifest;
}

export interface WorkloadManifest {
  metadata?: MetadataManifest;
  spec?: {
    replicas?: number;
    selector?: LabelSelector;
    template?: PodTemplateManifest;
    minReadySeconds?: number;
    revisionHistoryLimit?: number;
    paused?: boolean;
    strategy?: StrategyManifest;
    updateStrategy?: StrategyManifest & { rollingUpdate?: { partition?: number } };
    serviceName?: string;
    podManagementPolicy?: string;
    ordinals?: { start?: number };
    completions?: number;
    parallelism?: number;
    backoffLimit?: number;
    minAvailable?: number | string;
    maxUnavailable?: number | string;
  };
}

export interface StrategyManifest {
  type?: string;
  rollingUpdate?: { maxSurge?: number | string; maxUnavailable?: number | string };
}

export interface ServiceManifest {
  metadata?: MetadataManifest;
  spec?: {
    ports?: readonly {
      name?: string;
      port?: number;
      targetPort?: number | string;
      protocol?: string;
      nodePort?: number;
    }[];
    selector?: Strings;
    type?: string;
    clusterIP?: string;
    externalIPs?: readonly string[];
    externalName?: string;
    externalTrafficPolicy?: string;
    internalTrafficPolicy?: string;
    sessionAffinity?: string;
    sessionAffinityConfig?: { clientIP?: { timeoutSeconds?: number } };
    loadBalancerIP?: string;
    loadBalancerSourceRanges?: readonly string[];
    allocateLoadBalancerNodePorts?: boolean;
    healthCheckNodePort?: number;
    publishNotReadyAddresses?: boolean;
    trafficDistribution?: string;
  };
  status?: { loadBalancer?: { ingress?: readonly { ip?: string; ipMode?: string }[] } };
}

export interface SliceEndpointManifest {
  addresses?: readonly string[];
  conditions?: { ready?: boolean; serving?: boolean; terminating?: boolean };
  hostname?: string;
  nodeName?: string;
  zone?: string;
  hints?: { forZones?: readonly { name?: string }[]; forNodes?: readonly { name?: string }[] };
  targetRef?: { kind?: string; namespace?: string; name?: string };
}

export interface EndpointSliceManifest {
  metadata?: MetadataManifest;
  addressType?: string;
  endpoints?: readonly SliceEndpointManifest[];
  ports?: readonly { name?: string; port?: number; protocol?: string }[];
}

export interface EndpointsManifest {
  metadata?: MetadataManifest;
  subsets?: readonly {
    addresses?: readonly (SliceEndpointManifest & { ip?: string })[];
    notReadyAddresses?: readonly (SliceEndpointManifest & { ip?: string })[];
    ports?: readonly { name?: string; port?: number; protocol?: string }[];
  }[];
}
