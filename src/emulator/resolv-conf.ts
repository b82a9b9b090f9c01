// /etc/resolv.conf of pods, nodes and VMs: what kubelet writes for each dnsPolicy (pkg/kubelet/network/dns),
// and what Azure's DHCP gives a VM. Absent: limits on the number of searches and servers.

import type { Cluster } from "../cluster/cluster.ts";
import type { DnsConfig, Workload } from "../cluster/workload.ts";
import { WIRE_SERVER } from "../vnet/azure.ts";
import { formatIpv4 } from "../wire/address.ts";
import { INTERNAL_DOMAIN } from "./dns-zones.ts";
import type { Net } from "./net.ts";

export interface ResolvConf {
  nameservers: readonly string[];
  searches: readonly string[];
  /** Names with fewer dots are tried with the searches first. */
  ndots: number;
  /** Until a query is sent again, ns. */
  timeout: number;
  /** Times each server is asked. */
  attempts: number;
}

/** resolv.conf(5): RES_TIMEOUT and RES_DFLRETRY. */
const SECOND = 1_000_000_000;
const DEFAULTS = { ndots: 1, timeout: 5 * SECOND, attempts: 2 };
const CLUSTER_NDOTS = 5;
const NODE: ResolvConf = { nameservers: [formatIpv4(WIRE_SERVER)], searches: [INTERNAL_DOMAIN], ...DEFAULTS };

/** @throws UnknownNameError */
export function resolvConf(net: Net, host: string): ResolvConf {
  net.hosts.host(host);
  const p = net.pods.byName.get(host);
  if (p === undefined) return NODE;
  const cluster = net.clusters[net.pods.cluster[p]];
  return ofPod(cluster, cluster.workloads[net.pods.workload[p]]);
}

function ofPod(cluster: Cluster, workload: Workload): ResolvConf {
  const { dnsPolicy = "ClusterFirst", dnsConfig = {}, hostNetwork, namespace } = workload;
  const server = cluster.services.find((s) => s.name === "kube-dns" && s.namespace === "kube-system");
  if (dnsPolicy === "None") return withConfig({ nameservers: [], searches: [], ...DEFAULTS }, dnsConfig);
  const isFirst = dnsPolicy === "ClusterFirstWithHostNet" || (dnsPolicy === "ClusterFirst" && !hostNetwork);
  if (!isFirst || server === undefined || server.clusterIp === 0) return withConfig(NODE, dnsConfig);
  const { domain } = cluster;
  const searches = [`${namespace}.svc.${domain}`, `svc.${domain}`, domain, ...NODE.searches];
  const nameservers = [formatIpv4(server.clusterIp)];
  return withConfig({ ...DEFAULTS, nameservers, searches, ndots: CLUSTER_NDOTS }, dnsConfig);
}

function withConfig(
  base: ResolvConf,
  { nameservers = [], searches = [], ...options }: DnsConfig,
): ResolvConf {
  return {
    ...base,
    ...options,
    nameservers: [...base.nameservers, ...nameservers],
    searches: [...base.searches, ...searches],
  };
}

/** As the file reads. */
export function resolvConfText(conf: ResolvConf): string {
  const { nameservers, searches, ndots, timeout, attempts } = conf;
  const options = [
    ...(ndots === DEFAULTS.ndots ? [] : [`ndots:${ndots}`]),
    ...(timeout === DEFAULTS.timeout ? [] : [`timeout:${timeout / SECOND}`]),
    ...(attempts === DEFAULTS.attempts ? [] : [`attempts:${attempts}`]),
  ];
  const lines = nameservers.map((n) => `nameserver ${n}`);
  if (searches.length > 0) lines.unshift(`search ${searches.join(" ")}`);
  if (options.length > 0) lines.push(`options ${options.join(" ")}`);
  return `${lines.join("\n")}\n`;
}
