// kube-scheduler: pods in the order they came, for each the nodes that fit (filters.ts) and the best of those
// (scores.ts). As the real one it looks at all nodes of a small cluster and at a share of a large one, from
// where the last search ended (findNodesThatPassFilters, numFeasibleNodesToFind). Of nodes equally good the
// first that was found is taken, where the real one draws.
// Absent: priorities, preemption, scheduling gates, back-off between attempts.

import type { ControlPlane } from "./control-plane.ts";
import { type Attempt, newAttempt, whyNot } from "./filters.ts";
import { bind } from "./kubelet.ts";
import type { Pod } from "./objects.ts";
import { scoreNodes } from "./scores.ts";

const FROM = "default-scheduler";
/** minFeasibleNodesToFind, and the least share of the nodes in percent. */
const FEASIBLE_MIN = 100;
const SHARE_MIN = 5;

export function schedulePods(cp: ControlPlane): void {
  const pods = cp.toSchedule;
  cp.toSchedule = [];
  for (const pod of pods) if (pod.node < 0 && !pod.gone && pod.deleting < 0) schedulePod(cp, pod);
}

function schedulePod(cp: ControlPlane, pod: Pod): void {
  const wanted = pod.template.nodeName;
  if (wanted !== "") {
    const n = cp.nodes.findIndex((node) => node.name === wanted);
    if (n >= 0) bind(cp, pod, n);
    else cp.unschedulable.add(pod);
    return;
  }
  const attempt = newAttempt(cp, pod);
  const n = pod.pinned >= 0 ? pinnedNode(cp, attempt) : bestNode(cp, attempt);
  if (n < 0) return refuse(cp, attempt);
  pod.unschedulable = "";
  const message = `Successfully assigned ${pod.namespace}/${pod.name} to ${cp.nodes[n].name}`;
  cp.say(FROM, "Pod", pod, "Scheduled", message);
  bind(cp, pod, n);
}

function pinnedNode(cp: ControlPlane, attempt: Attempt): number {
  return whyNot(cp, attempt, attempt.pod.pinned) === null ? attempt.pod.pinned : -1;
}

function bestNode(cp: ControlPlane, attempt: Attempt): number {
  const count = cp.nodes.length;
  const enough = feasibleToFind(count);
  const feasible: number[] = [];
  let looked = 0;
  while (looked < count && feasible.length < enough) {
    const n = (cp.nextNode + looked++) % count;
    if (whyNot(cp, attempt, n) === null) feasible.push(n);
  }
  cp.nextNode = count === 0 ? 0 : (cp.nextNode + looked) % count;
  if (feasible.length <= 1) return feasible[0] ?? -1;
  const scores = scoreNodes(cp, attempt, feasible);
  let best = 0;
  for (let i = 1; i < scores.length; i++) if (scores[i] > scores[best]) best = i;
  return feasible[best];
}

function feasibleToFind(nodes: number): number {
  if (nodes < FEASIBLE_MIN) return nodes;
  const share = Math.max(SHARE_MIN, Math.floor(50 - nodes / 125));
  return Math.max(FEASIBLE_MIN, Math.floor((nodes * share) / 100));
}

// FitError: reasons with the number of nodes, in the order of the text.
function refuse(cp: ControlPlane, attempt: Attempt): void {
  const { pod } = attempt;
  cp.unschedulable.add(pod);
  const counts = new Map<string, number>();
  let unhelpful = 0;
  for (let n = 0; n < cp.nodes.length; n++) {
    const reasons = whyNot(cp, attempt, n) ?? [];
    if (!reasons.every((reason) => RESOLVABLE.test(reason))) unhelpful++;
    for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  const all = cp.nodes.length;
  if (all === 0) {
    if (pod.unschedulable === "")
      cp.warn(FROM, "Pod", pod, "FailedScheduling", "no nodes available to schedule pods");
    pod.unschedulable = "no nodes";
    return;
  }
  const why = [...counts].map(([reason, count]) => `${count} ${reason}`).sort();
  const preemption = [
    ...(all - unhelpful > 0 ? [`${all - unhelpful} No preemption victims found for incoming pod`] : []),
    ...(unhelpful > 0 ? [`${unhelpful} Preemption is not helpful for scheduling`] : []),
  ].sort();
  const message =
    `0/${all} nodes are available: ${why.join(", ")}. ` +
    `preemption: 0/${all} nodes are available: ${preemption.join(", ")}.`;
  if (message === pod.unschedulable) return;
  pod.unschedulable = message;
  cp.warn(FROM, "Pod", pod, "FailedScheduling", message);
}

/** Whether fewer pods on the node would help (Unschedulable, not UnschedulableAndUnresolvable). */
const RESOLVABLE = new RegExp(
  "^(?:Insufficient|Too many pods|" +
    "node\\(s\\) didn't match pod (?:topology spread constraints|anti-affinity rules)$|" +
    "node\\(s\\) didn't satisfy existing pods anti-affinity rules$)",
);
