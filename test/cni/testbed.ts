// Two nodes in one subnet of a VNet, wired in one mode, with pods: the whole walk, so that what a mode built
// is judged by what frames do.

import { Cni, type CniOptions } from "../../src/cni/cni.ts";
import { AzureVnetIpam } from "../../src/cni/ipam/azure-vnet-ipam.ts";
import { Cns } from "../../src/cni/ipam/cns.ts";
import { announceKubenet, announceOverlay, reservePodAddresses } from "../../src/cni/modes/fabric.ts";
import type { ModeName, NodeIpam, NodeSpec } from "../../src/cni/node.ts";
import { RouteProtocol, RouteType } from "../../src/ip/fib.ts";
import { Direction } from "../../src/node/capture.ts";
import { Scope } from "../../src/node/in-ifaddr.ts";
import { Kernel } from "../../src/node/kernel.ts";
import { DevKind } from "../../src/node/net-device.ts";
import { pingOpen, udpOpen } from "../../src/socket/open.ts";
import { pingSend } from "../../src/socket/ping.ts";
import { socketRead } from "../../src/socket/socket-error.ts";
import { SocketKind } from "../../src/socket/sockets.ts";
import { udpSend } from "../../src/socket/udp-send.ts";
import { addDomain } from "../../src/vnet/overlay.ts";
import { Walk } from "../../src/walk/walk.ts";
import { formatIpv4, formatMac, parseIpv4 } from "../../src/wire/address.ts";

export const ip = (text: string): number => parseIpv4(text) as number;

export const SECOND = 1_000_000_000;

export interface Pod {
  row: number;
  ns: number;
  address: number;
}

export interface Seen {
  dev: string;
  direction: "in" | "out";
  dst: string;
  src: string;
  /** "arp request", "arp reply", "icmp", "udp" or the ethertype. */
  kind: string;
  ttl: number;
  /** IPv4 source and destination, or ARP sender and target. */
  from: string;
  to: string;
  /** ARP hardware addresses. */
  sha: string;
  tha: string;
}

export interface BedOptions extends CniOptions {
  spec?: Partial<NodeSpec>;
  maxPods?: number;
  nodes?: number;
  /** Without this row of MACs the first NIC has 00:0d:3a. */
  skipMacs?: number;
}

/** Nodes .4 and .5 of 10.224.0.0/16. Overlay and kubenet pods are in 10.244.<node>.0/24. */
export class Bed {
  readonly walk: Walk;
  readonly k: Kernel;
  readonly cni: Cni;
  readonly mode: ModeName;
  readonly hosts: number[] = [];
  readonly uplinks: number[] = [];
  private count = 0;

  constructor(mode: ModeName, options: BedOptions = {}) {
    this.mode = mode;
    this.k = new Kernel({ seed: 7, frames: 512, largeFrames: 4, frameBytes: 1600 });
    this.walk = new Walk(this.k);
    this.cni = new Cni(this.walk, options);
    const { vnet } = this.walk;
    const v = vnet.addVnet("prod");
    vnet.addAddressSpace(v, ip("10.224.0.0"), 12);
    const subnet = vnet.addSubnet(v, "nodes", ip("10.224.0.0"), 16);
    vnet.macs = options.skipMacs ?? 0;
    const table = vnet.addRouteTable("kubenet");
    if (mode === "kubenet") vnet.associate(subnet, table);
    const domain = addDomain(vnet);
    for (let n = 0; n < (options.nodes ?? 2); n++) this.addVm(n, subnet);
    for (let n = 0; n < (options.nodes ?? 2); n++) this.addNode(n, table, domain, options);
  }

  private addVm(n: number, subnet: number): void {
    const { k, walk } = this;
    const { vnet } = walk;
    const ns = k.addNamespace(`node${n}`, -1);
    const uplink = k.addDevice(ns, DevKind.NIC, "eth0");
    const nic = vnet.addNic(subnet, 0, uplink);
    k.setUp(uplink, true);
    const own = vnet.primaryAddress(nic);
    k.addAddress(uplink, own, 16, Scope.UNIVERSE);
    const way = { ns, dst: 0, length: 0, type: RouteType.UNICAST, dev: uplink, gateway: ip("10.224.0.1") };
    walk.ip.fib.add({ ...way, prefsrc: own, metric: 100, protocol: RouteProtocol.DHCP });
    this.hosts.push(ns);
    this.uplinks.push(uplink);
  }

  private addNode(n: number, table: number, domain: number, options: BedOptions): void {
    const { k, walk, mode } = this;
    const { vnet } = walk;
    const ns = this.hosts[n];
    const uplink = this.uplinks[n];
    const nic = k.dev.nic[uplink];
    const range = ip(`10.244.${n}.0`);
    const ipam: Partial<NodeIpam> = {};
    if (mode === "azure-overlay") {
      announceOverlay(vnet, nic, domain, range, 24);
      ipam.cns = new Cns();
      ipam.cns.addBlock(range, 24, 16);
    } else if (mode === "kubenet") {
      announceKubenet(vnet, nic, table, range, 24);
      const one = { subnet: range, prefix: 24, first: range + 1, last: range + 254, gateway: range + 1 };
      ipam.hostLocal = [[one]];
    } else {
      reservePodAddresses(vnet, nic, options.maxPods ?? 8);
      ipam.azureVnet = new AzureVnetIpam(ip("10.224.0.0"), 16);
    }
    this.cni.addNode({ name: `node${n}`, ns, uplink, mode, ipam, ...options.spec });
  }

  pod(n: number, name = `p${this.count}`): Pod {
    const found = this.tryPod(n, name);
    if (found === undefined) throw new Error("no address");
    return found;
  }

  tryPod(n: number, name: string): Pod | undefined {
    this.count++;
    const ns = this.k.addNamespace(name, this.hosts[n]);
    const row = this.cni.attach(n, ns, `default.${name}`);
    if (row < 0) {
      this.k.removeNamespace(ns);
      return undefined;
    }
    return { row, ns, address: this.cni.pods.address[row] };
  }

  remove(pod: Pod): void {
    this.cni.detach(pod.row);
    this.k.removeNamespace(pod.ns);
  }

  dev(ns: number, name: string): number {
    return this.k.findDevice(ns, name);
  }

  mac(d: number): string {
    return formatMac(this.k.dev.macHi[d], this.k.dev.macLo[d]);
  }

  /** Taps every device of these namespaces; the list of what passes fills as frames move. */
  tap(...namespaces: number[]): void {
    const { k } = this;
    for (const ns of namespaces) {
      for (let d = k.ns.firstDev[ns]; d >= 0; d = k.dev.nextInNs[d]) {
        if (k.dev.tap[d] < 0) k.dev.tap[d] = k.capture.addInterface(d, `${k.ns.name[ns]}/${k.dev.name[d]}`);
      }
    }
  }

  run(seconds = 2): void {
    this.walk.run(this.k.clock.now + seconds * SECOND);
  }

  /** One echo request; the TTL of the reply, or -1 when none came within two seconds. */
  ping(from: number, to: number): number {
    const { sock } = this.walk;
    const s = pingOpen(sock, from, { kind: SocketKind.SCRIPT });
    pingSend(sock, s, to, { seq: 1 });
    this.run();
    const row = socketRead(sock, s);
    return row < 0 || sock.queue[s]?.kind[row] !== 1 ? -1 : sock.queue[s].ttl[row];
  }

  /** One datagram; the address and TTL the receiver saw. */
  udp(from: number, to: number, receiver: number, address = to): { from: string; ttl: number } | undefined {
    const { sock } = this.walk;
    const port = 5000 + this.count++;
    const server = udpOpen(sock, receiver, { kind: SocketKind.SCRIPT, port });
    const client = udpOpen(sock, from, { kind: SocketKind.SCRIPT });
    udpSend(sock, client, address, port, new Uint8Array(5));
    this.run();
    const row = socketRead(sock, server);
    const queue = sock.queue[server];
    if (row < 0 || queue === null) return undefined;
    return { from: formatIpv4(queue.from[row]), ttl: queue.ttl[row] };
  }

  /** A datagram nobody waits for. */
  send(from: number, to: number, port: number): void {
    const { sock } = this.walk;
    udpSend(sock, udpOpen(sock, from, { kind: SocketKind.SCRIPT }), to, port, new Uint8Array(5));
    this.run();
  }

  /** What taps saw since the last call. */
  seen(): Seen[] {
    const { capture } = this.k;
    const out: Seen[] = [];
    for (let i = 0; i < capture.count; i++) out.push(this.describe(i));
    capture.count = 0;
    capture.used = 0;
    return out;
  }

  private describe(i: number): Seen {
    const { capture } = this.k;
    const b = capture.bytes.slice(capture.start[i], capture.start[i] + capture.len[i]);
    const v = new DataView(b.buffer);
    const macAt = (o: number): string => formatMac(v.getUint16(o), v.getInt32(o + 2));
    const type = v.getUint16(12);
    const seen: Seen = {
      dev: capture.names[capture.iface[i]],
      direction: capture.direction[i] === Direction.IN ? "in" : "out",
      dst: macAt(0),
      src: macAt(6),
      kind: type.toString(16),
      ttl: 0,
      from: "",
      to: "",
      sha: "",
      tha: "",
    };
    if (type === 0x806) {
      seen.kind = v.getUint16(20) === 1 ? "arp request" : "arp reply";
      seen.sha = macAt(22);
      seen.from = formatIpv4(v.getInt32(28));
      seen.tha = macAt(32);
      seen.to = formatIpv4(v.getInt32(38));
    } else if (type === 0x800) {
      seen.kind = v.getUint8(23) === 1 ? "icmp" : "udp";
      seen.ttl = v.getUint8(22);
      seen.from = formatIpv4(v.getInt32(26));
      seen.to = formatIpv4(v.getInt32(30));
    }
    return seen;
  }
}
