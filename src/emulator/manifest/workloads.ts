// Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs, Pods and PodDisruptionBudgets out of manifests:
// the rules of pkg/apis/apps/validation, batch and policy, and the defaults of their v1.

import type { ControlPlane } from "../../cluster/control/control-plane.ts";
import { daemonTemplate } from "../../cluster/control/daemon-set.ts";
import { templateHash } from "../../cluster/control/names.ts";
import { keyOf, type Pod, type PodTemplate } from "../../cluster/control/objects.ts";
import { admitTemplate, createPod } from "../../cluster/control/pod.ts";
import { selectorMatches } from "../../cluster/labels.ts";
import type { StrategyManifest, WorkloadManifest } from "./kinds.ts";
import { podTemplate } from "./pod-template.ts";
import {
  checkLabels,
  checkName,
  checkSelector,
  checkShare,
  invalid,
  notNegative,
  required,
  type Say,
  supported,
} from "./rules.ts";

const SECOND = 1_000_000_000;

/** What applies the object, once all of the manifest is in order. */
export type Apply = (cp: ControlPlane) => void;

export interface ObjectContext {
  name: string;
  namespace: string;
  say: Say;
  skip: Say;
}

type Spec = NonNullable<WorkloadManifest["spec"]>;

export function deployment(m: WorkloadManifest, c: ObjectContext): Apply {
  const { spec = {} } = m;
  const { selector, template, labels } = selected(m, c);
  const recreate = strategyOf(spec.strategy, c.say);
  const { rollingUpdate } = spec.strategy ?? {};
  const { maxSurge = "25%", maxUnavailable = "25%" } = rollingUpdate ?? {};
  return (cp) => {
    const replicas = spec.replicas ?? 1;
    const wanted = {
      namespace: c.namespace,
      name: c.name,
      labels,
      selector,
      template: admitTemplate(cp, template),
      replicas,
      minReady: (spec.minReadySeconds ?? 0) * SECOND,
      recreate,
      maxSurge,
      maxUnavailable,
      historyLimit: spec.revisionHistoryLimit ?? 10,
      paused: spec.paused === true,
    };
    const fresh = { created: cp.now, scaledTo: replicas, sets: [] };
    const now = put(cp, "Deployment", cp.deployments, wanted, fresh);
    for (const rs of now.sets) rs.minReady = now.minReady;
  };
}

/** The object as it is wanted: made, or changed in place. Its controller looks at it. */
function put<T extends { namespace: string; name: string }, Fresh extends keyof T>(
  cp: ControlPlane,
  kind: string,
  objects: Map<string, T>,
  wanted: Omit<T, Fresh> & { namespace: string; name: string },
  fresh: Pick<T, Fresh>,
): T {
  const key = `${wanted.namespace}/${wanted.name}`;
  const known = objects.get(key);
  const now = known === undefined ? ({ ...wanted, ...fresh } as unknown as T) : Object.assign(known, wanted);
  objects.set(key, now);
  cp.enqueue(keyOf(kind, wanted));
  return now;
}

// True: Recreate.
function strategyOf(strategy: StrategyManifest | undefined, say: Say): boolean {
  const type = strategy?.type ?? "RollingUpdate";
  supported(say, "spec.strategy.type", type, ["Recreate", "RollingUpdate"]);
  const rolling = strategy?.rollingUpdate;
  if (type === "Recreate" && rolling) {
    say("spec.strategy.rollingUpdate", "Forbidden: may not be specified when strategy `type` is 'Recreate'");
  }
  checkFence(rolling, "spec.strategy.rollingUpdate", say);
  return type === "Recreate";
}

function checkFence(rolling: StrategyManifest["rollingUpdate"], path: string, say: Say): void {
  const { maxSurge, maxUnavailable } = rolling ?? {};
  checkShare(say, `${path}.maxSurge`, maxSurge);
  checkShare(say, `${path}.maxUnavailable`, maxUnavailable);
  const isNothing = (value: number | string | undefined): boolean =>
    value !== undefined && Number.parseInt(String(value), 10) === 0;
  if (isNothing(maxSurge) && isNothing(maxUnavailable)) {
    invalid(say, `${path}.maxUnavailable`, maxUnavailable, "may not be 0 when `maxSurge` is 0");
  }
  if (typeof maxUnavailable === "string" && Number.parseInt(maxUnavailable, 10) > 100) {
    invalid(say, `${path}.maxUnavailable`, maxUnavailable, "must not be greater than 100%");
  }
}

export function replicaSet(m: WorkloadManifest, c: ObjectContext): Apply {
  const { spec = {} } = m;
  const { selector, template, labels } = selected(m, c);
  return (cp) => {
    const full = admitTemplate(cp, template);
    const wanted = {
      namespace: c.namespace,
      name: c.name,
      labels,
      selector,
      template: full,
      replicas: spec.replicas ?? 1,
      minReady: (spec.minReadySeconds ?? 0) * SECOND,
      hash: templateHash(full),
    };
    const fresh = { owner: "", revision: 0, created: cp.now, pods: new Set<Pod>() };
    put(cp, "ReplicaSet", cp.replicaSets, wanted, fresh);
  };
}

export function statefulSet(m: WorkloadManifest, c: ObjectContext): Apply {
  const { spec = {} } = m;
  const { selector, template, labels } = selected(m, c);
  const { podManagementPolicy = "OrderedReady", updateStrategy, ordinals } = spec;
  supported(c.say, "spec.podManagementPolicy", podManagementPolicy, ["OrderedReady", "Parallel"]);
  supported(c.say, "spec.updateStrategy.type", updateStrategy?.type, ["RollingUpdate", "OnDelete"]);
  notNegative(c.say, "spec.updateStrategy.rollingUpdate.partition", updateStrategy?.rollingUpdate?.partition);
  notNegative(c.say, "spec.ordinals.start", ordinals?.start);
  return (cp) => {
    const wanted = {
      namespace: c.namespace,
      name: c.name,
      labels,
      selector,
      template: admitTemplate(cp, spec.serviceName ? { ...template, subdomain: spec.serviceName } : template),
      replicas: spec.replicas ?? 1,
      minReady: (spec.minReadySeconds ?? 0) * SECOND,
      parallel: podManagementPolicy === "Parallel",
      onDelete: updateStrategy?.type === "OnDelete",
      partition: updateStrategy?.rollingUpdate?.partition ?? 0,
      start: ordinals?.start ?? 0,
    };
    put(cp, "StatefulSet", cp.statefulSets, wanted, { created: cp.now, pods: new Set<Pod>() });
  };
}

export function daemonSet(m: WorkloadManifest, c: ObjectContext): Apply {
  const { spec = {} } = m;
  const { selector, template, labels } = selected(m, c);
  const { updateStrategy } = spec;
  supported(c.say, "spec.updateStrategy.type", updateStrategy?.type, ["RollingUpdate", "OnDelete"]);
  checkFence(updateStrategy?.rollingUpdate, "spec.updateStrategy.rollingUpdate", c.say);
  if (Number.parseInt(String(updateStrategy?.rollingUpdate?.maxSurge ?? 0), 10) !== 0) {
    c.skip("spec.updateStrategy.rollingUpdate.maxSurge", "is not modelled");
  }
  return (cp) => {
    const wanted = {
      namespace: c.namespace,
      name: c.name,
      labels,
      selector,
      template: daemonTemplate(template),
      minReady: (spec.minReadySeconds ?? 0) * SECOND,
      onDelete: updateStrategy?.type === "OnDelete",
      maxUnavailable: updateStrategy?.rollingUpdate?.maxUnavailable ?? 1,
    };
    put(cp, "DaemonSet", cp.daemonSets, wanted, { created: cp.now, pods: new Set<Pod>() });
  };
}

export function job(m: WorkloadManifest, c: ObjectContext): Apply {
  const { spec = {} } = m;
  checkMeta(m, c, "subdomain");
  if (spec.template?.spec?.restartPolicy === undefined && spec.template !== undefined) {
    required(c.say, "spec.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"');
  }
  const template = templateOf(spec, c, ["Never", "OnFailure"]);
  for (const name of ["completions", "parallelism", "backoffLimit"] as const) {
    notNegative(c.say, `spec.${name}`, spec[name]);
  }
  const { completions, parallelism = 1, backoffLimit = 6 } = spec;
  return (cp) => {
    // A Job's other fields do not change.
    const wanted = { namespace: c.namespace, name: c.name, parallelism };
    put(cp, "Job", cp.jobs, wanted, {
      labels: m.metadata?.labels ?? {},
      template: admitTemplate(cp, template),
      completions: completions ?? (spec.parallelism === undefined ? 1 : null),
      backoffLimit,
      succeeded: 0,
      failed: 0,
      condition: "",
      notBefore: 0,
      created: cp.now,
      finished: 0,
      pods: new Set(),
    });
  };
}

export function pod(m: WorkloadManifest, c: ObjectContext): Apply {
  checkMeta(m, c, "subdomain");
  const context = { say: c.say, skip: c.skip, path: "", policies: POLICIES };
  const template = podTemplate(m.metadata, m.spec as never, context);
  return (cp) => {
    if (cp.pods.has(`${c.namespace}/${c.name}`)) return;
    const full = admitTemplate(cp, template);
    createPod(cp, "", { namespace: c.namespace, name: c.name }, full, templateHash(full), { name: c.name });
  };
}

const POLICIES = ["Always", "OnFailure", "Never"] as const;

export function disruptionBudget(m: WorkloadManifest, c: ObjectContext): Apply {
  const { spec = {} } = m;
  checkMeta(m, c, "subdomain");
  const { minAvailable = null, maxUnavailable = null, selector = {} } = spec;
  checkShare(c.say, "spec.minAvailable", spec.minAvailable);
  checkShare(c.say, "spec.maxUnavailable", spec.maxUnavailable);
  if (minAvailable !== null && maxUnavailable !== null) {
    invalid(c.say, "spec", "PodDisruptionBudgetSpec", "minAvailable and maxUnavailable cannot be both set");
  }
  checkSelector(c.say, "spec.selector", selector);
  const { namespace, name } = c;
  const budget = { namespace, name, selector, minAvailable, maxUnavailable };
  return (cp) => void cp.budgets.set(`${namespace}/${name}`, budget);
}

function checkMeta(m: WorkloadManifest, c: ObjectContext, rule: "subdomain" | "label"): void {
  checkName(c.say, "metadata.name", m.metadata?.name, rule);
  checkLabels(c.say, "metadata.labels", m.metadata?.labels);
  if (m.metadata?.namespace !== undefined) {
    checkName(c.say, "metadata.namespace", m.metadata.namespace, "label");
  }
  if (m.spec === undefined || m.spec === null) required(c.say, "spec");
}

function templateOf(
  spec: Spec,
  c: ObjectContext,
  policies: readonly PodTemplate["restartPolicy"][],
): PodTemplate {
  const { say, skip } = c;
  if (spec.template === undefined) required(say, "spec.template");
  const context = { say, skip, path: "spec.template", policies };
  return podTemplate(spec.template?.metadata, spec.template?.spec, context);
}

// What the kinds of apps/v1 have in common.
function selected(m: WorkloadManifest, c: ObjectContext) {
  const { spec = {} } = m;
  checkMeta(m, c, "subdomain");
  notNegative(c.say, "spec.replicas", spec.replicas);
  notNegative(c.say, "spec.minReadySeconds", spec.minReadySeconds);
  notNegative(c.say, "spec.revisionHistoryLimit", spec.revisionHistoryLimit);
  const { selector } = spec;
  const isEmpty =
    Object.keys(selector?.matchLabels ?? {}).length === 0 && (selector?.matchExpressions ?? []).length === 0;
  if (selector === undefined) required(c.say, "spec.selector");
  else if (isEmpty) {
    invalid(c.say, "spec.selector", selector, "empty selector is invalid for deployment");
  }
  checkSelector(c.say, "spec.selector", selector);
  const template = templateOf(spec, c, ["Always"]);
  if (selector !== undefined && !isEmpty && !selectorMatches(selector, template.labels)) {
    const detail = "`selector` does not match template `labels`";
    invalid(c.say, "spec.template.metadata.labels", template.labels, detail);
  }
  return { selector: selector ?? {}, template, labels: m.metadata?.labels ?? {} };
}
