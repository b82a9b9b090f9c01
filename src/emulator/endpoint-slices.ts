// The EndpointSlices of a Service as the slice controller would write them (pkg/controller/endpointslice):
// conditions, node, zone and hints of every endpoint, at most 100 to a slice, a slice per set of ports; after
// them those of other managers.
// Absent: FQDN slices, the topology-mode annotation, the packing of half-full slices.

import { type Cluster, type Service, targetOf } from "../cluster/cluster.ts";
import { EndpointCondition } from "../netfilter/endpoint-lists.ts";
import { formatIpv4 } from "../wire/address.ts";
import { PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { zonesOf } from "./build-cluster.ts";
import type { Hosts } from "./hosts.ts";
import type { Net } from "./net.ts";

/** max-endpoints-per-slice. */
const MOST = 100;
const PROTOCOL: Readonly<Record<number, "TCP" | "UDP">> = { [PROTO_TCP]: "TCP", [PROTO_UDP]: "UDP" };

export interface SliceEndpoint {
  addresses: string[];
  conditions: { ready: boolean; serving: boolean; terminating: boolean };
  /** Null: none of the cluster's nodes. */
  nodeName: string | null;
  zone: string | null;
  /** Pod, node or VM that has the address; null when nobody here has. */
  targetRef: string | null;
  hints: { forZones: string[]; forNodes: string[] };
}

/** In the fields of discovery.k8s.io/v1. */
export interface EndpointSlice {
  addressType: "IPv4";
  ports: { name: string; port: number; protocol: "TCP" | "UDP" | "SCTP" }[];
  endpoints: SliceEndpoint[];
}

export function endpointSlices(
  net: Net,
  { cluster, service }: { cluster: Cluster; service: Service },
): EndpointSlice[] {
  const zones = zonesOf(net.spec.clusters[cluster.index]);
  const bySet = new Map<string, EndpointSlice>();
  const add = (ports: EndpointSlice["ports"], endpoint: SliceEndpoint): void => {
    if (ports.length === 0) return;
    const key = JSON.stringify(ports);
    const slice = bySet.get(key) ?? { addressType: "IPv4", ports, endpoints: [] };
    slice.endpoints.push(endpoint);
    bySet.set(key, slice);
  };
  if (service.type !== "ExternalName") {
    addSelected(cluster, service, zones, add);
    if (Object.keys(service.selector).length === 0) addNamed(net.hosts, cluster, service, zones, add);
  }
  const derived = [...bySet.values()].flatMap((slice) => {
    const parts: EndpointSlice[] = [];
    for (let i = 0; i < slice.endpoints.length; i += MOST) {
      parts.push({ ...slice, endpoints: slice.endpoints.slice(i, i + MOST) });
    }
    return parts;
  });
  return [...derived, ...others(net.hosts, cluster, service, zones)];
}

type Add = (ports: EndpointSlice["ports"], endpoint: SliceEndpoint) => void;

const protocolOf = (protocol: number): "TCP" | "UDP" | "SCTP" => PROTOCOL[protocol] ?? "SCTP";

function addSelected(cluster: Cluster, service: Service, zones: readonly string[], add: Add): void {
  const { pods } = cluster;
  for (const workload of cluster.selected(service)) {
    const ports = service.ports.flatMap((sp) => {
      const port = targetOf(workload, sp);
      return port === 0 ? [] : [{ name: sp.name, port, protocol: protocolOf(sp.protocol) }];
    });
    for (const p of pods.oldestFirst(workload.pods)) {
      const node = cluster.nodes[pods.node[p]];
      const zone = zones[node.zone] ?? null;
      const forZones = service.hints === "none" || zone === null ? [] : [zone];
      const forNodes = service.hints === "node" ? [node.name] : [];
      add(ports, {
        addresses: [formatIpv4(pods.ip[p])],
        conditions: conditionsOf(cluster.conditions(p, service)),
        nodeName: node.name,
        zone,
        targetRef: pods.name[p],
        hints: { forZones, forNodes },
      });
    }
  }
}

// Endpoints that are named are rows of the table, one for each port.
function addNamed(
  hosts: Hosts,
  cluster: Cluster,
  service: Service,
  zones: readonly string[],
  add: Add,
): void {
  const { table, nodes } = cluster;
  const nodeOf = (ns: number): (typeof nodes)[number] | undefined =>
    ns < 0 ? undefined : nodes.find((n) => n.ns === ns);
  for (const sp of service.ports) {
    for (let e = sp.row < 0 ? -1 : table.first[sp.row]; e >= 0; e = table.epNext[e]) {
      if (cluster.slices.has(sp.row, e)) continue;
      const ip = formatIpv4(table.epIp[e]);
      const node = nodeOf(table.epNode[e]);
      const name = hosts.nameOfAddress(table.epIp[e]);
      const forNode = nodeOf(table.epNodeHint[e]);
      add([{ name: sp.name, port: table.epTarget[e], protocol: protocolOf(sp.protocol) }], {
        addresses: [ip],
        conditions: conditionsOf(table.epConditions[e]),
        nodeName: node?.name ?? null,
        zone: node === undefined ? null : (zones[node.zone] ?? null),
        targetRef: name === ip ? null : name,
        hints: {
          forZones: table.epZoneHint[e] < 0 ? [] : [zones[table.epZoneHint[e]]],
          forNodes: forNode === undefined ? [] : [forNode.name],
        },
      });
    }
  }
}

// Those of other managers, as they were applied.
function others(hosts: Hosts, cluster: Cluster, service: Service, zones: readonly string[]): EndpointSlice[] {
  const { nodes } = cluster;
  return cluster.slices.of(service).map((slice) => ({
    addressType: "IPv4",
    ports: slice.ports.map(({ name, port, protocol }) => ({ name, port, protocol: protocolOf(protocol) })),
    endpoints: slice.endpoints
      .filter((e) => e.ip !== 0)
      .map((e): SliceEndpoint => {
        const ip = formatIpv4(e.ip);
        const node = nodes[e.node];
        const name = hosts.nameOfAddress(e.ip);
        return {
          addresses: [ip],
          conditions: conditionsOf(e.conditions),
          nodeName: node?.name ?? null,
          zone: node === undefined ? null : (zones[node.zone] ?? null),
          targetRef: name === ip ? null : name,
          hints: {
            forZones: zones.slice(e.forZone, e.forZone + 1),
            forNodes: nodes.slice(e.forNode, e.forNode + 1).map((n) => n.name),
          },
        };
      }),
  }));
}

function conditionsOf(bits: number): SliceEndpoint["conditions"] {
  return {
    ready: (bits & EndpointCondition.READY) !== 0,
    serving: (bits & EndpointCondition.SERVING) !== 0,
    terminating: (bits & EndpointCondition.TERMINATING) !== 0,
  };
}
