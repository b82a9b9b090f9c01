// How a cluster reaches the Internet and is reached from it (azure.md 4.7): outbound types, the load balancer
// `kubernetes` that AKS puts in front of all nodes, and its rules for Services of type LoadBalancer, as the
// Azure cloud provider makes them: floating IP, so that nodes answer on the address (ipMode VIP), or to
// NodePorts (ipMode Proxy); probes of the NodePort, or of the health-check port with policy Local.
// Absent: managedNATGatewayV2 and block (previews), Services that manifests bring, annotations but the one
// for an internal load balancer, probes of UDP ports.

import type { Service, ServicePort } from "../cluster/service.ts";
import {
  addBackend,
  addInternalFrontend,
  addPublicFrontend,
  addRule,
  Distribution,
} from "../vnet/balancers.ts";
import { buildIdle } from "../vnet/build-public.ts";
import {
  NAT_GATEWAY_CONNECTIONS_PER_DESTINATION,
  NAT_GATEWAY_PORTS,
  SNAT_PORT_FIRST,
} from "../vnet/outbound.ts";
import { PROBE_INTERVAL } from "../vnet/probes.ts";
import { PublicUse } from "../vnet/public-addresses.ts";
import { isPublic } from "../vnet/service-tags.ts";
import { formatIpv4, parseIpv4 } from "../wire/address.ts";
import { PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import type { ClusterBuild } from "./build-cluster.ts";
import { oneOf } from "./check-cluster.ts";
import type { ServiceSpec } from "./spec.ts";

/** P80. */
export const OUTBOUND_TYPES = [
  "loadBalancer",
  "managedNATGateway",
  "userAssignedNATGateway",
  "userDefinedRouting",
  "none",
] as const;
export type OutboundType = (typeof OUTBOUND_TYPES)[number];

/** P81: idle timeout of AKS's outbound rule, minutes. */
const OUTBOUND_IDLE = 30;
const IDLE_MAX = 120;
const PORTS_STEP = 8;
const MINUTE = 60_000_000_000;
const SERVICE_IDLE = 4 * MINUTE;

/** The load balancer of a cluster. */
export interface ClusterBalancer {
  name: string;
  /** All nodes. */
  pool: number;
  /** Frontend by the name of the Service. */
  frontends: Map<string, number>;
}

/** Null where the topology has no internet and names no outbound type: nothing of this is modelled then. */
export function buildEgress(c: ClusterBuild): ClusterBalancer | null {
  const { b, spec, cluster } = c;
  const { vnet } = b.walk;
  if (spec.outboundType === undefined && vnet.internet < 0) return null;
  const at = `${c.path}.outboundType`;
  const type = oneOf(b, spec.outboundType ?? "loadBalancer", OUTBOUND_TYPES, "none", at);
  const balancer = { name: `${spec.name}/kubernetes`, pool: 0, frontends: new Map<string, number>() };
  balancer.pool = vnet.balancers.pools.push({ name: balancer.name, nics: [] }) - 1;
  for (const { nic } of cluster.nodes) addBackend(vnet, balancer.pool, nic);
  checkProfile(c);
  if (type === "loadBalancer") buildOutboundRule(c, balancer);
  else if (type === "managedNATGateway") buildManagedGateway(c, at);
  else if (c.subnet >= 0) checkOwn(c, type, at);
  return balancer;
}

/** The Service as described, with the address that Azure gives its load balancer. */
export function addressedService(
  c: ClusterBuild,
  balancer: ClusterBalancer | null,
  spec: ServiceSpec,
): ServiceSpec {
  if (balancer === null || spec.type !== "LoadBalancer" || c.subnet < 0) return spec;
  const { vnet } = c.b.walk;
  const path = `${c.path}.service.${spec.name}`;
  const asked = spec.loadBalancerIP === undefined ? 0 : parseIpv4(spec.loadBalancerIP);
  if (asked === undefined) return spec;
  const internal = spec.internalLoadBalancer === true || (asked !== 0 && !isPublic(asked));
  const problem = internal ? checkInternal(c, asked) : checkPublic(c, asked);
  if (problem !== null) {
    const at = asked === 0 ? path : `${path}.loadBalancerIP`;
    c.b.problems.push({ path: at, message: problem });
    return spec;
  }
  const frontend = internal
    ? addInternalFrontend(vnet, spec.name, balancer.name, c.subnet, asked || vnet.lowestFree(c.subnet))
    : addPublicFrontend(
        vnet,
        spec.name,
        balancer.name,
        vnet.publics.add(`${c.spec.name}/${spec.name}`, asked),
      );
  balancer.frontends.set(spec.name, frontend);
  return { ...spec, loadBalancerIP: formatIpv4(vnet.balancers.frontends[frontend].addr) };
}

/** A rule for each port of the Service, once it is there. */
export function balanceService(c: ClusterBuild, balancer: ClusterBalancer | null, spec: ServiceSpec): void {
  const frontend = balancer?.frontends.get(spec.name);
  const service = c.cluster.services.find(({ name }) => name === spec.name);
  if (balancer === null || frontend === undefined || service === undefined) return;
  const { vnet } = c.b.walk;
  const proxied = spec.ipMode === "Proxy";
  for (const port of service.ports) {
    // SCTP is nothing a load balancer carries.
    if (port.protocol !== PROTO_TCP && port.protocol !== PROTO_UDP) continue;
    addRule(vnet, {
      name: `${spec.name}-${port.port}`,
      frontend,
      protocol: port.protocol,
      frontendPort: port.port,
      backendPort: proxied ? port.nodePort : port.port,
      pool: balancer.pool,
      probe: addProbe(c, service, port),
      floating: !proxied,
      distribution: spec.sessionAffinity === "ClientIP" ? Distribution.SOURCE_IP : Distribution.DEFAULT,
      idle: SERVICE_IDLE,
      reset: true,
    });
  }
}

/** With policy Local the health-check port over HTTP, else the NodePort; -1 where there is nothing to ask. */
function addProbe(c: ClusterBuild, service: Service, port: ServicePort): number {
  const local = service.healthPort !== 0;
  const asked = local ? service.healthPort : port.protocol === PROTO_TCP ? port.nodePort : 0;
  if (asked === 0) return -1;
  const { probes } = c.b.walk.vnet.probes;
  const name = `${service.name}-${asked}`;
  const known = probes.findIndex((probe) => probe.name === name);
  if (known >= 0) return known;
  const text = "GET /healthz HTTP/1.1\r\nHost: node\r\nUser-Agent: Load Balancer Agent\r\n\r\n";
  const request = local ? new TextEncoder().encode(text) : null;
  return probes.push({ name, port: asked, request, interval: PROBE_INTERVAL, threshold: 2, targets: [] }) - 1;
}

function checkInternal(c: ClusterBuild, asked: number): string | null {
  const { subnets, configs } = c.b.walk.vnet;
  const name = subnets.name[c.subnet];
  if (asked === 0)
    return c.b.walk.vnet.lowestFree(c.subnet) === 0 ? `subnet ${name} has no free address` : null;
  const text = formatIpv4(asked);
  if (!subnets.contains(c.subnet, asked) || subnets.isReserved(c.subnet, asked)) {
    return `${text} is no address for the nodes' subnet ${name}`;
  }
  return configs.find(subnets.vnet[c.subnet], asked) >= 0 ? `${text} is in use` : null;
}

function checkPublic(c: ClusterBuild, asked: number): string | null {
  return asked !== 0 && c.b.walk.vnet.publics.find(asked) >= 0 ? `${formatIpv4(asked)} is in use` : null;
}

function checkProfile({ b, spec, path }: ClusterBuild): void {
  const { managedOutboundIPs = 1, allocatedOutboundPorts = 0 } = spec.outboundProfile ?? {};
  if (!Number.isInteger(managedOutboundIPs) || managedOutboundIPs < 1 || managedOutboundIPs > 16) {
    const message = "a whole number from 1 to 16";
    b.problems.push({ path: `${path}.outboundProfile.managedOutboundIPs`, message });
  }
  if (!Number.isInteger(allocatedOutboundPorts) || allocatedOutboundPorts % PORTS_STEP !== 0) {
    const message = `a multiple of ${PORTS_STEP} (P81)`;
    b.problems.push({ path: `${path}.outboundProfile.allocatedOutboundPorts`, message });
  }
}

/** The public addresses that AKS manages for a cluster. */
function managedAddresses({ b, spec }: ClusterBuild): number[] {
  const count = Math.min(16, Math.max(1, Math.trunc(spec.outboundProfile?.managedOutboundIPs ?? 1) || 1));
  return Array.from({ length: count }, (_, i) => b.walk.vnet.publics.add(`${spec.name}/outbound-${i}`, 0));
}

function idleOf({ b, spec, path }: ClusterBuild, usual: number): number {
  const minutes = spec.outboundProfile?.idleTimeoutInMinutes ?? usual;
  return buildIdle(minutes, IDLE_MAX, `${path}.outboundProfile.idleTimeoutInMinutes`, b.problems);
}

/** P81. */
function buildOutboundRule(c: ClusterBuild, { name, pool }: ClusterBalancer): void {
  const { vnet } = c.b.walk;
  const frontends = managedAddresses(c).map((p, i) => addPublicFrontend(vnet, `outbound-${i}`, name, p));
  const ports = c.spec.outboundProfile?.allocatedOutboundPorts ?? 0;
  vnet.balancers.outboundRules.push({
    ...{ name: `${name}/aksOutboundRule`, pool, frontends, reset: true },
    ports: Number.isInteger(ports) && ports >= 0 ? ports : 0,
    idle: idleOf(c, OUTBOUND_IDLE),
  });
}

function buildManagedGateway(c: ClusterBuild, path: string): void {
  const { vnet } = c.b.walk;
  if (c.subnet < 0) return;
  if (vnet.subnets.natGateway[c.subnet] >= 0) {
    c.b.problems.push({ path, message: "the subnet has a NAT gateway of its own: userAssignedNATGateway" });
    return;
  }
  const blocks = managedAddresses(c).map((p) => {
    vnet.publics.assign(p, PublicUse.SNAT, -1);
    return vnet.outbound.addBlock({
      address: vnet.publics.addr[p],
      first: SNAT_PORT_FIRST,
      count: NAT_GATEWAY_PORTS,
      perDestination: NAT_GATEWAY_CONNECTIONS_PER_DESTINATION,
    });
  });
  const gateway = { name: `${c.spec.name}/natgateway`, blocks, idle: idleOf(c, 4) };
  vnet.subnets.natGateway[c.subnet] = vnet.outbound.natGateways.push(gateway) - 1;
}

/** P82: what the types need that stand on the user's own network. */
function checkOwn(c: ClusterBuild, type: OutboundType, path: string): void {
  const { subnets, routes } = c.b.walk.vnet;
  if (type === "userAssignedNATGateway" && subnets.natGateway[c.subnet] < 0) {
    c.b.problems.push({ path, message: "the subnet has no NAT gateway" });
  }
  const table = subnets.table[c.subnet];
  if (type === "userDefinedRouting" && (table < 0 || routes.find(table, 0, 0) < 0)) {
    c.b.problems.push({ path, message: "the subnet's route table has no route for 0.0.0.0/0 (P82)" });
  }
}
