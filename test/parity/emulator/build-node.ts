// Builds a case's node in vnetem, device for device as kernel/build-node.ts builds it in namespaces: the NIC
// is a veth whose far end stands in a namespace of its own, so that the harness plays the fabric in both
// arms. Changes are in change.ts.

import { RouteType } from "../../../src/ip/fib.ts";
import { Nud } from "../../../src/ip/neigh-table.ts";
import { EbtChain, type EbtRule, EbtTarget } from "../../../src/link/ebtables.ts";
import { ANY_LOCAL, addressRanges, FrontendKind } from "../../../src/netfilter/frontends.ts";
import { cursorOf, ServiceTable } from "../../../src/netfilter/service-table.ts";
import { Scope } from "../../../src/node/in-ifaddr.ts";
import { Kernel } from "../../../src/node/kernel.ts";
import { PortFlag } from "../../../src/node/net-device.ts";
import { DEV_SYSCTLS, type DevSysctl, NS_SYSCTLS, type NsSysctl } from "../../../src/node/sysctl.ts";
import { udpOpen } from "../../../src/socket/open.ts";
import { SocketKind } from "../../../src/socket/sockets.ts";
import { tcpListen } from "../../../src/socket/tcp/calls.ts";
import { Walk } from "../../../src/walk/walk.ts";
import { ETHERTYPE_ARP } from "../../../src/wire/ethernet.ts";
import { PROTO_TCP, PROTO_UDP } from "../../../src/wire/ipv4.ts";
import {
  BASE_DEVICE_SYSCTLS,
  BASE_SYSCTLS,
  type DeviceSysctls,
  FABRIC_MAC,
  hostDevice,
  type NeighbourSpec,
  type NodeSpec,
  type NodeSysctls,
  nicDevice,
  type PodSpec,
  type PortSpec,
  podGateway,
  type RouteSpec,
  type ServiceSpec,
  type SocketSpec,
  TRANSPARENT_GATEWAY,
} from "../case.ts";
import { NotModelled } from "./not-modelled.ts";
import { address, cidr, mac } from "./parse.ts";

const FRAMES = 4096;
const LISTEN_BACKLOG = 128;
const PORT_FLAGS: { [key in keyof PortSpec]-?: keyof typeof PortFlag } = {
  hairpin: "HAIRPIN",
  isolated: "ISOLATED",
  learning: "LEARNING",
  flood: "FLOOD",
  mcast_flood: "MCAST_FLOOD",
  bcast_flood: "BCAST_FLOOD",
};

/** In hundredths of a second in /proc, in ms in vnetem. */
const HUNDREDTHS = ["proxy_delay", "locktime"];
/** What vnetem never does, so that 0 is the only value it knows. */
const REFUSED = ["accept_source_route", "proxy_arp_pvlan"];

export class EmulatedNode {
  readonly spec: NodeSpec;
  readonly walk: Walk;
  readonly k: Kernel;
  readonly node: number;
  /** Far end of the NIC. */
  readonly wire: number;
  readonly pods = new Map<string, { spec: PodSpec; ns: number; eth0: number }>();
  readonly table = new ServiceTable();
  readonly talkers = new Map<string, number>();
  /** By service: "ip:port" and row of each endpoint, in order. */
  private readonly endpoints = new Map<string, [key: string, row: number][]>();
  bridge = -1;
  nic = -1;

  /** @param luck which random numbers to draw */
  constructor(spec: NodeSpec, luck = 1) {
    this.spec = structuredClone(spec);
    this.k = new Kernel({ seed: luck, frames: FRAMES, largeFrames: 16, frameBytes: 9200 });
    this.walk = new Walk(this.k);
    this.node = this.k.addNamespace("node", -1);
    this.sysctls(this.node, BASE_SYSCTLS);
    this.wire = this.addBridgeAndNic();
    for (const pod of this.spec.pods) this.addPod(pod);
    this.addRoutes();
    this.sysctls(this.node, this.spec.sysctls ?? {});
    for (const [name, values] of Object.entries(this.spec.deviceSysctls ?? {})) {
      this.deviceSysctls(name, values);
    }
    if (spec.attachment.startsWith("azure")) this.addEbtables();
    if (this.spec.proxy !== undefined) this.addProxy();
    for (const s of spec.sockets ?? []) this.openSocket(this.node, s);
  }

  device(name: string): number {
    const d = this.k.findDevice(this.node, name);
    if (d < 0) throw new Error(`no device ${name}`);
    return d;
  }

  /** Devices to capture on, by name. */
  devices(): [string, number][] {
    const found: [string, number][] = [];
    for (let d = this.k.ns.firstDev[this.node]; d >= 0; d = this.k.dev.nextInNs[d]) {
      if (d !== this.k.ns.loopback[this.node]) found.push([this.k.dev.name[d], d]);
    }
    return found;
  }

  private addBridgeAndNic(): number {
    const { nic, bridge, attachment } = this.spec;
    const { walk, k } = this;
    const isPort = attachment.startsWith("azure");
    if (bridge !== undefined) {
      this.bridge = walk.link.bridges.add(this.node, bridge.device);
      if (bridge.mac !== undefined) walk.link.setMac(this.bridge, mac(bridge.mac).hi, mac(bridge.mac).lo);
      if (bridge.ageing !== undefined) walk.link.fdb.ageing.set(this.bridge, bridge.ageing * 1e6);
      if (bridge.promiscuous === true) walk.link.bridges.promiscuous.add(this.bridge);
    }
    const wire = k.addNamespace("wire", -1);
    this.nic = walk.link.addVeth(this.node, nicDevice(this.spec), wire, "far");
    this.dress(this.nic, nic.mac, nic.mtu ?? 1500);
    k.dev.mtu[k.dev.peer[this.nic]] = nic.mtu ?? 1500;
    if (isPort) walk.link.bridges.addPort(this.bridge, this.nic, PortFlag.HAIRPIN);
    k.setUp(k.dev.peer[this.nic], true);
    k.setUp(this.nic, true);
    if (bridge !== undefined) {
      k.setUp(this.bridge, true);
      if (bridge.ip !== undefined) this.addAddress(this.bridge, bridge.ip, bridge.prefix ?? 24);
    }
    this.addAddress(isPort ? this.bridge : this.nic, nic.ip, nic.prefix);
    return k.dev.peer[this.nic];
  }

  private dress(d: number, text: string, mtu: number): void {
    const { hi, lo } = mac(text);
    this.k.dev.macHi[d] = hi;
    this.k.dev.macLo[d] = lo;
    this.k.dev.mtu[d] = mtu;
  }

  addAddress(d: number, ip: string, prefix: number): void {
    this.k.addAddress(d, address(ip), prefix, Scope.UNIVERSE);
  }

  addPod(pod: PodSpec): void {
    const { walk, k, spec } = this;
    const ns = k.addNamespace(`pod-${pod.name}`, this.node);
    const mtu = pod.mtu ?? spec.nic.mtu ?? 1500;
    const host = walk.link.addVeth(this.node, hostDevice(spec, pod), ns, "eth0");
    const eth0 = k.dev.peer[host];
    this.dress(host, pod.hostMac, mtu);
    this.dress(eth0, pod.mac, mtu);
    this.baseDevice(hostDevice(spec, pod));
    if (this.bridge >= 0) {
      walk.link.bridges.addPort(this.bridge, host);
      this.port(host, spec.attachment === "bridge" ? (pod.port ?? {}) : { hairpin: true, ...pod.port });
    }
    k.setUp(host, true);
    k.setUp(eth0, true);
    const ip = address(pod.ip);
    if (this.bridge < 0) {
      walk.ip.fib.add({
        ns: this.node,
        dst: ip,
        length: 32,
        type: RouteType.UNICAST,
        dev: host,
        protocol: 4,
      });
      k.setDevSysctl(host, "proxy_arp", 1);
    }
    if (spec.attachment === "azure-bridge") {
      walk.ip.neigh.set(this.bridge, ip, mac(pod.mac).hi, mac(pod.mac).lo, Nud.PERMANENT);
    }
    if (spec.attachment.startsWith("azure")) this.addPodEbtables(pod);
    this.pods.set(pod.name, { spec: pod, ns, eth0 });
    if ((pod.stack ?? "linux") === "linux") this.addPodStack(pod, ns, eth0);
    if (pod.sysctls !== undefined) this.sysctls(ns, pod.sysctls);
    for (const s of pod.sockets ?? []) this.openSocket(ns, s);
  }

  private addPodStack(pod: PodSpec, ns: number, eth0: number): void {
    const { walk, k } = this;
    const { fib, neigh } = walk.ip;
    const gateway = podGateway(this.spec, pod);
    const transparent = this.spec.attachment === "transparent";
    const row = k.addAddress(eth0, address(pod.ip), pod.prefix, Scope.UNIVERSE);
    if (transparent) {
      // noprefixroute: the connected route is taken away again (C24).
      fib.remove(ns, k.inet.addr[row], pod.prefix, eth0, 0);
      const to = address(gateway ?? TRANSPARENT_GATEWAY);
      fib.add({ ns, dst: to, length: 32, type: RouteType.UNICAST, dev: eth0 });
      neigh.set(eth0, to, mac(pod.hostMac).hi, mac(pod.hostMac).lo, Nud.REACHABLE);
    }
    if (gateway === undefined) return;
    fib.add({ ns, dst: 0, length: 0, type: RouteType.UNICAST, dev: eth0, gateway: address(gateway) });
  }

  port(host: number, port: PortSpec): void {
    for (const [key, on] of Object.entries(port)) {
      this.walk.link.bridges.setPortFlag(host, PORT_FLAGS[key as keyof PortSpec], on);
    }
  }

  private addRoutes(): void {
    const { nic, attachment } = this.spec;
    const uplink = attachment.startsWith("azure") ? this.bridge : this.nic;
    if (nic.gateway !== undefined) {
      const gateway = address(nic.gateway);
      this.walk.ip.fib.add({
        ns: this.node,
        dst: 0,
        length: 0,
        type: RouteType.UNICAST,
        dev: uplink,
        gateway,
      });
    }
    for (const r of this.spec.routes ?? []) this.addRoute(r);
    for (const n of this.spec.neighbours ?? []) this.setNeighbour(n);
  }

  addRoute(r: RouteSpec): void {
    const { fib } = this.walk.ip;
    const ns = this.node;
    const to = r.to === "default" ? { network: 0, prefix: 0 } : cidr(r.to);
    if (r.type !== "unicast") {
      const type = {
        blackhole: RouteType.BLACKHOLE,
        unreachable: RouteType.UNREACHABLE,
        prohibit: RouteType.PROHIBIT,
      };
      fib.add({ ns, dst: to.network, length: to.prefix, type: type[r.type], dev: -1 });
      return;
    }
    const gateway = r.via === undefined ? 0 : address(r.via);
    const dev = r.device !== undefined ? this.device(r.device) : fib.dev[fib.lookup(ns, gateway)];
    const prefsrc = r.src === undefined ? 0 : address(r.src);
    const metric = r.metric ?? 0;
    fib.add({
      ns,
      dst: to.network,
      length: to.prefix,
      type: RouteType.UNICAST,
      dev,
      gateway,
      prefsrc,
      metric,
    });
  }

  setNeighbour(n: NeighbourSpec): void {
    const state = { permanent: Nud.PERMANENT, reachable: Nud.REACHABLE, stale: Nud.STALE }[
      n.state ?? "permanent"
    ];
    this.walk.ip.neigh.set(this.device(n.device), address(n.ip), mac(n.mac).hi, mac(n.mac).lo, state);
  }

  sysctls(ns: number, values: NodeSysctls): void {
    for (const [key, value] of Object.entries(values)) {
      if (key === "net.ipv4.neigh.default.unres_qlen_bytes") {
        for (const [, d] of this.devices()) this.k.setDevSysctl(d, "unres_qlen_bytes", value);
        continue;
      }
      if (!NS_SYSCTLS.includes(key as NsSysctl)) throw new NotModelled(`sysctl ${key}`);
      this.k.setNsSysctl(ns, key as NsSysctl, value);
    }
  }

  /** @param name "all" stands for the namespace's half of the settings (IN_DEV_ORCONF and friends). */
  deviceSysctls(name: string, values: DeviceSysctls): void {
    const d = name === "all" ? -1 : this.device(name);
    for (const [key, value] of Object.entries(values)) {
      if (REFUSED.includes(key) && value === 0) continue;
      const shared = `net.ipv4.conf.all.${key}`;
      if (d < 0 && key === "forwarding") this.k.setNsSysctl(this.node, "net.ipv4.ip_forward", value);
      else if (d < 0 && NS_SYSCTLS.includes(shared as NsSysctl))
        this.k.setNsSysctl(this.node, shared as NsSysctl, value);
      else if (d < 0 || !DEV_SYSCTLS.includes(key as DevSysctl))
        throw new NotModelled(`sysctl ${key} of ${name}`);
      else this.k.setDevSysctl(d, key as DevSysctl, HUNDREDTHS.includes(key) ? value * 10 : value);
    }
  }

  private baseDevice(name: string): void {
    this.deviceSysctls(name, BASE_DEVICE_SYSCTLS);
  }

  private addEbtables(): void {
    const { ebtables } = this.walk.link;
    const tunnel = this.spec.attachment === "azure-tunnel";
    const own = mac(this.spec.nic.mac);
    const fabric = mac(FABRIC_MAC);
    const rule = (row: number, chain: number, target: number, m: { hi: number; lo: number }): EbtRule => ({
      row,
      chain,
      target,
      proto: -1,
      port: -1,
      portPrefix: "",
      arpOp: -1,
      address: 0,
      hasAddress: false,
      unicastSource: false,
      macHi: m.hi,
      macLo: m.lo,
    });
    const port = this.nic;
    const proto = ETHERTYPE_ARP;
    ebtables.append(this.bridge, {
      ...rule(1, EbtChain.POSTROUTING, EbtTarget.SNAT, own),
      port,
      unicastSource: true,
    });
    const mine = { proto, arpOp: 1, address: address(this.spec.nic.ip), hasAddress: true };
    ebtables.append(this.bridge, { ...rule(2, EbtChain.PREROUTING, EbtTarget.ARPREPLY, own), ...mine });
    const all = { hi: 0xffff, lo: -1 };
    ebtables.append(this.bridge, {
      ...rule(3, EbtChain.PREROUTING, EbtTarget.DNAT, all),
      proto,
      port,
      arpOp: 2,
    });
    if (!tunnel) return;
    ebtables.append(this.bridge, {
      ...rule(4, EbtChain.PREROUTING, EbtTarget.DNAT, fabric),
      portPrefix: "az",
    });
  }

  private addPodEbtables(pod: PodSpec): void {
    const own = mac(pod.mac);
    const answer = this.spec.attachment === "azure-tunnel" ? mac(FABRIC_MAC) : own;
    const { ebtables } = this.walk.link;
    ebtables.addPod(this.bridge, address(pod.ip), this.nic, own.hi, own.lo, answer.hi, answer.lo);
  }

  private addProxy(): void {
    const proxy = this.spec.proxy!;
    const prefix = (text: string): { network: number; prefix: number } => cidr(text);
    this.walk.nf.attachServices(this.node, this.table, {
      balance: proxy.mode,
      nodeIp: address(this.spec.nic.ip),
      inTurn: true,
      // As in the kernel arm, the change "conntrack-delete" stands for kube-proxy's cleanup.
      cleanup: false,
      masqueradeAll: proxy.masqueradeAll ?? false,
      randomFully: proxy.randomFully ?? false,
      dropInvalid: proxy.mode === "iptables" && (proxy.dropInvalid ?? true),
      forwardPolicy: proxy.forwardPolicy === "DROP" ? "drop" : "accept",
      ...(proxy.clusterCidr === undefined ? {} : { clusterCidr: prefix(proxy.clusterCidr) }),
      ...(proxy.serviceCidr === undefined ? {} : { serviceCidr: prefix(proxy.serviceCidr) }),
    });
    if (proxy.nonMasqueradeCidrs !== undefined) {
      // C41: link-local stays as it is, as long as masqLinkLocal is not set.
      const nonMasqueradeCidrs = ["169.254.0.0/16", ...proxy.nonMasqueradeCidrs].map(prefix);
      this.walk.nf.addMasqueradeRule(this.node, {
        nonMasqueradeCidrs,
        randomFully: proxy.randomFully ?? false,
      });
    }
    for (const s of proxy.services) this.addService(s);
  }

  addService(s: ServiceSpec): void {
    const proto = s.proto === "tcp" ? PROTO_TCP : PROTO_UDP;
    const local = s.internalTrafficPolicy === "Local";
    const affinity = (s.affinitySeconds ?? 0) * 1e9;
    const { table } = this;
    const p = table.addServicePort(s.name, address(s.vip), proto, s.port, local, { affinity });
    const external = s.externalTrafficPolicy === "Local";
    if (s.nodePort !== undefined)
      table.addFrontend(p, FrontendKind.NODE_PORT, ANY_LOCAL, s.nodePort, external);
    const { EXTERNAL_IP, LOAD_BALANCER } = FrontendKind;
    for (const ip of s.externalIPs ?? []) table.addFrontend(p, EXTERNAL_IP, address(ip), s.port, external);
    if (s.loadBalancer !== undefined) {
      const ranges = s.loadBalancer.sourceRanges;
      const allowed = ranges === undefined ? null : addressRanges(ranges.map(cidr));
      table.addFrontend(p, LOAD_BALANCER, address(s.loadBalancer.ip), s.port, external, allowed);
    }
    this.setEndpoints(s);
  }

  /** Makes the table's endpoints those of the spec, in its order, and puts the cursor where the spec says. */
  setEndpoints(s: ServiceSpec): void {
    const { table } = this;
    const proto = s.proto === "tcp" ? PROTO_TCP : PROTO_UDP;
    const p = table.find(address(s.vip), proto, s.port, table.revision);
    // Endpoints stand in the order they were added: from the first that is out of place on they leave, and
    // come back.
    const kept: [key: string, row: number][] = [];
    const before = [this.usable(p, false), this.usable(p, true)];
    for (const [key, row] of this.endpoints.get(s.name) ?? []) {
      const wanted = s.endpoints[kept.length];
      if (wanted !== undefined && key === `${wanted.ip}:${wanted.port}`) kept.push([key, row]);
      else table.removeEndpoint(row);
    }
    for (const e of s.endpoints.slice(kept.length)) {
      const here = [...this.pods.values()].some((pod) => pod.spec.ip === e.ip);
      const row = table.addEndpoint(p, address(e.ip), e.port, here ? this.node : -1);
      kept.push([`${e.ip}:${e.port}`, row]);
    }
    this.endpoints.set(s.name, kept);
    for (const own of [false, true]) this.turn(p, s, own, before[own ? 1 : 0]);
  }

  // Rules that did not change keep their counters.
  private turn(p: number, s: ServiceSpec, own: boolean, before: string[]): void {
    const { table } = this;
    const usable = this.usable(p, own);
    if (usable.length === 0) return;
    if (s.cursor === undefined && before.join() === usable.join()) return;
    const first = table.lists.rows[(s.cursor ?? 0) % usable.length];
    const { cursors } = table;
    cursors.last[cursors.ensure(this.node, cursorOf(p, own))] = table.epSeq[first] - 1;
  }

  /** Endpoints of the Cluster list or of the node's own, in their order. */
  private usable(p: number, own: boolean): string[] {
    const { table } = this;
    table.choose(p, this.node, table.revision, own);
    const rows = table.lists.rows.slice(0, table.lists.count);
    return [...rows].map((row) => `${table.epIp[row]}:${table.epTarget[row]}`);
  }

  private openSocket(ns: number, s: SocketSpec): void {
    if (s.kind === "tcp-listen") {
      tcpListen(this.walk.sock.tcp, ns, LISTEN_BACKLOG, { kind: SocketKind.SINK, port: s.port });
      return;
    }
    const kind = s.kind === "udp-echo" ? SocketKind.ECHO : SocketKind.SCRIPT;
    udpOpen(this.walk.sock, ns, { kind, port: s.port });
  }
}
