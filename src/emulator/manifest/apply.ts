// kubectl apply: a manifest is read, every object of it checked, and only when none is wrong all of it
// applied, in its order. Kinds and fields that are not known are reported and skipped.

import { applyService } from "../../cluster/apply-service.ts";
import type { Cluster } from "../../cluster/cluster.ts";
import { startApiServer } from "../api-server.ts";
import { policyOf } from "../build-policy.ts";
import { planService } from "../build-service.ts";
import { serviceScope } from "../cluster-change.ts";
import { type Problem, TopologyError } from "../errors.ts";
import { openHealthPorts } from "../health-ports.ts";
import { didYouMean, UnknownNameError } from "../hosts.ts";
import type { Net } from "../net.ts";
import type { ServiceSpec } from "../spec.ts";
import { type AutoscalerManifest, autoscaler } from "./autoscalers.ts";
import { type ManifestObject, readManifest } from "./documents.ts";
import { endpointSlice, endpoints } from "./endpoint-slices.ts";
import type { EndpointSliceManifest, EndpointsManifest, ServiceManifest, WorkloadManifest } from "./kinds.ts";
import { node } from "./nodes.ts";
import { ownedObjects } from "./owned.ts";
import { checkLabels, checkName } from "./rules.ts";
import { policyOptions, serviceSpec } from "./services.ts";
import { checkShape, type Findings } from "./shape.ts";
import { SHAPES } from "./shapes.ts";
import {
  type Apply,
  daemonSet,
  deployment,
  disruptionBudget,
  job,
  type ObjectContext,
  pod,
  replicaSet,
  statefulSet,
} from "./workloads.ts";

export interface AppliedObject {
  /** As kubectl prints it: "deployment.apps/web". */
  object: string;
  namespace: string;
  result: "created" | "configured" | "unchanged";
}

export interface ApplyReport {
  objects: AppliedObject[];
  /** What was left out, with file, document and path. */
  skipped: Problem[];
}

export function applyTo(
  net: Net,
  manifest: string,
  { file = "manifest", cluster }: { file?: string; cluster?: string },
): ApplyReport {
  const names = net.clusters.map((c) => c.name);
  const row = cluster === undefined ? 0 : names.indexOf(cluster);
  if (net.clusters[row] === undefined) {
    throw new UnknownNameError(`no cluster is named "${cluster ?? ""}"${didYouMean(cluster ?? "", names)}`);
  }
  const report = applyManifest(net, row, manifest, file);
  net.skipped.push(...report.skipped);
  return report;
}

/** @throws TopologyError with everything that is wrong; then nothing was applied */
export function applyManifest(net: Net, row: number, text: string, file: string): ApplyReport {
  const problems: Problem[] = [];
  const skipped: Problem[] = [];
  const objects = readManifest(text, file, problems);
  const addresses = net.serviceAddresses[row];
  const cluster = net.clusters[row];
  const before = addresses.copy();
  const owned = ownedObjects(objects, skipped);
  noteAddresses(cluster, objects, owned);
  const steps = objects.flatMap((object) => {
    if (owned.has(object)) return [];
    const apply = prepare(net, row, object, { problems, skipped, wrongTypes: 0 });
    return apply === null ? [] : [{ object, apply }];
  });
  if (problems.length > 0) {
    addresses.restore(before);
    throw new TopologyError(problems);
  }
  const { control } = cluster;
  startApiServer(net, row);
  const applied = new Array<AppliedObject>(steps.length);
  const run = ({ object, apply }: (typeof steps)[number], i: number): void => {
    const group = object.apiVersion.includes("/") ? `.${object.apiVersion.split("/")[0]}` : "";
    const name = `${object.kind.toLowerCase()}${group}/${object.name}`;
    const key = `${object.kind}/${object.namespace}/${object.name}`;
    const now = JSON.stringify(object.value);
    const last = control.applied.get(key);
    control.applied.set(key, now);
    if (last !== now) apply(control);
    const result = last === undefined ? "created" : last === now ? "unchanged" : "configured";
    applied[i] = { object: name, namespace: object.namespace, result };
  };
  // Slices last, wherever they stand: what they are depends on the Services and pods beside them.
  const isSlice = ({ kind }: ManifestObject): boolean => kind === "EndpointSlice" || kind === "Endpoints";
  for (const [i, step] of steps.entries()) if (!isSlice(step.object)) run(step, i);
  for (const [i, step] of steps.entries()) if (isSlice(step.object)) run(step, i);
  return { objects: applied, skipped };
}

// Where a dump says which address a pod had, slices that name it mean the pod.
// Pods that are made anew have other names.
function noteAddresses(
  cluster: Cluster,
  objects: readonly ManifestObject[],
  owned: ReadonlySet<ManifestObject>,
): void {
  const { slices } = cluster;
  for (const object of objects) {
    const { kind, namespace, name, value } = object;
    const status = value.status as { podIP?: unknown } | null | undefined;
    if (kind === "Pod" && owned.has(object)) slices.remade.add(`${namespace}/${name}`);
    if (kind !== "Pod" || typeof status?.podIP !== "string") continue;
    slices.podOfAddress.set(status.podIP, `${namespace}/${name}`);
  }
}

// Checked; what applies it, or null when it is skipped or wrong.
function prepare(net: Net, row: number, object: ManifestObject, out: Findings): Apply | null {
  const { where, kind, apiVersion, value } = object;
  const known = SHAPES[`${apiVersion} ${kind}`];
  if (known === undefined) {
    out.skipped.push({ path: where, message: unknownKind(apiVersion, kind) });
    return null;
  }
  checkShape(value, known, where, "", out);
  if (out.wrongTypes > 0) return null;
  const context: ObjectContext = {
    name: object.name,
    namespace: object.namespace,
    say: (path, message) => void out.problems.push({ path: where, message: `${path}: ${message}` }),
    skip: (path, message) => void out.skipped.push({ path: where, message: `${path} ${message}` }),
  };
  // Nulls are as if the fields were not there.
  const clean = JSON.parse(JSON.stringify(value, (_, v: unknown) => (v === null ? undefined : v))) as object;
  return applier(net, row, kind, clean, context, out);
}

function unknownKind(apiVersion: string, kind: string): string {
  const versions = Object.keys(SHAPES).filter((key) => key.endsWith(` ${kind}`));
  if (versions.length > 0) {
    return `no matches for kind "${kind}" in version "${apiVersion}"; it is ${versions[0]?.split(" ")[0]}`;
  }
  const kinds = Object.keys(SHAPES).map((key) => key.split(" ")[1] as string);
  return `kind ${kind} is not modelled${didYouMean(kind, kinds)}`;
}

function applier(
  net: Net,
  row: number,
  kind: string,
  value: object,
  context: ObjectContext,
  out: Findings,
): Apply | null {
  const workload = WORKLOADS[kind];
  if (workload !== undefined) return workload(value, context);
  const count = out.problems.length;
  const cluster = net.clusters[row];
  const { name } = context;
  const { metadata } = value as WorkloadManifest;
  checkLabels(context.say, "metadata.labels", metadata?.labels);
  if (kind === "Node") return node(net, row, value, context);
  if (kind === "EndpointSlice") return endpointSlice(net, row, value as EndpointSliceManifest, context);
  if (kind === "Endpoints") return endpoints(net, row, value as EndpointsManifest, context);
  if (kind === "HorizontalPodAutoscaler") return autoscaler(value as AutoscalerManifest, context);
  if (kind === "Namespace") {
    checkName(context.say, "metadata.name", metadata?.name, "label");
    return () => cluster.labelNamespace(name, metadata?.labels ?? {});
  }
  checkName(context.say, "metadata.name", metadata?.name, kind === "Service" ? "service" : "subdomain");
  if (kind === "NetworkPolicy") {
    const problems: Problem[] = [];
    const policy = policyOf(name, policyOptions(value, context), "spec", problems);
    for (const { path, message } of problems) context.say(path, message);
    return () => cluster.applyPolicy(policy);
  }
  // Every dump has it; here it leads to the API server there is (api-server.ts).
  if (name === "kubernetes" && context.namespace === "default") return () => {};
  const spec = serviceSpec(value as ServiceManifest, context);
  if (out.problems.length > count) return null;
  return serviceApplier(net, row, spec, context);
}

function serviceApplier(net: Net, row: number, spec: ServiceSpec, context: ObjectContext): Apply {
  const problems: Problem[] = [];
  const scope = serviceScope(net, row, problems);
  const path = `${scope.path}.service.${spec.name}`;
  const plan = planService(scope, spec);
  for (const problem of problems) {
    const field = problem.path === path ? "" : `.${problem.path.slice(path.length + 1)}`;
    context.say(`spec${field}`, problem.message);
  }
  return () => {
    applyService(scope.cluster, plan);
    openHealthPorts(net, scope.cluster);
  };
}

const WORKLOADS: Readonly<Record<string, (m: WorkloadManifest, c: ObjectContext) => Apply>> = {
  Deployment: deployment,
  ReplicaSet: replicaSet,
  StatefulSet: statefulSet,
  DaemonSet: daemonSet,
  Job: job,
  Pod: pod,
  PodDisruptionBudget: disruptionBudget,
};
