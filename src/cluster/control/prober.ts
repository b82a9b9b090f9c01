// Probes, mirroring pkg/kubelet/prober: a worker per probe and container that ticks every period from the
// start of the container, asks once initialDelaySeconds have passed, and counts streaks of successes and of
// failures against the thresholds. HTTP and TCP probes are real connections from the node (probe-socket.ts);
// exec asks a function of the script. While the startup probe has not succeeded the others wait.
// Absent: jitter at the restart of kubelet, gRPC's health protocol (a gRPC probe succeeds once it connects).

import type { ControlPlane } from "./control-plane.ts";
import { killContainer } from "./kubelet.ts";
import type { Pod, Probe } from "./objects.ts";
import { openProbe } from "./probe-socket.ts";
import { readiness } from "./ready.ts";

const FROM = "kubelet";

export type ProbeRole = "startup" | "readiness" | "liveness";
const ROLES: readonly ProbeRole[] = ["startup", "readiness", "liveness"];
const TITLES = { startup: "Startup", readiness: "Readiness", liveness: "Liveness" } as const;

/** A container began to run: its workers begin. */
export function startProbes(cp: ControlPlane, pod: Pod, i: number): void {
  const { run } = pod.containers[i];
  pod.containers[i].streaks = { startup: 0, readiness: 0, liveness: 0 };
  for (const role of ROLES) {
    const probe = pod.template.containers[i][role];
    if (probe === null) continue;
    const first = Math.ceil(probe.delay / probe.period) * probe.period;
    cp.after(first, { kind: "probe", pod, container: i, run, role });
  }
}

/** The container this run of which is meant still runs on a node that does. */
export function isCurrent(cp: ControlPlane, pod: Pod, i: number, run: number): boolean {
  const c = pod.containers[i];
  return !pod.gone && pod.row >= 0 && c.state === "Running" && c.run === run && cp.nodes[pod.node].alive;
}

export function probeTick(cp: ControlPlane, pod: Pod, i: number, run: number, role: ProbeRole): void {
  if (!isCurrent(cp, pod, i, run)) return;
  const c = pod.containers[i];
  const probe = pod.template.containers[i][role] as Probe;
  if (role === "startup" && c.hasStarted) return;
  // A pod that terminates is asked no more whether it lives.
  if (pod.deleting >= 0 && role !== "readiness") return;
  cp.after(probe.period, { kind: "probe", pod, container: i, run, role });
  if (role !== "startup" && !c.hasStarted) return;
  if (probe.kind !== "exec") return openProbe(cp, pod, i, role, probe);
  const code = cp.exec === null ? (c.healthy ? 0 : 1) : cp.exec(pod.name, c.name, probe.command);
  probeAnswered(cp, pod, i, run, role, code === 0 ? "" : `command failed with exit code ${code}`);
}

/** @param failure what kubelet says went wrong; empty for a success */
export function probeAnswered(
  cp: ControlPlane,
  pod: Pod,
  i: number,
  run: number,
  role: ProbeRole,
  failure: string,
): void {
  if (!isCurrent(cp, pod, i, run)) return;
  const c = pod.containers[i];
  const probe = pod.template.containers[i][role] as Probe;
  const before = c.streaks[role];
  const isGood = failure === "";
  c.streaks[role] = isGood ? Math.max(0, before) + 1 : Math.min(0, before) - 1;
  if (!isGood) {
    cp.warn(FROM, "Pod", pod, "Unhealthy", `${TITLES[role]} probe failed: ${failure}`);
  }
  if (isGood ? c.streaks[role] < probe.success : -c.streaks[role] < probe.failure) return;
  if (role === "readiness") {
    c.ready = isGood;
    return readiness(cp, pod);
  }
  if (!isGood) return killContainer(cp, pod, i, `failed ${role} probe, will be restarted`);
  if (role !== "startup") return;
  c.hasStarted = true;
  c.ready = pod.template.containers[i].readiness === null;
  readiness(cp, pod);
}
