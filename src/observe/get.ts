// What `kubectl get` prints of a cluster, as rows of words: the columns of pkg/printers/internalversion.

import { type Cluster, type Service, type ServicePort, targetOf } from "../cluster/cluster.ts";
import { isComplete, newestSet } from "../cluster/control/deployment.ts";
import type { ClusterEvent } from "../cluster/control/events.ts";
import { isAvailable, type Pod } from "../cluster/control/objects.ts";
import { EndpointCondition } from "../netfilter/endpoint-lists.ts";
import { formatIpv4 } from "../wire/address.ts";
import { humanDuration } from "./human-duration.ts";

export const GET_WHAT = ["nodes", "pods", "services", "endpoints", "deployments", "events"] as const;
export type GetWhat = (typeof GET_WHAT)[number];

export interface GetOptions {
  /** Default all. */
  namespace?: string;
  /** -o wide. */
  wide?: boolean;
}

export interface GetTable {
  head: string[];
  rows: string[][];
}

const NONE = "<none>";

export function getTable(cluster: Cluster, what: GetWhat, options: GetOptions = {}): GetTable {
  switch (what) {
    case "nodes":
      return nodes(cluster, options);
    case "pods":
      return pods(cluster, options);
    case "services":
      return services(cluster, options);
    case "endpoints":
      return endpoints(cluster, options);
    case "deployments":
      return deployments(cluster, options);
    case "events":
      return events(cluster, options);
  }
}

const age = (cluster: Cluster, since: number): string => humanDuration(cluster.walk.k.clock.now - since);

const inNamespace = (object: { namespace: string }, { namespace }: GetOptions): boolean =>
  namespace === undefined || object.namespace === namespace;

// The column NAMESPACE stands first where all of them are shown.
function table(options: GetOptions, head: string[], rows: [string, ...string[]][], wide: string[]): GetTable {
  const all = options.namespace === undefined;
  const full = options.wide ? [...head, ...wide] : head;
  const width = full.length + 1;
  return {
    head: all ? ["NAMESPACE", ...full] : full,
    rows: rows.map((row) => (all ? row.slice(0, width) : row.slice(1, width))),
  };
}

function nodes(cluster: Cluster, { wide }: GetOptions): GetTable {
  const rows = cluster.control.nodes.map((node, n) => {
    const status = [
      node.ready === "True" ? "Ready" : "NotReady",
      ...(node.cordoned ? ["SchedulingDisabled"] : []),
    ];
    const ip = formatIpv4(cluster.walk.vnet.primaryAddress(cluster.nodes[n].nic));
    const row = [node.name, status.join(","), NONE, age(cluster, node.created), "v1.34.0", ip];
    return wide ? row : row.slice(0, -1);
  });
  return { head: ["NAME", "STATUS", "ROLES", "AGE", "VERSION", ...(wide ? ["INTERNAL-IP"] : [])], rows };
}

function pods(cluster: Cluster, options: GetOptions): GetTable {
  const rows: [string, ...string[]][] = [];
  for (const workload of cluster.workloads) {
    if (!inNamespace(workload, options)) continue;
    for (const p of cluster.pods.oldestFirst(workload.pods)) {
      if (cluster.control.byRow.has(p)) continue;
      const { name, ready, ip, node, terminating } = cluster.pods;
      const status = terminating[p] === 1 ? "Terminating" : "Running";
      const at = [formatIpv4(ip[p]), cluster.nodes[node[p]].name];
      rows.push([workload.namespace, name[p], `${ready[p]}/1`, status, "0", age(cluster, 0), ...at]);
    }
  }
  for (const pod of cluster.control.pods.values()) {
    if (!inNamespace(pod, options)) continue;
    const ready = pod.containers.filter((c) => c.state === "Running" && c.ready).length;
    const restarts = pod.containers.reduce((n, c) => n + c.restarts, 0);
    rows.push([
      pod.namespace,
      pod.name,
      `${ready}/${pod.containers.length}`,
      podStatus(cluster, pod),
      String(restarts),
      age(cluster, pod.created),
      pod.ip === 0 ? NONE : formatIpv4(pod.ip),
      pod.node < 0 ? NONE : cluster.control.nodes[pod.node].name,
    ]);
  }
  return table(options, ["NAME", "READY", "STATUS", "RESTARTS", "AGE"], rows, ["IP", "NODE"]);
}

/** The column STATUS. */
export function podStatus(cluster: Cluster, pod: Pod): string {
  if (pod.deleting >= 0) return "Terminating";
  if (pod.reason !== "") return pod.reason;
  if (pod.phase === "Pending") return pod.node < 0 ? "Pending" : "ContainerCreating";
  const bad = pod.containers.find(
    (c) => c.state === "Waiting" || (c.state === "Terminated" && c.exitCode !== 0),
  );
  if (bad !== undefined) return bad.reason;
  if (pod.phase === "Succeeded") return "Completed";
  return cluster.control.nodes[pod.node]?.ready === "Unknown" ? "Running" : pod.phase;
}

function services(cluster: Cluster, options: GetOptions): GetTable {
  const rows = cluster.services
    .filter((s) => inNamespace(s, options))
    .map((s): [string, ...string[]] => {
      const isName = s.type === "ExternalName";
      const ip = s.clusterIp === 0 ? (isName ? NONE : "None") : formatIpv4(s.clusterIp);
      const ports = s.ports.map((p) => {
        const node = p.nodePort > 0 ? `:${p.nodePort}` : "";
        return `${p.port}${node}/${protocolName(p.protocol)}`;
      });
      const selector = Object.entries(s.selector).map(([k, v]) => `${k}=${v}`);
      return [
        s.namespace,
        s.name,
        s.type,
        ip,
        externalIp(s),
        ports.join(",") || NONE,
        age(cluster, s.created ?? 0),
        selector.join(",") || NONE,
      ];
    });
  const head = ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"];
  return table(options, head, rows, ["SELECTOR"]);
}

function externalIp(s: Service): string {
  if (s.type === "ExternalName") return s.externalName;
  const given = s.outside ?? [];
  if (given.length > 0) return given.map(formatIpv4).join(",");
  return s.type === "LoadBalancer" ? "<pending>" : NONE;
}

const PROTOCOL_NAMES: Readonly<Record<number, string>> = { 6: "TCP", 17: "UDP", 132: "SCTP" };
const protocolName = (protocol: number): string => PROTOCOL_NAMES[protocol] ?? String(protocol);

/** Addresses kubectl prints before "+ 2 more...". */
const ENDPOINTS_SHOWN = 3;

function endpoints(cluster: Cluster, options: GetOptions): GetTable {
  const rows = cluster.services
    .filter((s) => inNamespace(s, options) && s.type !== "ExternalName")
    .map((s): [string, ...string[]] => {
      const all = s.ports.flatMap((p) => addresses(cluster, s, p));
      const more = all.length > ENDPOINTS_SHOWN ? ` + ${all.length - ENDPOINTS_SHOWN} more...` : "";
      const text = `${all.slice(0, ENDPOINTS_SHOWN).join(",")}${more}`;
      return [s.namespace, s.name, text || NONE, age(cluster, s.created ?? 0)];
    });
  return table(options, ["NAME", "ENDPOINTS", "AGE"], rows, []);
}

// Ready ones only, as Endpoints have them.
function addresses(cluster: Cluster, s: Service, sp: ServicePort): string[] {
  const found: string[] = [];
  const { table: t } = cluster;
  if (sp.row < 0) {
    for (const workload of cluster.selected(s)) {
      const port = targetOf(workload, sp);
      if (port === 0) continue;
      for (const p of cluster.pods.oldestFirst(workload.pods)) {
        if (cluster.conditions(p, s) & EndpointCondition.READY) {
          found.push(`${formatIpv4(cluster.pods.ip[p])}:${port}`);
        }
      }
    }
    for (const { endpoint: e, target } of cluster.slices.endpointsOf(s, sp)) {
      if (e.conditions & EndpointCondition.READY) found.push(`${formatIpv4(e.ip)}:${target}`);
    }
    return found;
  }
  for (let e = t.first[sp.row]; e >= 0; e = t.epNext[e]) {
    if (t.epConditions[e] & EndpointCondition.READY) found.push(`${formatIpv4(t.epIp[e])}:${t.epTarget[e]}`);
  }
  return found;
}

function deployments(cluster: Cluster, options: GetOptions): GetTable {
  const { control } = cluster;
  const rows = [...control.deployments.values()]
    .filter((d) => inNamespace(d, options))
    .map((d): [string, ...string[]] => {
      const pods = d.sets.flatMap((rs) => [...rs.pods]).filter((pod) => pod.deleting < 0);
      const ready = pods.filter((pod) => pod.ready).length;
      const fresh = newestSet(d);
      const current = pods.filter((pod) => fresh?.pods.has(pod)).length;
      const available = pods.filter((pod) => isAvailable(pod, d.minReady, control.now)).length;
      const counts = [`${ready}/${d.replicas}`, String(current), String(available)];
      const complete = isComplete(control, d) ? "complete" : "progressing";
      return [d.namespace, d.name, ...counts, age(cluster, d.created), complete];
    });
  return table(options, ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"], rows, ["ROLLOUT"]);
}

function events(cluster: Cluster, options: GetOptions): GetTable {
  const rows = cluster.control.events.list
    .filter((e) => inNamespace(e, options))
    .map((e): [string, ...string[]] => [
      e.namespace,
      lastSeen(cluster, e),
      e.type,
      e.reason,
      `${e.kind.toLowerCase()}/${e.name}`,
      e.message,
      e.from,
      String(e.count),
    ]);
  return table(options, ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"], rows, ["SOURCE", "COUNT"]);
}

function lastSeen(cluster: Cluster, e: ClusterEvent): string {
  const last = age(cluster, e.last);
  return e.count === 1 ? last : `${last} (x${e.count} over ${age(cluster, e.first)})`;
}
