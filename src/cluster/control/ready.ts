// Whether a pod is ready, and who hears of it: the Service table and the controllers (pkg/kubelet/status).

import type { ControlPlane } from "./control-plane.ts";
import type { Pod } from "./objects.ts";

/** The node runs, and its kubelet reaches the API server. */
export const isHeard = (cp: ControlPlane, n: number): boolean =>
  cp.nodes[n]?.alive === true && cp.nodes[n].connected;

/** All containers run and are ready. */
export function readiness(cp: ControlPlane, pod: Pod): void {
  // A kubelet that is cut off cannot say so.
  if (!isHeard(cp, pod.node)) return;
  setReadiness(
    cp,
    pod,
    pod.phase === "Running" && pod.containers.every((c) => c.state === "Running" && c.ready),
  );
}

/** Condition Ready, by whoever says so: kubelet, or the node controller for a node that is silent. */
export function setReadiness(cp: ControlPlane, pod: Pod, ready: boolean): void {
  const { cluster } = cp;
  if (pod.row >= 0 && (cluster.pods.ready[pod.row] === 1) !== ready) cluster.setReady(pod.row, ready);
  if (pod.ready === ready) return;
  pod.ready = ready;
  pod.readySince = cp.now;
  cp.podChanged(pod);
}
