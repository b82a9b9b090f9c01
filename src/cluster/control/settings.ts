// Times of the control plane, each a flag of a Kubernetes component, with its default. docs/fidelity.md says
// which are ours.

const SECOND = 1_000_000_000;

export interface ControlSettings {
  /** From binding to running containers, per init container and once for the rest, ns. Default 1 s. */
  containerStart: number;
  /** A node's lease is renewed this often (a quarter of its duration). Default 10 s; 0: no leases. */
  leaseRenewal: number;
  /** --node-monitor-period. Default 5 s. */
  nodeMonitorPeriod: number;
  /** --node-monitor-grace-period: silence after which a node is not ready. Default 40 s. */
  nodeMonitorGrace: number;
  /** --default-unreachable-toleration-seconds and not-ready: then its pods are evicted. Default 300 s. */
  evictionDelay: number;
  /** First restart back-off of a container, and the most (MaxContainerBackOff). Default 10 s and 300 s. */
  restartBackOff: number;
  restartBackOffMax: number;
  /** Processor time a packet that a pod receives costs it, ns, for autoscalers. Default 1 ms. */
  cpuPerPacket: number;
  /** --horizontal-pod-autoscaler-sync-period. Default 15 s. */
  horizontalSync: number;
  /** --horizontal-pod-autoscaler-downscale-stabilization. Default 300 s. */
  horizontalDownscale: number;
}

export const DEFAULT_SETTINGS: ControlSettings = {
  containerStart: SECOND,
  leaseRenewal: 10 * SECOND,
  nodeMonitorPeriod: 5 * SECOND,
  nodeMonitorGrace: 40 * SECOND,
  evictionDelay: 300 * SECOND,
  restartBackOff: 10 * SECOND,
  restartBackOffMax: 300 * SECOND,
  cpuPerPacket: SECOND / 1000,
  horizontalSync: 15 * SECOND,
  horizontalDownscale: 300 * SECOND,
};
