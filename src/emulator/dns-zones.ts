// Names as the platform's resolver knows them (azure.md 1.6, P42, P47, P9): private zones linked to the
// asker's VNet, then the names of its VMs, then the public zones. A private zone that covers a name answers
// for it alone, so a name it lacks does not exist. Absent: reverse zones, delegation, resolution policies,
// forwarding rules, per-VNet DNS servers.

import { formatIpv4 } from "../wire/address.ts";
import { DnsRcode, type DnsRecord } from "../wire/dns.ts";
import type { Net } from "./net.ts";
import type { DnsRecordSet } from "./spec.ts";

/** What hosts of a VNet are called by Azure itself. */
export const INTERNAL_DOMAIN = "internal.cloudapp.net";
export const DEFAULT_TTL = 3600;
/** Of names the platform keeps itself, seconds. */
const OWN_TTL = 10;
/** Names in a row that only point on. */
const ALIASES_MAX = 8;

/** A zone with its links as rows of the fabric. */
export interface DnsZone {
  name: string;
  /** Rows of VNets; null for a public zone. */
  links: number[] | null;
  registration: number[];
  /** Record sets by name in the zone, in lower case. */
  records: Map<string, DnsRecordSet>;
}

export interface DnsResult {
  rcode: DnsRcode;
  answers: DnsRecord[];
}

/** Everything 168.63.129.16 says about a name to hosts of a VNet, aliases followed. */
export function lookUp(net: Net, vnet: number, name: string, type: string): DnsResult {
  const answers: DnsRecord[] = [];
  let at = name;
  for (let i = 0; i < ALIASES_MAX; i++) {
    const set = recordsOf(net, vnet, at);
    if (set === null) return { rcode: DnsRcode.NXDOMAIN, answers };
    const ttl = set.ttl ?? DEFAULT_TTL;
    if (set.CNAME !== undefined) {
      answers.push({ name: at, type: "CNAME", ttl, data: set.CNAME });
      if (type === "CNAME") break;
      at = set.CNAME.toLowerCase();
      continue;
    }
    const data = type === "A" ? set.A : type === "TXT" ? set.TXT : undefined;
    for (const one of data ?? []) answers.push({ name: at, type, ttl, data: one });
    break;
  }
  return { rcode: DnsRcode.NOERROR, answers };
}

/** The record set of a name, or null when there is none. */
function recordsOf(net: Net, vnet: number, name: string): DnsRecordSet | null {
  const zone = zoneOf(net, name, (z) => z.links?.includes(vnet) === true);
  if (zone !== null) return exact(zone, name) ?? registered(net, zone, name) ?? wildcard(zone);
  if (isUnder(name, INTERNAL_DOMAIN)) return hostRecord(net, vnet, name, INTERNAL_DOMAIN);
  const open = zoneOf(net, name, (z) => z.links === null);
  return open === null ? null : (exact(open, name) ?? wildcard(open));
}

function zoneOf(net: Net, name: string, seen: (zone: DnsZone) => boolean): DnsZone | null {
  let best: DnsZone | null = null;
  for (const zone of net.platform.zones) {
    if (!seen(zone) || !isUnder(name, zone.name)) continue;
    if (best === null || zone.name.length > best.name.length) best = zone;
  }
  return best;
}

function isUnder(name: string, zone: string): boolean {
  return name === zone || name.endsWith(`.${zone}`);
}

function exact(zone: DnsZone, name: string): DnsRecordSet | null {
  if (name === zone.name) return zone.records.get("@") ?? {};
  return zone.records.get(name.slice(0, -zone.name.length - 1)) ?? null;
}

/** RFC 4592: stands for names that are not there. */
function wildcard(zone: DnsZone): DnsRecordSet | null {
  return zone.records.get("*") ?? null;
}

function registered(net: Net, zone: DnsZone, name: string): DnsRecordSet | null {
  for (const row of zone.registration) {
    const found = hostRecord(net, row, name, zone.name);
    if (found !== null) return found;
  }
  return null;
}

/** A VM or node of the VNet by its name in a domain. */
function hostRecord(net: Net, vnet: number, name: string, domain: string): DnsRecordSet | null {
  const host = net.hosts.find(name.slice(0, -domain.length - 1));
  if (host === null || host.kind === "pod") return null;
  const nic = net.walk.k.dev.nic[host.dev];
  if (nic < 0 || net.walk.vnet.nics.vnet[nic] !== vnet) return null;
  return { A: [formatIpv4(net.walk.vnet.primaryAddress(nic))], ttl: OWN_TTL };
}
