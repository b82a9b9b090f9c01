// DNS zones of a description: checked and given to the platform. Rules of Azure: names are DNS names, an
// alias stands alone, a VNet has a zone once and registers its VMs in one zone.

import { parseIpv4 } from "../wire/address.ts";
import type { Building } from "./build.ts";
import { didYouMean } from "./hosts.ts";
import type { DnsRecordSet, DnsZoneSpec } from "./spec.ts";

const NAME = /^(?=.{1,253}$)[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?)*$/;
const TTL_MAX = 2 ** 31 - 1;

export function buildDnsZones(b: Building, zones: readonly DnsZoneSpec[]): void {
  const registers = new Map<number, string>();
  for (const zone of zones) {
    const path = `dnsZone.${zone.name}`;
    const name = zone.name.toLowerCase();
    if (!NAME.test(name)) b.problems.push({ path, message: `"${zone.name}" is not a DNS name (RFC 1123)` });
    const registration = zone.registration.flatMap((vnet, i) =>
      vnetRow(b, vnet, `${path}.registration[${i}]`),
    );
    for (const [i, row] of registration.entries()) {
      const first = registers.get(row);
      const at = `${path}.registration[${i}]`;
      if (first !== undefined) {
        b.problems.push({ path: at, message: `the VNet registers its VMs in ${first} already` });
      }
      if (zone.links?.includes(zone.registration[i] as string) === false) {
        b.problems.push({ path: at, message: "a VNet that registers its VMs has a link" });
      }
      registers.set(row, zone.name);
    }
    const double = zones.find(
      (z) =>
        z !== zone &&
        z.name.toLowerCase() === name &&
        shares(z.links, zone.links) &&
        zones.indexOf(z) < zones.indexOf(zone),
    );
    if (double !== undefined) {
      const message =
        zone.links === null
          ? "the zone is described twice"
          : "a VNet is linked to a zone of this name already";
      b.problems.push({ path, message });
    }
    const links = zone.links?.flatMap((vnet, i) => vnetRow(b, vnet, `${path}.links[${i}]`)) ?? null;
    const records = new Map<string, DnsRecordSet>();
    for (const [relative, set] of Object.entries(zone.records)) {
      checkRecord(b, relative, set, `${path}.records.${relative}`);
      records.set(relative.toLowerCase(), set);
    }
    b.net.platform.zones.push({ name, links, registration, records });
  }
}

/** Zones of one name are apart when nobody sees both: private ones by their VNets, public ones never. */
function shares(a: readonly string[] | null, b: readonly string[] | null): boolean {
  if (a === null || b === null) return a === b;
  return a.some((name) => b.includes(name));
}

function vnetRow(b: Building, name: string, path: string): number[] {
  const row = b.network.vnets.get(name);
  if (row !== undefined && b.walk.vnet.vnets.site[row] === 0) return [row];
  const hint = didYouMean(
    name,
    b.net.spec.vnets.filter((v) => v.site !== true).map((v) => v.name),
  );
  b.problems.push({ path, message: `there is no VNet ${name}${hint}` });
  return [];
}

function checkRecord(b: Building, name: string, set: DnsRecordSet, path: string): void {
  if (name !== "@" && name !== "*" && !NAME.test(name.toLowerCase())) {
    b.problems.push({ path, message: `"${name}" is not a DNS name (RFC 1123)` });
  }
  const { A, CNAME, TXT, ttl } = set;
  for (const [i, address] of (A ?? []).entries()) {
    if (parseIpv4(address) === undefined) {
      b.problems.push({ path: `${path}.A[${i}]`, message: `${address} is not an IPv4 address` });
    }
  }
  if (CNAME !== undefined && (A !== undefined || TXT !== undefined || name === "@")) {
    b.problems.push({ path: `${path}.CNAME`, message: "an alias stands alone, and not at the zone itself" });
  }
  if (CNAME !== undefined && !NAME.test(CNAME.toLowerCase())) {
    b.problems.push({ path: `${path}.CNAME`, message: `"${CNAME}" is not a DNS name (RFC 1123)` });
  }
  if (ttl !== undefined && !(Number.isInteger(ttl) && ttl >= 0 && ttl <= TTL_MAX)) {
    b.problems.push({ path: `${path}.ttl`, message: `a whole number of seconds up to ${TTL_MAX}` });
  }
}
