// What `kubectl get service,endpointslices` would say of one Service now, as data.

import { type Cluster, targetOf } from "../cluster/cluster.ts";
import type { Service, ServicePort, ServiceType } from "../cluster/service.ts";
import { EndpointCondition } from "../netfilter/endpoint-lists.ts";
import { formatIpv4 } from "../wire/address.ts";
import type { Hosts } from "./hosts.ts";

export interface EndpointInfo {
  ip: string;
  port: number;
  /** Pod, node or VM that has the address; null when nobody here has. */
  name: string | null;
  ready: boolean;
  serving: boolean;
  terminating: boolean;
}

export interface ServicePortInfo {
  /** Empty when the only port has none. */
  name: string;
  port: number;
  /** A number, or the name of a container port. */
  targetPort: number | string;
  /** Null: none. */
  nodePort: number | null;
  /** In the order they were added; of a headless Service, the pods' addresses. */
  endpoints: EndpointInfo[];
}

export interface ServiceInfo {
  name: string;
  type: ServiceType;
  /** "None" for a headless Service; null for an ExternalName. */
  clusterIP: string | null;
  externalName: string | null;
  /** Null: none. */
  healthCheckNodePort: number | null;
  ports: ServicePortInfo[];
}

export function serviceInfo(hosts: Hosts, cluster: Cluster, service: Service): ServiceInfo {
  const isName = service.type === "ExternalName";
  const headless = service.clusterIp === 0 ? "None" : formatIpv4(service.clusterIp);
  return {
    name: service.name,
    type: service.type,
    clusterIP: isName ? null : headless,
    externalName: isName ? service.externalName : null,
    healthCheckNodePort: service.healthPort || null,
    ports: service.ports.map((sp) => {
      const { name, port, nodePort, row } = sp;
      const endpoints =
        row < 0 ? podEndpoints(hosts, cluster, service, sp) : tableEndpoints(hosts, cluster, row);
      const targetPort = sp.targetName ?? sp.targetPort;
      return { name, port, targetPort, nodePort: nodePort || null, endpoints };
    }),
  };
}

function tableEndpoints(hosts: Hosts, cluster: Cluster, row: number): EndpointInfo[] {
  const { table } = cluster;
  const found: EndpointInfo[] = [];
  for (let e = table.first[row]; e >= 0; e = table.epNext[e]) {
    found.push(endpoint(hosts, table.epIp[e], table.epTarget[e], table.epConditions[e]));
  }
  return found;
}

// A headless Service has no rules, only EndpointSlices.
function podEndpoints(hosts: Hosts, cluster: Cluster, service: Service, port: ServicePort): EndpointInfo[] {
  const selected = cluster.selected(service).flatMap((w) => {
    const target = targetOf(w, port);
    const rows = target === 0 ? [] : cluster.pods.oldestFirst(w.pods);
    return rows.map((p) => endpoint(hosts, cluster.pods.ip[p], target, cluster.conditions(p, service)));
  });
  const others = cluster.slices
    .endpointsOf(service, port)
    .map(({ endpoint: e, target }) => endpoint(hosts, e.ip, target, e.conditions));
  return [...selected, ...others];
}

function endpoint(hosts: Hosts, addr: number, port: number, conditions: number): EndpointInfo {
  const ip = formatIpv4(addr);
  const name = hosts.nameOfAddress(addr);
  return {
    ip,
    port,
    name: name === ip ? null : name,
    ready: (conditions & EndpointCondition.READY) !== 0,
    serving: (conditions & EndpointCondition.SERVING) !== 0,
    terminating: (conditions & EndpointCondition.TERMINATING) !== 0,
  };
}
