// A Deployment's rollout as actions of the script: each step adds and deletes what cluster/rollout.ts says,
// and the next follows when a pod has become ready or a deleted one has gone. A pod there is no room for
// waits for the next step, as a pending one would.

import { rolloutStep, share } from "../cluster/rollout.ts";
import { mistake } from "./errors.ts";
import type { Net } from "./net.ts";
import type { Action } from "./script.ts";
import type { RolloutOptions } from "./spec.ts";

type Rollout = Extract<Action, { kind: "rollout" }>;

const GRACE = 30_000_000_000;
const SHARE = "25%";

export function rolloutAction(workload: string, isDeployment: boolean, options: RolloutOptions): Rollout {
  const path = `rollout.${workload}`;
  if (!isDeployment) throw mistake(path, `${workload} is a pod of its own, no deployment`);
  const { strategy = "RollingUpdate", maxSurge = SHARE, maxUnavailable = SHARE } = options;
  const { readyAfter = 0, gracePeriod = GRACE } = options;
  for (const [name, value] of Object.entries({ maxSurge, maxUnavailable })) {
    const isShare = typeof value === "string" && /^\d{1,3}%$/.test(value);
    if (isShare || (Number.isSafeInteger(value) && (value as number) >= 0)) continue;
    throw mistake(`${path}.${name}`, `${value} is neither a count nor a share such as "25%"`);
  }
  for (const [name, value] of Object.entries({ readyAfter, gracePeriod })) {
    if (Number.isSafeInteger(value) && value >= 0) continue;
    throw mistake(`${path}.${name}`, "a time is a whole number of nanoseconds, not negative");
  }
  if (strategy !== "RollingUpdate" && strategy !== "Recreate") {
    throw mistake(`${path}.strategy`, `"${strategy}" is not RollingUpdate or Recreate`);
  }
  const isNothing = (value: number | string): boolean => Number.parseInt(String(value), 10) === 0;
  if (strategy === "RollingUpdate" && isNothing(maxSurge) && isNothing(maxUnavailable)) {
    throw mistake(`${path}.maxUnavailable`, "may not be 0 when maxSurge is 0");
  }
  const plan = { replicas: 0, maxSurge: 0, maxUnavailable: 0, recreate: strategy === "Recreate" };
  const asked = { maxSurge, maxUnavailable };
  return { kind: "rollout", workload, plan, asked, readyAfter, grace: gracePeriod, begun: false };
}

/** A step; the first one begins the revision. */
export function rollOut(net: Net, number: number, action: Rollout): void {
  const { cluster, index, workload } = net.workload(action.workload);
  const { pods } = net;
  const { plan } = action;
  if (!action.begun) {
    const alive = workload.pods.filter((p) => pods.terminating[p] === 0);
    if (alive.some((p) => pods.revision[p] < workload.revision)) {
      throw mistake(`rollout.${workload.name}`, "the rollout before is not over");
    }
    action.begun = true;
    plan.replicas = alive.length;
    plan.maxSurge = share(action.asked.maxSurge, plan.replicas, true);
    plan.maxUnavailable = share(action.asked.maxUnavailable, plan.replicas, false);
    // Both round to nothing: one at a time may be missing.
    if (plan.maxSurge === 0 && plan.maxUnavailable === 0) plan.maxUnavailable = 1;
    workload.revision++;
  }
  for (let again = true; again; ) {
    const step = rolloutStep(cluster, index, plan);
    for (const p of step.remove) {
      cluster.beginTermination(p);
      later(net, action.grace, { kind: "rollout-remove", rollout: number, pod: pods.name[p] });
    }
    let added = 0;
    while (added < step.add && addPod(net, number, action)) added++;
    // What is ready at once makes room at once.
    again = added > 0 && action.readyAfter === 0;
  }
}

function addPod(net: Net, number: number, action: Rollout): boolean {
  const { cluster, index, workload } = net.workload(action.workload);
  const isReady = workload.ready;
  workload.ready = isReady && action.readyAfter === 0;
  const p = cluster.addPod(index);
  workload.ready = isReady;
  if (typeof p !== "number") return false;
  if (isReady && action.readyAfter > 0) {
    later(net, action.readyAfter, { kind: "rollout-ready", rollout: number, pod: net.pods.name[p] });
  }
  return true;
}

function later(net: Net, delay: number, action: Action): void {
  net.schedule(net.now + delay, action);
}

/** A pod has become ready, or its grace period is over: the next step. */
export function rolledOut(
  net: Net,
  action: Extract<Action, { kind: "rollout-ready" | "rollout-remove" }>,
): void {
  // It may have gone in the meantime.
  const p = net.pods.byName.get(action.pod);
  if (p !== undefined) {
    const cluster = net.clusters[net.pods.cluster[p]];
    if (action.kind === "rollout-ready") cluster.setReady(p, true);
    else cluster.removePod(p);
  }
  rollOut(net, action.rollout, net.script.actions[action.rollout] as Rollout);
}
