// Names as a program in a pod gives them to its resolver: getaddrinfo() with the answers CoreDNS would have
// (kubernetes plugin: Services, headless Services, pods by address), and the hosts of the emulation by name.
// Absent: packets on port 53, search lists of namespaces (a short name means any namespace), SRV records.

import { nextTick } from "node:process";
import type { Service } from "../cluster/service.ts";
import { EndpointCondition } from "../netfilter/endpoint-lists.ts";
import { formatIpv4, parseIpv4 } from "../wire/address.ts";
import type { Hosts } from "./hosts.ts";
import { type LookupError, lookupError } from "./node-error.ts";

const LOCALHOST = 0x7f000001;
const CLUSTER_DOMAIN = ".cluster.local";
/** ExternalNames that name each other end somewhere. */
const MOST_ALIASES = 8;

/** Addresses (int32) of a name, in the order a resolver would give them; empty when nobody has it. */
export function namedAddresses(hosts: Hosts, name: string, aliases = 0): number[] {
  const literal = parseIpv4(name);
  if (literal !== undefined) return [literal];
  let text = name.toLowerCase();
  if (text.endsWith(".")) text = text.slice(0, -1);
  if (text === "localhost") return [LOCALHOST];
  if (text.endsWith(CLUSTER_DOMAIN)) text = text.slice(0, -CLUSTER_DOMAIN.length);
  const labels = text.split(".");
  if (labels.length === 3 && labels[2] === "pod") return podByAddress(labels[0]);
  const service = findService(hosts, labels);
  if (service !== null) return serviceAddresses(hosts, service, aliases);
  const host = hosts.find(name);
  return host === null ? [] : [host.ip];
}

// "web", "web.shop", "web.shop.svc".
function findService(hosts: Hosts, labels: readonly string[]): Service | null {
  const [name, namespace, svc] = labels;
  if (labels.length > 3 || (svc !== undefined && svc !== "svc")) return null;
  for (const cluster of hosts.clusters) {
    for (const service of cluster.services) {
      if (service.name !== name) continue;
      if (namespace === undefined || service.namespace === namespace) return service;
    }
  }
  return null;
}

function serviceAddresses(hosts: Hosts, service: Service, aliases: number): number[] {
  if (service.type === "ExternalName") {
    return aliases === MOST_ALIASES ? [] : namedAddresses(hosts, service.externalName, aliases + 1);
  }
  if (service.clusterIp !== 0) return [service.clusterIp];
  const cluster = hosts.clusters.find((c) => c.services.includes(service));
  if (cluster === undefined) return [];
  const rows = cluster.selected(service).flatMap((w) => cluster.pods.oldestFirst(w.pods));
  const ready = rows.filter((p) => cluster.conditions(p, service) & EndpointCondition.READY);
  return ready.map((p) => cluster.pods.ip[p]);
}

// "10-244-0-5.default.pod": whatever the address, as CoreDNS answers in the mode kubeadm and AKS give it
// ("pods insecure").
function podByAddress(dashed: string): number[] {
  const addr = parseIpv4(dashed.replaceAll("-", "."));
  return addr === undefined ? [] : [addr];
}

export interface LookupOptions {
  all?: boolean | undefined;
  family?: number | string | undefined;
}

export interface LookupAddress {
  address: string;
  family: number;
}

export type LookupCallback = (
  error: LookupError | null,
  address?: string | LookupAddress[],
  family?: number,
) => void;

/** dns.lookup(hostname, options, callback), for names of the emulation. Answers on the next turn. */
export function lookupName(
  hosts: Hosts,
  name: string,
  options: LookupOptions,
  callback: LookupCallback,
): void {
  const wantsIpv6 = options.family === 6 || options.family === "IPv6";
  const found = wantsIpv6 ? [] : namedAddresses(hosts, name).map(formatIpv4);
  nextTick(() => {
    if (found.length === 0) callback(lookupError(name));
    else if (options.all)
      callback(
        null,
        found.map((address) => ({ address, family: 4 })),
      );
    else callback(null, found[0], 4);
  });
}
