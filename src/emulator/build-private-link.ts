// Private Link services and private endpoints of a description (azure.md 4.4). Each is a NIC of the fabric
// whose device stands in a namespace of its own, where nothing runs: so drops and captures have a place.

import { DevKind } from "../node/net-device.ts";
import { checkIpConfig, checkNic } from "../vnet/check.ts";
import {
  addEndpoint,
  addPrivateLinkService,
  ENDPOINT_STATE_NAMES,
  type EndpointState,
} from "../vnet/private-endpoints.ts";
import { formatIpv4 } from "../wire/address.ts";
import { addressOf, type Building, subnetRow } from "./build.ts";
import { didYouMean } from "./hosts.ts";
import type { TopologySpec } from "./spec.ts";

/** Most NAT addresses of one service (P43). */
const NAT_IPS_MAX = 8;
/** Of the record that a private endpoint puts into a zone, seconds. */
const ENDPOINT_TTL = 10;

export function buildPrivateLink(b: Building, spec: TopologySpec): void {
  const services = new Map<string, number>();
  for (const service of spec.privateLinkServices) buildService(b, service, services);
  for (const endpoint of spec.privateEndpoints) buildEndpoint(b, endpoint, services);
}

function buildService(
  b: Building,
  spec: TopologySpec["privateLinkServices"][number],
  services: Map<string, number>,
): void {
  const path = `privateLinkService.${spec.name}`;
  const { natIps = 1, proxyProtocol = false } = spec;
  const subnet = vnetSubnet(b, spec.subnet, path);
  const target = addressOf(b, spec.target, `${path}.target`);
  const count = typeof natIps === "number" ? natIps : natIps.length;
  if (!Number.isInteger(count) || count < 1 || count > NAT_IPS_MAX) {
    const message = `a Private Link service has 1 to ${NAT_IPS_MAX} NAT addresses (P43)`;
    b.problems.push({ path: `${path}.natIps`, message });
    return;
  }
  if (subnet < 0) return;
  const { vnet } = b.walk;
  const wanted = Array.from({ length: count }, (_, i) =>
    typeof natIps === "number" ? 0 : addressOf(b, natIps[i], `${path}.natIps[${i}]`),
  );
  const nic = plugPort(b, spec.name, subnet, wanted[0] as number, `${path}.natIps[0]`);
  if (nic < 0) return;
  for (const [i, addr] of wanted.entries()) {
    if (i === 0) continue;
    const found = checkIpConfig(vnet, nic, addr, `${path}.natIps[${i}]`);
    b.problems.push(...found);
    if (found.length === 0) vnet.addIpConfig(nic, addr);
  }
  if (vnet.subnets.of(vnet.subnets.vnet[subnet], target) < 0) {
    b.problems.push({ path: `${path}.target`, message: `${spec.target} lies in no subnet of the same VNet` });
  }
  services.set(
    spec.name,
    addPrivateLinkService(vnet, { name: spec.name, nic, target, proxyProtocol, rover: 0 }),
  );
}

function buildEndpoint(
  b: Building,
  spec: TopologySpec["privateEndpoints"][number],
  services: Map<string, number>,
): void {
  const path = `privateEndpoint.${spec.name}`;
  const { vnet } = b.walk;
  const state = ENDPOINT_STATE_NAMES.indexOf(spec.state ?? "Approved");
  if (state < 0) {
    const message = `"${spec.state}" is none of ${ENDPOINT_STATE_NAMES.join(", ")}`;
    b.problems.push({ path: `${path}.state`, message });
  }
  const service = services.get(spec.target) ?? -1;
  const target = service < 0 ? hostOutside(b, spec.target, services, `${path}.target`) : -1;
  const address = addressOf(b, spec.address, `${path}.address`);
  const subnet = vnetSubnet(b, spec.subnet, path);
  const zone = spec.dns && b.net.platform.zones.find((z) => z.name === spec.dns?.zone.toLowerCase());
  if (spec.dns !== undefined && (zone === undefined || zone.links === null)) {
    const names = b.net.spec.dnsZones.filter((z) => z.links !== null).map((z) => z.name);
    const hint = didYouMean(spec.dns.zone, names);
    b.problems.push({
      path: `${path}.dns.zone`,
      message: `there is no private DNS zone ${spec.dns.zone}${hint}`,
    });
  }
  if (subnet < 0 || state < 0 || (service < 0 && target < 0)) return;
  const nic = plugPort(b, spec.name, subnet, address, `${path}.address`);
  if (nic < 0) return;
  addEndpoint(vnet, spec.name, nic, target, service, state as EndpointState);
  zone?.records.set((spec.dns as { name: string }).name.toLowerCase(), {
    A: [formatIpv4(vnet.primaryAddress(nic))],
    ttl: ENDPOINT_TTL,
  });
}

/** The NIC of a VM that is in no VNet, or -1 with a problem. */
function hostOutside(b: Building, name: string, services: Map<string, number>, path: string): number {
  const { k, vnet } = b.walk;
  const host = b.net.hosts.vms.get(name);
  const nic = host === undefined ? -1 : k.dev.nic[host.dev];
  if (nic >= 0 && vnet.vnets.site[vnet.nics.vnet[nic]] !== 0) return nic;
  const described = [...b.net.spec.vms, ...b.net.spec.privateLinkServices].map((d) => d.name);
  // What could not be made has a problem of its own.
  if (nic < 0 && described.includes(name)) return -1;
  const known = [...services.keys(), ...b.net.hosts.vms.keys()];
  const message =
    nic >= 0
      ? `${name} is in a VNet: put a Private Link service in front of it`
      : `there is no Private Link service or VM ${name}${didYouMean(name, known)}`;
  b.problems.push({ path, message });
  return -1;
}

/** A subnet of a VNet, or -1 with a problem. */
function vnetSubnet(b: Building, name: string, path: string): number {
  const { vnet } = b.walk;
  const subnet = subnetRow(b, name, path);
  if (subnet < 0 || vnet.vnets.site[vnet.subnets.vnet[subnet]] === 0) return subnet;
  b.problems.push({ path: `${path}.subnet`, message: `${name} is no subnet of a VNet` });
  return -1;
}

/** A NIC of the fabric itself; -1 with a problem. */
function plugPort(b: Building, name: string, subnet: number, address: number, path: string): number {
  const { k, vnet } = b.walk;
  const found = checkNic(vnet, subnet, address, path);
  b.problems.push(...found);
  if (found.length > 0) return -1;
  const ns = k.addNamespace(name, -1);
  const dev = k.addDevice(ns, DevKind.NIC, "eth0");
  k.setUp(dev, true);
  return vnet.addNic(subnet, address, dev);
}
