// Changes of labels, NetworkPolicies and Services in a running cluster.

import type { Cluster } from "../cluster/cluster.ts";
import { zonesOf } from "./build-cluster.ts";
import { buildService, type ServiceScope } from "./build-service.ts";
import { cidrOr, DEFAULT_SERVICE_CIDR } from "./check-cluster.ts";
import { mistake, type Problem, TopologyError } from "./errors.ts";
import { openHealthPorts } from "./health-ports.ts";
import type { Net } from "./net.ts";
import type { ClusterChange } from "./script.ts";
import type { ServiceSpec } from "./spec.ts";

export function changeCluster(net: Net, row: number, change: ClusterChange): void {
  const cluster = net.clusters[row];
  switch (change.kind) {
    case "policy":
      return cluster.applyPolicy(change.policy);
    case "remove-policy":
      if (cluster.removePolicy(change.namespace, change.name)) return;
      throw mistake(
        `networkPolicy.${change.name}`,
        `there is no NetworkPolicy of that name in namespace ${change.namespace}`,
      );
    case "label": {
      const found = net.workload(change.workload);
      return found.cluster.relabel(found.workload, change.labels);
    }
    case "label-namespace":
      return cluster.labelNamespace(change.namespace, change.labels);
    case "proxy":
      return changeProxy(cluster, change.node, change.what);
    case "service":
      return changeService(net, row, change.service);
    case "remove-service":
      return removeService(net, row, change.name, "default");
  }
}

/** What a Service of a running cluster is checked against. */
export function serviceScope(net: Net, row: number, problems: Problem[]): ServiceScope {
  const cluster = net.clusters[row];
  return {
    problems,
    path: `cluster.${cluster.name}`,
    cluster,
    addresses: net.serviceAddresses[row],
    serviceCidr: cidrOr(net.spec.clusters[row].serviceCidr, DEFAULT_SERVICE_CIDR),
    nodes: cluster.nodes.map((n) => n.name),
    zones: zonesOf(net.spec.clusters[row]),
  };
}

function changeService(net: Net, row: number, service: ServiceSpec): void {
  const problems: Problem[] = [];
  const scope = serviceScope(net, row, problems);
  const { cluster } = scope;
  const saved = scope.addresses.copy();
  buildService(scope, service);
  if (problems.length === 0) return openHealthPorts(net, cluster);
  scope.addresses.restore(saved);
  throw new TopologyError(problems);
}

function changeProxy(cluster: Cluster, name: string, what: "stop" | "start" | "flush"): void {
  const n = cluster.nodes.findIndex((node) => node.name === name);
  if (n < 0) throw mistake(name, `is no node of cluster ${cluster.name}`);
  const { proxies } = cluster;
  if (what === "stop") proxies.stop(cluster, n);
  else if (what === "start") proxies.startAgain(cluster, n);
  else proxies.flush(cluster, n);
}

export function removeService(net: Net, row: number, name: string, namespace: string): void {
  const cluster = net.clusters[row];
  const s = cluster.services.findIndex((service) => service.name === name && service.namespace === namespace);
  if (s < 0) throw mistake(`cluster.${cluster.name}.service.${name}`, "there is no Service of that name");
  net.serviceAddresses[row].release(cluster.services[s]);
  cluster.removeService(s);
  openHealthPorts(net, cluster);
}
