// What the API server stores, as far as the data plane and the controllers read it: the fields of core/v1,
// apps/v1 and batch/v1 in the units of the emulator (ns, milli-CPU, bytes). Plain data, so that it is part of
// a snapshot.

import type { LabelSelector, Labels } from "../labels.ts";

export interface ContainerPort {
  /** Empty: none. */
  name: string;
  port: number;
  /** IP protocol number. */
  protocol: number;
  /** Port of the node; 0: none. */
  hostPort: number;
  /** 0: every address of the node. */
  hostIp: number;
}

export interface Probe {
  kind: "http" | "tcp" | "grpc" | "exec";
  port: number | string;
  path: string;
  /** Of exec. */
  command: readonly string[];
  delay: number;
  period: number;
  timeout: number;
  success: number;
  failure: number;
}

export interface ContainerSpec {
  name: string;
  image: string;
  /** Requests. */
  cpu: number;
  memory: number;
  ports: readonly ContainerPort[];
  startup: Probe | null;
  readiness: Probe | null;
  liveness: Probe | null;
}

export interface Taint {
  key: string;
  value: string;
  effect: "NoSchedule" | "PreferNoSchedule" | "NoExecute";
}

export interface Toleration {
  key: string;
  operator: "Exists" | "Equal";
  value: string;
  /** Empty: every effect. */
  effect: string;
  /** How long NoExecute is tolerated, ns; null: for ever. */
  time: number | null;
}

export interface SpreadConstraint {
  maxSkew: number;
  topologyKey: string;
  /** DoNotSchedule; else it only counts when nodes are compared. */
  hard: boolean;
  selector: LabelSelector;
}

/** One of nodeSelectorTerms: all requirements hold. */
export type NodeTerm = readonly NodeRequirement[];

export interface NodeRequirement {
  key: string;
  operator: "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt";
  values: readonly string[];
}

/** A PodAffinityTerm. */
export interface PodTerm {
  /** Null: no pod. */
  selector: LabelSelector | null;
  /** Both without content: the pod's own namespace. */
  namespaces: readonly string[];
  namespaceSelector: LabelSelector | null;
  topologyKey: string;
}

/** Affinity beyond what a node must be. */
export interface Affinity {
  /** Pods to be near, and to be apart from, of podAffinity and podAntiAffinity. */
  required: readonly PodTerm[];
  forbidden: readonly PodTerm[];
  /** Weights of podAntiAffinity are negative. */
  preferred: readonly { term: PodTerm; weight: number }[];
  /** Of nodeAffinity. */
  preferredNodes: readonly { term: NodeTerm; weight: number }[];
}

export interface PodTemplate {
  labels: Labels;
  annotations: Labels;
  containers: readonly ContainerSpec[];
  /** How many run, one after the other, before the containers. */
  initContainers: number;
  restartPolicy: "Always" | "OnFailure" | "Never";
  /** terminationGracePeriodSeconds, ns. */
  grace: number;
  hostNetwork: boolean;
  nodeName: string;
  nodeSelector: Labels;
  /** requiredDuringSchedulingIgnoredDuringExecution; empty: none. */
  nodeTerms: readonly NodeTerm[];
  tolerations: readonly Toleration[];
  spread: readonly SpreadConstraint[];
  /** Absent: none. */
  affinity?: Affinity;
  /** Its pods' name in the headless Service `subdomain`; absent: none. A StatefulSet's have their own. */
  hostname?: string;
  subdomain?: string;
}

export interface ContainerStatus {
  name: string;
  state: "Waiting" | "Running" | "Terminated";
  reason: string;
  restarts: number;
  /** When it was started last. */
  started: number;
  exitCode: number;
  /** What the next restart waits, ns; 0: restarts at once. */
  backOff: number;
  /** The startup probe has succeeded, or there is none. */
  hasStarted: boolean;
  ready: boolean;
  /** What its program says of itself, when probes ask. */
  healthy: boolean;
  /** Successes (positive) or failures (negative) in a row, by probe. */
  streaks: { startup: number; readiness: number; liveness: number };
  /** The run that is being killed; -1. */
  dying: number;
  /** Counts starts: what was under way for the container before is stale. */
  run: number;
}

export type PodPhase = "Pending" | "Running" | "Succeeded" | "Failed";

export interface Pod {
  namespace: string;
  name: string;
  labels: Labels;
  template: PodTemplate;
  /** Key of the ReplicaSet, StatefulSet, DaemonSet or Job; empty: none. */
  owner: string;
  /** Of the owner's templates, which; pod-template-hash or controller-revision-hash. */
  hash: string;
  /** Place among a StatefulSet's pods; -1. */
  ordinal: number;
  /** Node it must run on (DaemonSet); -1. */
  pinned: number;
  created: number;
  /** -1: not bound. */
  node: number;
  /** Row of the data plane's pods; -1 while it has no network. */
  row: number;
  /** Address it has or had; 0. */
  ip: number;
  phase: PodPhase;
  /** status.reason: Evicted, NodeLost … */
  reason: string;
  containers: ContainerStatus[];
  ready: boolean;
  /** When it became ready last. */
  readySince: number;
  /** When deletion was asked for; -1. */
  deleting: number;
  /** The object is gone from the API server. */
  gone: boolean;
  /** The scheduler's words at its last attempt, so that the same are said once. */
  unschedulable: string;
}

/** What makes pods out of a template. */
interface Owner {
  namespace: string;
  name: string;
  labels: Labels;
  template: PodTemplate;
  created: number;
}

/** One of apps/v1. */
interface App extends Owner {
  selector: LabelSelector;
  minReady: number;
}

export interface ReplicaSet extends App {
  replicas: number;
  /** Key of its Deployment; empty: none. */
  owner: string;
  hash: string;
  revision: number;
  pods: Set<Pod>;
}

export interface Deployment extends App {
  replicas: number;
  recreate: boolean;
  /** Counts, or shares such as "25%". */
  maxSurge: number | string;
  maxUnavailable: number | string;
  historyLimit: number;
  paused: boolean;
  /** Replicas the ReplicaSets were last scaled to together: a change is a scaling. */
  scaledTo: number;
  sets: ReplicaSet[];
}

export interface StatefulSet extends App {
  replicas: number;
  parallel: boolean;
  onDelete: boolean;
  partition: number;
  start: number;
  pods: Set<Pod>;
}

export interface DaemonSet extends App {
  onDelete: boolean;
  maxUnavailable: number | string;
  pods: Set<Pod>;
}

export interface Job extends Owner {
  /** Null: one success ends it. */
  completions: number | null;
  parallelism: number;
  backoffLimit: number;
  /** Terminated pods are kept, and counted here. */
  succeeded: number;
  failed: number;
  /** "" while it runs. */
  condition: "" | "Complete" | "Failed";
  /** No pod is made before this time: back-off after a failure. */
  notBefore: number;
  finished: number;
  pods: Set<Pod>;
}

export interface ScalingRules {
  /** stabilizationWindowSeconds, ns. */
  window: number;
  select: "Max" | "Min" | "Disabled";
  policies: readonly { type: "Pods" | "Percent"; value: number; period: number }[];
}

export interface Autoscaler {
  namespace: string;
  name: string;
  kind: "Deployment" | "StatefulSet";
  target: string;
  min: number;
  max: number;
  /** Percent of the request, thousandths of a processor (cpu), or packets a second. */
  metrics: readonly { name: string; isUtilization: boolean; target: number }[];
  up: ScalingRules;
  down: ScalingRules;
  /** Packets each pod had received when it looked last, and when that was. */
  seen: Map<string, number>;
  measured: number;
  /** What it wanted, and what it did. */
  wanted: { time: number; replicas: number }[];
  changes: { time: number; by: number }[];
  created: number;
}

export interface DisruptionBudget {
  namespace: string;
  name: string;
  selector: LabelSelector;
  minAvailable: number | string | null;
  maxUnavailable: number | string | null;
}

export interface ControlledNode {
  name: string;
  labels: Labels;
  taints: Taint[];
  /** spec.unschedulable. */
  cordoned: boolean;
  /** Allocatable milli-CPU and bytes. */
  cpu: number;
  memory: number;
  /** Requested by the pods bound to it. */
  usedCpu: number;
  usedMemory: number;
  /** Bound pods that have no network yet. */
  starting: number;
  /** Condition Ready. */
  ready: "True" | "False" | "Unknown";
  /** The machine runs. */
  alive: boolean;
  /** Its kubelet hears of the API server. */
  connected: boolean;
  /** Row of its connection to the API server; -1. */
  lease: number;
  /** When the API server heard of its kubelet last. */
  renewed: number;
  created: number;
  pods: Set<Pod>;
}

export const keyOf = (kind: string, o: { namespace: string; name: string }): string =>
  `${kind}/${o.namespace}/${o.name}`;

/** A pod the controllers count (IsPodActive). */
export const isActive = (pod: Pod): boolean =>
  pod.deleting < 0 && pod.phase !== "Succeeded" && pod.phase !== "Failed";

/** Ready for long enough (IsPodAvailable). */
export const isAvailable = (pod: Pod, minReady: number, now: number): boolean =>
  pod.ready && (minReady === 0 || pod.readySince + minReady <= now);

export const isRunningReady = (pod: Pod): boolean => pod.phase === "Running" && pod.ready;
