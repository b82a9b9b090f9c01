// HorizontalPodAutoscalers, mirroring pkg/controller/podautoscaler: replica_calculator.go and the behaviours
// of horizontal.go. What pods use is made of what they receive: packets a second on their interfaces, times
// the processor time of one (control.cpuPerPacket); metrics of type Pods are those packets themselves.
// Absent: memory, Object and External metrics, container metrics, delays of metrics-server.

import type { ControlPlane } from "./control-plane.ts";
import type { Autoscaler, Deployment, Pod, ScalingRules, StatefulSet } from "./objects.ts";
import { keyOf } from "./objects.ts";

const FROM = "horizontal-pod-autoscaler";
const SECOND = 1_000_000_000;
/** --horizontal-pod-autoscaler-tolerance. */
const TOLERANCE = 0.1;

type Target = Deployment | StatefulSet;

export function syncAutoscaler(cp: ControlPlane, key: string): void {
  const hpa = cp.autoscalers.get(key);
  if (hpa === undefined) return;
  cp.after(cp.settings.horizontalSync, { kind: "autoscale", key });
  const target = targetOf(cp, hpa);
  if (target === undefined) {
    const scale = `${hpa.kind} "${hpa.target}"`;
    const what = `the HPA controller was unable to get the target's current scale: ${scale}`;
    return cp.warn(FROM, "HorizontalPodAutoscaler", hpa, "FailedGetScale", `${what} not found`);
  }
  const rates = measure(cp, hpa, podsOf(target));
  if (target.replicas === 0) return;
  const { wanted, reason } = recommend(cp, hpa, target, rates);
  const stable = stabilize(cp, hpa, target.replicas, wanted);
  const limited = limitRate(cp, hpa, target.replicas, stable);
  const replicas = Math.max(hpa.min, Math.min(hpa.max, limited));
  if (replicas === target.replicas) return;
  hpa.changes.push({ time: cp.now, by: replicas - target.replicas });
  const why =
    wanted > replicas && reason === "" ? "Current number of replicas below Spec.MinReplicas" : reason;
  cp.say(FROM, "HorizontalPodAutoscaler", hpa, "SuccessfulRescale", `New size: ${replicas}; reason: ${why}`);
  target.replicas = replicas;
  cp.enqueue(keyOf(hpa.kind, target));
}

function targetOf(cp: ControlPlane, hpa: Autoscaler): Target | undefined {
  const key = `${hpa.namespace}/${hpa.target}`;
  return hpa.kind === "Deployment" ? cp.deployments.get(key) : cp.statefulSets.get(key);
}

function podsOf(target: Target): Pod[] {
  return "sets" in target ? target.sets.flatMap((rs) => [...rs.pods]) : [...target.pods];
}

interface Usage {
  pod: Pod;
  /** Packets a second; null where there is no measurement yet. */
  rate: number | null;
}

// Packets since the last look, of pods that were there then.
function measure(cp: ControlPlane, hpa: Autoscaler, pods: readonly Pod[]): Usage[] {
  const { cluster } = cp;
  cluster.walk.cache.flush();
  const seen = new Map<string, number>();
  const elapsed = (cp.now - hpa.measured) / SECOND;
  const found = pods
    .filter((pod) => pod.row >= 0 && pod.deleting < 0)
    .map((pod) => {
      const packets = cluster.walk.k.dev.rxPackets[cluster.pods.eth0[pod.row]];
      seen.set(pod.name, packets);
      const before = hpa.seen.get(pod.name);
      const rate = before === undefined || elapsed <= 0 ? null : (packets - before) / elapsed;
      return { pod, rate };
    });
  hpa.seen = seen;
  hpa.measured = cp.now;
  return found;
}

// The largest of what its metrics ask for.
function recommend(
  cp: ControlPlane,
  hpa: Autoscaler,
  target: Target,
  usages: readonly Usage[],
): { wanted: number; reason: string } {
  let wanted = -1;
  let reason = "";
  for (const metric of hpa.metrics) {
    const isCpu = metric.name === "cpu";
    const request = target.template.containers.reduce((sum, c) => sum + c.cpu, 0);
    // Thousandths of a processor, percent of the request, or packets a second.
    const perPacket = isCpu ? (cp.settings.cpuPerPacket / SECOND) * 1000 : 1;
    const scale = metric.isUtilization ? (perPacket * 100) / request : perPacket;
    if (metric.isUtilization && request === 0) {
      const message = `failed to get cpu utilization: missing request for cpu in ${hpa.kind} ${hpa.target}`;
      cp.warn(FROM, "HorizontalPodAutoscaler", hpa, "FailedGetResourceMetric", message);
      continue;
    }
    const count = replicasFor(target.replicas, usages, scale, metric.target);
    if (count === null || count < wanted) continue;
    const direction = count > target.replicas ? "above" : "below";
    const what = isCpu ? "cpu resource utilization (percentage of request)" : `pods metric ${metric.name}`;
    wanted = count;
    reason = direction === "below" ? "All metrics below target" : `${what} above target`;
  }
  return { wanted: wanted < 0 ? target.replicas : wanted, reason };
}

// calcPlainMetricReplicas: pods without a measurement count as idle when more are wanted, and as on target
// when fewer are; pods that are not ready as idle. Within the tolerance nothing changes.
function replicasFor(
  current: number,
  usages: readonly Usage[],
  scale: number,
  target: number,
): number | null {
  const known = usages.filter(({ pod, rate }) => rate !== null && pod.ready);
  if (known.length === 0) return null;
  const sum = known.reduce((all, { rate }) => all + (rate as number) * scale, 0);
  const ratio = sum / known.length / target;
  const missing = usages.length - known.length;
  if (missing === 0) {
    return Math.abs(ratio - 1) <= TOLERANCE ? current : Math.ceil(round(ratio * known.length));
  }
  const filled = ratio < 1 ? sum + missing * target : sum;
  const again = filled / usages.length / target;
  const turned = (ratio < 1 && again > 1) || (ratio > 1 && again < 1);
  if (Math.abs(again - 1) <= TOLERANCE || turned) return current;
  const count = Math.ceil(round(again * usages.length));
  return (again < 1 && count > current) || (again > 1 && count < current) ? current : count;
}

/** A count of a little more than a whole number of pods is that number: packets come in whole. */
const round = (value: number): number => Math.round(value * 1e6) / 1e6;

// stabilizeRecommendationWithBehaviors: the least wanted within the upward window, the most within the
// downward.
function stabilize(cp: ControlPlane, hpa: Autoscaler, current: number, wanted: number): number {
  const { up, down } = hpa;
  hpa.wanted.push({ time: cp.now, replicas: wanted });
  const longest = Math.max(up.window, down.window);
  hpa.wanted = hpa.wanted.filter((w) => w.time > cp.now - longest || w.time === cp.now);
  const within = (window: number): number[] =>
    hpa.wanted.filter((w) => w.time === cp.now || w.time > cp.now - window).map((w) => w.replicas);
  const least = Math.min(...within(up.window));
  const most = Math.max(...within(down.window));
  return Math.min(Math.max(current, least), Math.max(most, least));
}

// calculateScaleUpLimitWithScalingRules and its counterpart.
function limitRate(cp: ControlPlane, hpa: Autoscaler, current: number, wanted: number): number {
  if (wanted === current) return wanted;
  const isUp = wanted > current;
  const rules = isUp ? hpa.up : hpa.down;
  if (rules.select === "Disabled") return current;
  const limits = rules.policies.map((policy) => {
    const since = cp.now - policy.period;
    const done = hpa.changes
      .filter((c) => c.time > since && c.by > 0 === isUp)
      .reduce((sum, c) => sum + Math.abs(c.by), 0);
    const began = isUp ? current - done : current + done;
    if (policy.type === "Pods") return isUp ? began + policy.value : began - policy.value;
    const share = 1 + ((isUp ? 1 : -1) * policy.value) / 100;
    return isUp ? Math.ceil(round(began * share)) : Math.floor(round(began * share));
  });
  const widest = rules.select === "Max" ? isUp : !isUp;
  const limit = widest ? Math.max(...limits) : Math.min(...limits);
  return isUp ? Math.min(wanted, limit) : Math.max(wanted, limit);
}

const PERIOD = 15 * SECOND;

/** GenerateHPAScaleUpRules. */
export const SCALE_UP: ScalingRules = {
  window: 0,
  select: "Max",
  policies: [
    { type: "Pods", value: 4, period: PERIOD },
    { type: "Percent", value: 100, period: PERIOD },
  ],
};

/** GenerateHPAScaleDownRules; the window is a flag. */
export const SCALE_DOWN: Omit<ScalingRules, "window"> = {
  select: "Max",
  policies: [{ type: "Percent", value: 100, period: PERIOD }],
};
