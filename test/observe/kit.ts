// A small cluster built by hand, without cluster/ and emulator/: nodes with the azure0 bridge and its
// ebtables rules in one VNet, pods on the bridge, one Service table.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ExecutionContext } from "ava";
import { RouteProtocol, RouteType } from "../../src/ip/fib.ts";
import { Nud } from "../../src/ip/neigh-table.ts";
import { EbtChain, type EbtRule, EbtTarget } from "../../src/link/ebtables.ts";
import type { ProxyOptions } from "../../src/netfilter/netfilter.ts";
import { ServiceTable } from "../../src/netfilter/service-table.ts";
import { Kernel } from "../../src/node/kernel.ts";
import { DevKind, PortFlag } from "../../src/node/net-device.ts";
import { walkNames } from "../../src/observe/names.ts";
import { tapDevice } from "../../src/observe/pcapng.ts";
import { udpOpen } from "../../src/socket/open.ts";
import { SocketKind } from "../../src/socket/sockets.ts";
import { udpSend } from "../../src/socket/udp-send.ts";
import { Walk } from "../../src/walk/walk.ts";
import { parseCidr, parseIpv4, parseMac } from "../../src/wire/address.ts";
import { ETHERTYPE_ARP } from "../../src/wire/ethernet.ts";
import { PROTO_UDP } from "../../src/wire/ipv4.ts";

export const ip = (text: string): number => {
  const address = parseIpv4(text);
  if (address === undefined) throw new Error(`not an address: ${text}`);
  return address;
};

export interface Node {
  name: string;
  ns: number;
  bridge: number;
  eth0: number;
  nic: number;
}

export interface Pod {
  name: string;
  ns: number;
  /** The device in the pod and its other end in the node. */
  eth0: number;
  host: number;
  ip: string;
}

const ANY = { proto: -1, port: -1, portPrefix: "", arpOp: -1, address: 0, hasAddress: false };

export class Lab {
  readonly k = new Kernel({ seed: 7, frames: 512, largeFrames: 4, frameBytes: 2048 });
  readonly walk = new Walk(this.k);
  readonly names = walkNames(this.walk);
  readonly table = new ServiceTable();
  readonly subnet: number;
  readonly vnet: number;

  constructor() {
    const { vnet } = this.walk;
    const space = parseCidr("10.224.0.0/12")!;
    this.vnet = vnet.addVnet("prod");
    vnet.addAddressSpace(this.vnet, space.network, space.prefix);
    this.subnet = vnet.addSubnet(this.vnet, "nodes", ip("10.224.0.0"), 16);
  }

  /** A node whose address and default route are on azure0, with ebtables rules E1 to E3 (azure.md 5.3). */
  node(name: string, address: string, options: ProxyOptions = {}): Node {
    const { k, walk } = this;
    const ns = k.addNamespace(name, -1);
    k.setNsSysctl(ns, "net.ipv4.ip_forward", 1);
    const eth0 = k.addDevice(ns, DevKind.NIC, "eth0");
    const nic = walk.vnet.addNic(this.subnet, ip(address), eth0);
    const bridge = walk.link.bridges.add(ns, "azure0");
    walk.link.bridges.addPort(bridge, eth0, PortFlag.HAIRPIN);
    k.setUp(eth0, true);
    k.setUp(bridge, true);
    k.addAddress(bridge, ip(address), 16, 0);
    const gateway = ip("10.224.0.1");
    const protocol = RouteProtocol.DHCP;
    walk.ip.fib.add({ ns, dst: 0, length: 0, type: RouteType.UNICAST, dev: bridge, gateway, protocol });
    const macs = { macHi: k.dev.macHi[eth0], macLo: k.dev.macLo[eth0] };
    const rule = (row: number, chain: number, target: number): EbtRule => {
      return { ...ANY, row, chain, target, unicastSource: false, ...macs };
    };
    const arp = { proto: ETHERTYPE_ARP };
    const mine = { ...arp, arpOp: 1, address: ip(address), hasAddress: true };
    const all = { macHi: 0xffff, macLo: -1 };
    const { ebtables } = walk.link;
    const e1 = rule(1, EbtChain.POSTROUTING, EbtTarget.SNAT);
    ebtables.append(bridge, { ...e1, port: eth0, unicastSource: true });
    ebtables.append(bridge, { ...rule(2, EbtChain.PREROUTING, EbtTarget.ARPREPLY), ...mine });
    const e3 = rule(3, EbtChain.PREROUTING, EbtTarget.DNAT);
    ebtables.append(bridge, { ...e3, ...arp, ...all, port: eth0, arpOp: 2 });
    walk.nf.attachServices(ns, this.table, options);
    return { name, ns, bridge, eth0, nic };
  }

  /** A pod on the node's bridge, its address a secondary one of the NIC, with rules E5 and E6. */
  pod(node: Node, name: string, address: string): Pod {
    const { k, walk } = this;
    const ns = k.addNamespace(name, node.ns);
    const host = walk.link.addVeth(node.ns, `azv${name}`, ns, "eth0");
    const eth0 = k.dev.peer[host];
    const last = ip(address) & 0xff;
    this.setMac(host, `aa:aa:aa:aa:aa:${hex(last)}`);
    this.setMac(eth0, `02:00:00:00:00:${hex(last)}`);
    walk.link.bridges.addPort(node.bridge, host, PortFlag.HAIRPIN);
    k.setUp(host, true);
    k.setUp(eth0, true);
    k.addAddress(eth0, ip(address), 16, 0);
    const gateway = ip("10.224.0.1");
    walk.ip.fib.add({ ns, dst: 0, length: 0, type: RouteType.UNICAST, dev: eth0, gateway });
    const [hi, lo] = [k.dev.macHi[eth0], k.dev.macLo[eth0]];
    walk.link.ebtables.addPod(node.bridge, ip(address), node.eth0, hi, lo, hi, lo);
    // As if the pod had sent something: frames to a MAC address not learned are flooded to the fabric.
    walk.link.fdb.learn(node.bridge, host, hi, lo);
    walk.ip.neigh.set(node.bridge, ip(address), hi, lo, Nud.PERMANENT);
    walk.vnet.addIpConfig(node.nic, ip(address));
    return { name, ns, eth0, host, ip: address };
  }

  setMac(d: number, text: string): void {
    const { hi, lo } = parseMac(text)!;
    this.walk.link.setMac(d, hi, lo);
  }

  service(name: string, vip: string, port: number, endpoints: readonly Pod[], proto = PROTO_UDP): number {
    const p = this.table.addServicePort(name, ip(vip), proto, port);
    for (const pod of endpoints) this.table.addEndpoint(p, ip(pod.ip), 8080, this.k.ns.host[pod.ns]);
    return p;
  }

  /** A UDP echo server on port 8080. */
  echo(pod: Pod): void {
    udpOpen(this.walk.sock, pod.ns, { kind: SocketKind.ECHO, port: 8080 });
  }

  /** A datagram from a socket of its own; returns the packet's number. */
  udp(from: Pod, to: string, port: number, data: string | number = "hello"): number {
    const { sock } = this.walk;
    const row = udpOpen(sock, from.ns, { kind: SocketKind.SCRIPT, port: 0 });
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    const packet = udpSend(sock, row, ip(to), port, bytes);
    this.walk.drain();
    return packet;
  }

  observe(): void {
    this.k.observing = true;
    this.k.notes.stages = true;
  }

  tap(...devices: number[]): void {
    for (const d of devices) tapDevice(this.k, d, this.names.dev(d));
  }

  /** Milliseconds from now. */
  run(ms: number): void {
    this.walk.run(this.k.clock.now + ms * 1e6);
  }

  /** Every test ends here. */
  end(t: ExecutionContext): void {
    this.run(60_000);
    t.is(this.k.skb.live, 0, "frames leaked");
  }
}

export interface Cluster extends Lab {
  nodes: [Node, Node];
  client: Pod;
  /** web-0 on n0 beside the client, web-1 and web-2 on n1. */
  web: [Pod, Pod, Pod];
  service0: number;
}

/** n0 with client and web-0, n1 with web-1 and web-2, and UDP Service default/web at 10.0.0.10:80. */
export function cluster(options: ProxyOptions = {}): Cluster {
  const lab = new Lab();
  const nodes: [Node, Node] = [lab.node("n0", "10.224.0.4", options), lab.node("n1", "10.224.0.5", options)];
  const client = lab.pod(nodes[0], "client", "10.224.0.20");
  const web: [Pod, Pod, Pod] = [
    lab.pod(nodes[0], "web-0", "10.224.0.30"),
    lab.pod(nodes[1], "web-1", "10.224.0.31"),
    lab.pod(nodes[1], "web-2", "10.224.0.32"),
  ];
  for (const pod of web) lab.echo(pod);
  const service0 = lab.service("default/web", "10.0.0.10", 80, web);
  return Object.assign(lab, { nodes, client, web, service0 });
}

export const hex = (n: number): string => n.toString(16).padStart(2, "0");

/** A file beside the sources of these tests. */
export function golden(name: string): string {
  const here = dirname(fileURLToPath(import.meta.url));
  return readFileSync(join(here.replace(/([/\\])dist([/\\])/, "$1"), name), "utf8");
}
