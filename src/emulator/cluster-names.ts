// What CoreDNS's plugin kubernetes knows (DNS-Based Service Discovery 1.1.0): A, SRV, PTR and CNAME records
// of Services, their endpoints and pods, from the objects as they are now. What lies outside the cluster's
// domain is what the platform's resolver says to the node's VNet: CoreDNS forwards it, here without frames.
// Absent: AAAA data, zone transfers, SOA in negative answers, additional sections, caches.

import { type Cluster, type Service, type ServicePort, targetOf } from "../cluster/cluster.ts";
import { EndpointCondition } from "../netfilter/endpoint-lists.ts";
import { formatIpv4 } from "../wire/address.ts";
import { DnsRcode, type DnsRecord } from "../wire/dns.ts";
import { PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { type DnsResult, lookUp } from "./dns-zones.ts";
import type { Net } from "./net.ts";

/** As AKS configures it, seconds. */
const TTL = 30;
const SCHEMA_VERSION = "1.1.0";
const PROTOCOL_NAMES: Readonly<Record<number, string>> = {
  [PROTO_TCP]: "_tcp",
  [PROTO_UDP]: "_udp",
  132: "_sctp",
};

/** An address behind a headless Service, and its name in it. */
interface Endpoint {
  ip: number;
  host: string;
  /** Where it answers for a port of the Service; 0: nowhere. */
  port: (port: ServicePort) => number;
}

/** @param node number of the node whose CoreDNS is asked */
export function clusterLookUp(
  net: Net,
  cluster: Cluster,
  node: number,
  name: string,
  type: string,
): DnsResult {
  const { domain } = cluster;
  if (name.endsWith(".in-addr.arpa")) {
    const found = reverse(cluster, name);
    if (found !== null) return type === "PTR" ? some(name, "PTR", [found]) : some(name, type, []);
  }
  if (name !== domain && !name.endsWith(`.${domain}`)) return forwarded(net, cluster, node, name, type);
  const labels = name.slice(0, -domain.length - 1).split(".");
  if (name === domain) return some(name, type, []);
  if (labels.length === 1 && labels[0] === "dns-version") {
    return some(name, type, type === "TXT" ? [SCHEMA_VERSION] : []);
  }
  const kind = labels.pop();
  const namespace = labels.pop();
  if (namespace === undefined) return kind === "svc" || kind === "pod" ? some(name, type, []) : NOTHING;
  if (kind === "pod") return podRecord(name, labels, type);
  return kind === "svc" ? serviceRecords(net, cluster, node, name, namespace, labels, type) : NOTHING;
}

const NOTHING: DnsResult = { rcode: DnsRcode.NXDOMAIN, answers: [] };

function some(name: string, type: string, data: readonly (string | DnsRecord["data"])[]): DnsResult {
  return { rcode: DnsRcode.NOERROR, answers: data.map((one) => ({ name, type, ttl: TTL, data: one })) };
}

function forwarded(net: Net, cluster: Cluster, node: number, name: string, type: string): DnsResult {
  const { vnet } = net.walk;
  return lookUp(net, vnet.nics.vnet[cluster.nodes[node].nic], name, type);
}

/** "10-244-1-5.shop.pod": any address has a name (pods insecure). */
function podRecord(name: string, labels: readonly string[], type: string): DnsResult {
  if (labels.length === 0) return some(name, type, []);
  const dashed = labels.length === 1 ? /^(\d+)-(\d+)-(\d+)-(\d+)$/.exec(labels[0] as string) : null;
  const bytes = dashed?.slice(1).map(Number) ?? [];
  if (bytes.length !== 4 || bytes.some((b) => b > 255)) return NOTHING;
  return some(name, type, type === "A" ? [bytes.join(".")] : []);
}

function serviceRecords(
  net: Net,
  cluster: Cluster,
  node: number,
  name: string,
  namespace: string,
  labels: string[],
  type: string,
): DnsResult {
  if (labels.length === 0) {
    const exists = cluster.services.some((s) => s.namespace === namespace);
    return exists ? some(name, type, []) : NOTHING;
  }
  const own = labels.pop() as string;
  const service = cluster.services.find((s) => s.name === own && s.namespace === namespace);
  if (service === undefined) return NOTHING;
  if (service.type === "ExternalName")
    return labels.length > 0 ? NOTHING : alias(net, cluster, node, name, service, type);
  const [first, second] = labels;
  if (labels.length === 2 && first?.startsWith("_") && second?.startsWith("_")) {
    return portRecords(cluster, name, service, type, first.slice(1), second);
  }
  const endpoints = service.clusterIp === 0 ? endpointsOf(cluster, service) : [];
  if (labels.length === 1) {
    const named = endpoints.filter((e) => e.host === first);
    return named.length === 0 ? NOTHING : some(name, type, type === "A" ? named.map(address) : []);
  }
  if (labels.length > 0) return NOTHING;
  if (type === "SRV") return portRecords(cluster, name, service, type, null, null);
  if (service.clusterIp !== 0) return some(name, type, type === "A" ? [formatIpv4(service.clusterIp)] : []);
  // A headless Service without endpoints has no name: CoreDNS says NXDOMAIN.
  if (endpoints.length === 0) return NOTHING;
  return some(name, type, type === "A" ? endpoints.map(address) : []);
}

const address = ({ ip }: Endpoint): string => formatIpv4(ip);

function alias(
  net: Net,
  cluster: Cluster,
  node: number,
  name: string,
  service: Service,
  type: string,
): DnsResult {
  const target = service.externalName.replace(/\.$/, "").toLowerCase();
  const cname: DnsRecord = { name, type: "CNAME", ttl: TTL, data: target };
  if (type === "CNAME") return { rcode: DnsRcode.NOERROR, answers: [cname] };
  const rest = clusterLookUp(net, cluster, node, target, type);
  return { rcode: DnsRcode.NOERROR, answers: [cname, ...rest.answers] };
}

/** SRV of one named port, or of all; of a headless Service one per endpoint. */
function portRecords(
  cluster: Cluster,
  name: string,
  service: Service,
  type: string,
  port: string | null,
  protocol: string | null,
): DnsResult {
  const ports = service.ports.filter(
    (p) =>
      (port === null || p.name === port) && (protocol === null || PROTOCOL_NAMES[p.protocol] === protocol),
  );
  if (ports.length === 0) return NOTHING;
  if (type !== "SRV") return some(name, type, []);
  const base = `${service.name}.${service.namespace}.svc.${cluster.domain}`;
  const headless = service.clusterIp === 0;
  const targets = headless
    ? endpointsOf(cluster, service).map((e) => ({ target: `${e.host}.${base}`, port: e.port }))
    : [{ target: base, port: (p: ServicePort) => p.port }];
  if (targets.length === 0) return NOTHING;
  const weight = Math.floor(100 / (targets.length * ports.length)) || 1;
  const data = ports.flatMap((p) =>
    targets.flatMap(({ target, port }) => {
      const number = port(p);
      return number === 0 ? [] : [{ priority: 0, weight, port: number, target }];
    }),
  );
  return some(name, "SRV", data);
}

/** Ready endpoints in the order they came: a pod by its hostname where it has one in this subdomain. */
function endpointsOf(cluster: Cluster, service: Service): Endpoint[] {
  const found: Endpoint[] = [];
  for (const workload of cluster.selected(service)) {
    const { pods } = cluster;
    for (const p of pods.oldestFirst(workload.pods)) {
      if ((cluster.conditions(p, service) & EndpointCondition.READY) === 0) continue;
      const own = workload.subdomain === service.name ? (workload.hostname ?? pods.name[p]) : undefined;
      const host = own ?? formatIpv4(pods.ip[p]).replaceAll(".", "-");
      found.push({ ip: pods.ip[p], host, port: (port) => targetOf(workload, port) });
    }
  }
  for (const { ports, endpoints } of cluster.slices.of(service)) {
    for (const { ip, conditions, hostname } of endpoints) {
      if (ip === 0 || (conditions & EndpointCondition.READY) === 0) continue;
      if (found.some((e) => e.ip === ip)) continue;
      const port = ({ name, protocol }: ServicePort): number =>
        ports.find((p) => p.name === name && p.protocol === protocol)?.port ?? 0;
      found.push({ ip, host: hostname || formatIpv4(ip).replaceAll(".", "-"), port });
    }
  }
  return found;
}

/** The name of a ClusterIP, or of an endpoint of a headless Service; null when it is none of ours. */
function reverse(cluster: Cluster, name: string): string | null {
  const ip = name.slice(0, -".in-addr.arpa".length).split(".").reverse().join(".");
  for (const service of cluster.services) {
    const base = `${service.name}.${service.namespace}.svc.${cluster.domain}`;
    if (service.clusterIp !== 0 && formatIpv4(service.clusterIp) === ip) return base;
    if (service.clusterIp !== 0 || service.type === "ExternalName") continue;
    const endpoint = endpointsOf(cluster, service).find((e) => formatIpv4(e.ip) === ip);
    if (endpoint !== undefined) return `${endpoint.host}.${base}`;
  }
  return null;
}
