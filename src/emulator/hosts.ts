// Names to what they stand for: pods, VMs, nodes and Services by name, addresses by themselves, "name:port"
// pairs. The edge where strings end.

import { closest, distance } from "fastest-levenshtein";
import type { Cluster, Service } from "../cluster/cluster.ts";
import type { Pods } from "../cluster/pods.ts";
import type { Walk } from "../walk/walk.ts";
import { formatIpv4, parseIpv4 } from "../wire/address.ts";
import { PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";

/** A namespace with an interface and an address. */
export interface Host {
  kind: "pod" | "node" | "vm";
  name: string;
  ns: number;
  /** Its eth0. */
  dev: number;
  ip: number;
}

export interface Destination {
  addr: number;
  /** 0 when none was named and none follows. */
  port: number;
}

const DNS_NAME = /^(?=.{1,254}$)([a-z0-9_]([-a-z0-9_]*[a-z0-9])?\.)+([a-z][-a-z0-9]*[a-z0-9])?$/i;

/** A name nobody has; says which is nearest. */
export class UnknownNameError extends Error {
  override name = "UnknownNameError";
}

export class Hosts {
  readonly clusters: Cluster[] = [];
  readonly vms = new Map<string, Host>();
  private readonly walk: Walk;
  private readonly pods: Pods;

  constructor(walk: Walk, pods: Pods) {
    this.walk = walk;
    this.pods = pods;
  }

  /** The pod, node or VM of this name. @throws UnknownNameError */
  host(name: string): Host {
    const found = this.find(name);
    if (found === null) throw this.unknown("pod, node or VM", name, this.hostNames());
    return found;
  }

  find(name: string): Host | null {
    const p = this.pods.byName.get(name);
    if (p !== undefined) {
      return { kind: "pod", name, ns: this.pods.ns[p], dev: this.pods.eth0[p], ip: this.pods.ip[p] };
    }
    for (const cluster of this.clusters) {
      const node = cluster.nodes.find((n) => n.name === name);
      if (node === undefined) continue;
      const ip = this.walk.vnet.primaryAddress(node.nic);
      return { kind: "node", name, ns: node.ns, dev: node.eth0, ip };
    }
    return this.vms.get(name) ?? null;
  }

  service(name: string): { cluster: Cluster; service: Service } | null {
    for (const cluster of this.clusters) {
      const service = cluster.services.find((s) => s.name === name);
      if (service !== undefined) return { cluster, service };
    }
    return null;
  }

  /** A host that is there, or a pod a deployment may have by then. @throws UnknownNameError */
  checkHost(name: string): void {
    if (!this.mayCome(name)) this.host(name);
  }

  /** As destination(), for a time to come. @throws UnknownNameError */
  checkDestination(text: string, protocol: number): void {
    if (protocol !== PROTOCOLS.icmp && this.isDnsName(text)) return;
    const [name, port] = splitPort(text);
    if (port !== null || protocol === PROTOCOLS.icmp) {
      const service = this.service(name)?.service;
      if (parseIpv4(name) !== undefined || this.find(name) !== null) return;
      if (service !== undefined && service.clusterIp !== 0) return;
      if (this.mayCome(name)) return;
    }
    this.destination(text, protocol);
  }

  /**
   * A name with a dot and a port that is no pod, node, VM or Service of ours: whoever wants to go there asks
   * its resolver.
   */
  isDnsName(text: string): boolean {
    const [name, port] = splitPort(text);
    if (port === null || !DNS_NAME.test(name) || parseIpv4(name) !== undefined) return false;
    return this.find(name) === null && this.service(name) === null && !this.mayCome(name);
  }

  /** "web:80", "web-0:8080", "10.0.0.10:53", "client" … @throws UnknownNameError */
  destination(text: string, protocol: number): Destination {
    const [name, portText] = splitPort(text);
    const port = portText === null ? 0 : Number(portText);
    const literal = parseIpv4(name);
    if (literal !== undefined) return this.withPort(text, literal, port, protocol);
    const found = this.service(name);
    if (found !== null) return this.atService(text, found.service, port, protocol);
    const host = this.find(name);
    if (host !== null) return this.withPort(text, host.ip, port, protocol);
    const services = this.clusters.flatMap((c) => c.services.map((s) => s.name));
    throw this.unknown("pod, node, VM or Service", name, [...services, ...this.hostNames()]);
  }

  private mayCome(name: string): boolean {
    const deployment = /^(.+)-\d+$/.exec(name)?.[1];
    return this.clusters.some((c) => c.workloads.some((w) => w.numbered && w.name === deployment));
  }

  // The only port of the protocol needs no naming.
  private atService(text: string, service: Service, port: number, protocol: number): Destination {
    const { clusterIp, ports } = service;
    if (clusterIp === 0) {
      const why = service.externalName === "" ? "is headless" : `stands for ${service.externalName}`;
      throw new UnknownNameError(`Service ${service.name} ${why}: it has no address; name a pod`);
    }
    const ofProtocol = ports.filter((p) => p.protocol === protocol);
    if (port !== 0 || ofProtocol.length !== 1)
      return this.withPort(text, clusterIp, port, protocol, ofProtocol);
    return { addr: clusterIp, port: ofProtocol[0].port };
  }

  private withPort(
    text: string,
    addr: number,
    port: number,
    protocol: number,
    ports: readonly { port: number }[] = [],
  ): Destination {
    if (port !== 0 || protocol === PROTOCOLS.icmp) return { addr, port };
    const some = ports.length > 0 ? ports.map((p) => `"${text}:${p.port}"`).join(" or ") : `"${text}:80"`;
    throw new UnknownNameError(`"${text}" names no port, as ${some} does`);
  }

  /** "n0/eth0": a device of a node, pod or VM. @throws UnknownNameError */
  device(text: string): number {
    const slash = text.indexOf("/");
    const host = this.host(slash < 0 ? text : text.slice(0, slash));
    if (slash < 0) return host.dev;
    const name = text.slice(slash + 1);
    const { k } = this.walk;
    const found = k.findDevice(host.ns, name);
    if (found >= 0) return found;
    const names: string[] = [];
    for (let d = k.ns.firstDev[host.ns]; d >= 0; d = k.dev.nextInNs[d]) names.push(k.dev.name[d]);
    throw this.unknown(`device of ${host.name}`, name, names);
  }

  /** Name of the pod, node or VM that has this namespace. */
  nameOfNs(ns: number): string {
    return ns < 0 ? "nobody" : this.walk.k.ns.name[ns];
  }

  /** The name of whoever has the address, or the address itself. */
  nameOfAddress(addr: number): string {
    for (const [name, p] of this.pods.byName) if (this.pods.ip[p] === addr) return name;
    return formatIpv4(addr);
  }

  /** "10.244.0.5:8080". */
  endpointText(addr: number, port: number): string {
    return `${formatIpv4(addr)}:${port}`;
  }

  hostNames(): string[] {
    const nodes = this.clusters.flatMap((c) => c.nodes.map((n) => n.name));
    return [...this.pods.byName.keys(), ...nodes, ...this.vms.keys()];
  }

  private unknown(what: string, name: string, known: string[]): UnknownNameError {
    return new UnknownNameError(`no ${what} is named "${name}"${didYouMean(name, known)}`);
  }
}

/** `; did you mean "web"?`, or nothing when no name is near. */
export function didYouMean(name: string, known: readonly string[]): string {
  if (known.length === 0) return "";
  const near = closest(name, known);
  return distance(name, near) <= Math.max(2, name.length / 3) ? `; did you mean "${near}"?` : "";
}

/** "name:80" as ["name", "80"], "name" as ["name", null]. */
export function splitPort(text: string): [string, string | null] {
  const colon = text.lastIndexOf(":");
  if (colon < 0) return [text, null];
  const port = text.slice(colon + 1);
  if (!/^\d{1,5}$/.test(port) || Number(port) === 0 || Number(port) > 65_535)
    throw new UnknownNameError(`"${port}" is no port number`);
  return [text.slice(0, colon), port];
}

/** IP protocol numbers by the names scripts use. */
export const PROTOCOLS: Readonly<Record<string, number>> = {
  icmp: 1,
  tcp: PROTO_TCP,
  udp: PROTO_UDP,
  sctp: 132,
};
