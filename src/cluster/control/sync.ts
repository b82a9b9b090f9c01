// Who looks at an object that was queued, and what follows when a timer is due: the switchboard of the
// controllers.

import { syncAutoscaler } from "./autoscaler.ts";
import type { ControlPlane } from "./control-plane.ts";
import { syncDaemonSet } from "./daemon-set.ts";
import { syncDeployment } from "./deployment.ts";
import { evict } from "./eviction.ts";
import { syncJob } from "./job.ts";
import { containersStart, exitContainer, finishTermination, restartContainer } from "./kubelet.ts";
import { renewLease } from "./leases.ts";
import { monitorNodes, taintDue } from "./node-lifecycle.ts";
import type { Pod } from "./objects.ts";
import { probeTimeout } from "./probe-socket.ts";
import { type ProbeRole, probeTick } from "./prober.ts";
import { syncReplicaSet } from "./replica-set.ts";
import { schedulePods } from "./scheduler.ts";
import { syncStatefulSet } from "./stateful-set.ts";

export type Timer =
  | { kind: "sync"; key: string }
  | { kind: "start"; pod: Pod }
  | { kind: "kill"; pod: Pod }
  | { kind: "restart"; pod: Pod; container: number; run: number }
  | { kind: "probe"; pod: Pod; container: number; run: number; role: ProbeRole }
  | { kind: "autoscale"; key: string }
  | { kind: "lease"; node: number }
  | { kind: "monitor" }
  | { kind: "taint"; pod: Pod; key: string }
  | { kind: "evict"; pod: Pod; node: number }
  | { kind: "probe-timeout"; row: number; generation: number }
  | { kind: "exit"; pod: Pod; container: number; run: number; code: number };

/** "" is the scheduler. */
export function syncKey(cp: ControlPlane, key: string): void {
  if (key === "") return schedulePods(cp);
  const slash = key.indexOf("/");
  const kind = key.slice(0, slash);
  const name = key.slice(slash + 1);
  switch (kind) {
    case "Deployment":
      return ifThere(cp, cp.deployments.get(name), syncDeployment);
    case "ReplicaSet":
      return ifThere(cp, cp.replicaSets.get(name), syncReplicaSet);
    case "StatefulSet":
      return ifThere(cp, cp.statefulSets.get(name), syncStatefulSet);
    case "DaemonSet":
      return ifThere(cp, cp.daemonSets.get(name), syncDaemonSet);
    case "Job":
      return ifThere(cp, cp.jobs.get(name), syncJob);
  }
}

function ifThere<T>(cp: ControlPlane, object: T | undefined, sync: (cp: ControlPlane, o: T) => void): void {
  if (object !== undefined) sync(cp, object);
}

export function timerFired(cp: ControlPlane, timer: Timer): void {
  switch (timer.kind) {
    case "sync":
      return cp.enqueue(timer.key);
    case "start":
      return containersStart(cp, timer.pod);
    case "kill":
      return finishTermination(cp, timer.pod);
    case "restart":
      return restartContainer(cp, timer.pod, timer.container, timer.run);
    case "probe":
      return probeTick(cp, timer.pod, timer.container, timer.run, timer.role);
    case "autoscale":
      return syncAutoscaler(cp, timer.key);
    case "lease":
      return renewLease(cp, timer.node);
    case "monitor":
      return monitorNodes(cp);
    case "taint":
      return taintDue(cp, timer.pod, timer.key);
    case "evict":
      return evict(cp, timer.pod, timer.node);
    case "probe-timeout":
      return probeTimeout(cp, timer.row, timer.generation);
    case "exit":
      return exitContainer(cp, timer.pod, timer.container, timer.run, timer.code);
  }
}
