// Builds a case's node out of namespaces, veth pairs, a bridge and the real tools' rules, and changes it
// while the case runs. Few processes: one `ip -batch` per namespace, one restore per rule set; the rest
// goes through /proc/sys.

import { spawnSync } from "node:child_process";
import {
  BASE_DEVICE_SYSCTLS,
  BASE_SYSCTLS,
  type Change,
  type DeviceSysctl,
  type DeviceSysctls,
  hostDevice,
  type NeighbourSpec,
  type NodeSpec,
  nicDevice,
  type PodSpec,
  type PortSpec,
  type ProxySpec,
  podGateway,
  type RouteSpec,
  type ServiceSpec,
  TRANSPARENT_GATEWAY,
} from "../case.ts";
import { deviceIndex } from "./libc.ts";
import { linksUp, Namespace, notRunning, offloadsOff } from "./namespaces.ts";
import { TransmitSocket } from "./packet-socket.ts";
import { ServedSocket } from "./pod-sockets.ts";
import { ebtablesRules } from "./rules-ebtables.ts";
import { emptyIptablesRules, flushedIptablesRules, iptablesRules, iptablesUpdate } from "./rules-iptables.ts";
import { emptyNftablesRules, flushedNftablesRules, nftablesRules, nftablesUpdate } from "./rules-nftables.ts";
import { SYSTEM_ENV } from "./system-path.ts";

interface BuiltPod {
  spec: PodSpec;
  namespace: Namespace;
  transmit: TransmitSocket;
  sockets: ServedSocket[];
}

/** Far ends of all NICs live here, each under its own name; nothing in it has an address. */
let wire: Namespace | null = null;
let wires = 0;

/** Properties of sysctl "devices" that live with the neighbour tables. */
const NEIGH_KEYS: DeviceSysctl[] = [
  "proxy_delay",
  "locktime",
  "delay_first_probe_time",
  "base_reachable_time_ms",
  "retrans_time_ms",
];

/** What the kernel says by itself at random moments and no case is about: IPv6 neighbour and router
 * discovery, and the IGMP report a snooping bridge sends for its own membership in 224.0.0.106. */
const QUIET = [
  ["net.ipv6.conf.all.disable_ipv6", 1],
  ["net.ipv6.conf.default.disable_ipv6", 1],
  ["net.ipv4.igmp_link_local_mcast_reports", 0],
] as const;

export class BuiltNode {
  readonly spec: NodeSpec;
  readonly node: Namespace;
  readonly pods = new Map<string, BuiltPod>();
  readonly sockets: ServedSocket[] = [];
  nicWire!: TransmitSocket;
  readonly #talkers = new Map<string, ServedSocket>();
  #iptables = emptyIptablesRules();
  #nftables = emptyNftablesRules();

  constructor(spec: NodeSpec, label: string) {
    this.spec = structuredClone(spec);
    this.node = new Namespace(`${label}-node`);
    this.node.sysctl([...QUIET, ...baseSysctls()]);
    this.#addBridgeAndNic();
    this.#addPods(this.spec.pods);
    this.#addRoutes();
    this.#applySysctls();
    if (spec.attachment.startsWith("azure")) this.node.tool("ebtables-restore", [], ebtablesRules(this.spec));
    if (this.spec.proxy !== undefined) this.#syncProxy(this.spec.proxy);
    for (const s of spec.sockets ?? []) this.sockets.push(new ServedSocket(this.node, s));
  }

  get bridged(): boolean {
    return this.spec.attachment !== "transparent";
  }

  /** Devices that should be running but are not yet. */
  late(): string[] {
    const devices = this.spec.pods.map((p) => hostDevice(this.spec, p));
    if (this.spec.bridge !== undefined) devices.push(this.spec.bridge.device);
    const pods = [...this.pods.values()].flatMap((p) => notRunning(p.namespace, ["eth0"]));
    return [...pods, ...notRunning(this.node, [...devices, nicDevice(this.spec)])];
  }

  /** Device names by index, as the capture socket reports them. */
  deviceNames(): Map<number, string> {
    const devices = [...this.spec.pods.map((p) => hostDevice(this.spec, p)), nicDevice(this.spec)];
    if (this.spec.bridge !== undefined) devices.push(this.spec.bridge.device);
    return this.node.inside(() => new Map(devices.map((d) => [deviceIndex(d), d])));
  }

  #addBridgeAndNic(): void {
    const { nic, bridge, attachment } = this.spec;
    wire ??= newWire();
    const far = `f${++wires}`;
    const device = nicDevice(this.spec);
    const mtu = nic.mtu ?? 1500;
    const lines = ["link set lo up"];
    if (bridge !== undefined) {
      const mac = bridge.mac === undefined ? "" : `address ${bridge.mac} `;
      const ageing = Math.round((bridge.ageing ?? 300_000) / 10);
      const snooping = bridge.multicastSnooping === false ? 0 : 1;
      lines.push(
        `link add name ${bridge.device} ${mac}type bridge ageing_time ${ageing} mcast_snooping ${snooping}`,
      );
      if (bridge.promiscuous === true) lines.push(`link set ${bridge.device} promisc on`);
    }
    const peer = `peer name ${far} mtu ${mtu} netns ${wire.path}`;
    lines.push(`link add name ${device} address ${nic.mac} mtu ${mtu} type veth ${peer}`);
    const nicIsPort = attachment.startsWith("azure");
    if (nicIsPort) {
      lines.push(`link set ${device} master ${bridge!.device}`);
      lines.push(`link set ${device} type bridge_slave hairpin on`);
    }
    lines.push(`link set ${device} up`);
    if (bridge !== undefined) {
      lines.push(`link set ${bridge.device} up`);
      if (bridge.ip !== undefined) lines.push(addressLine(bridge.device, bridge.ip, bridge.prefix ?? 24));
    }
    lines.push(addressLine(nicIsPort ? bridge!.device : device, nic.ip, nic.prefix));
    this.node.ip(lines);
    wire.ip([`link set ${far} arp off up`]);
    offloadsOff(this.node, bridge === undefined ? [device] : [device, bridge.device]);
    offloadsOff(wire, [far]);
    this.nicWire = new TransmitSocket(
      wire.fd,
      wire.inside(() => deviceIndex(far)),
    );
  }

  /** One ip process for the node's ends of all of them: processes are what building costs. */
  #addPods(pods: PodSpec[]): void {
    const namespaces = pods.map((pod) => new Namespace(`pod-${pod.name}`));
    for (const n of namespaces) n.sysctl(QUIET);
    this.node.ip(pods.flatMap((pod, i) => this.#hostLines(pod, namespaces[i]!)));
    offloadsOff(
      this.node,
      pods.map((pod) => hostDevice(this.spec, pod)),
    );
    pods.forEach((pod, i) => {
      this.#furnishPod(pod, namespaces[i]!);
    });
  }

  #hostLines(pod: PodSpec, namespace: Namespace): string[] {
    const device = hostDevice(this.spec, pod);
    const mtu = pod.mtu ?? this.spec.nic.mtu ?? 1500;
    const peer = `peer name eth0 address ${pod.mac} mtu ${mtu} netns ${namespace.path}`;
    const lines = [`link add name ${device} address ${pod.hostMac} mtu ${mtu} type veth ${peer}`];
    if (this.bridged) lines.push(`link set ${device} master ${this.spec.bridge!.device}`);
    lines.push(`link set ${device} up`);
    if (this.bridged) lines.push(...this.#portLines(pod, this.#portDefaults(pod.port)));
    if (!this.bridged) lines.push(`route add ${pod.ip}/32 dev ${device} proto static`);
    if (this.spec.attachment === "azure-bridge")
      lines.push(`neigh replace ${pod.ip} lladdr ${pod.mac} dev ${this.spec.bridge!.device} nud permanent`);
    return lines;
  }

  #furnishPod(pod: PodSpec, namespace: Namespace): void {
    linksUp(namespace, ["lo", "eth0"]);
    namespace.ip(podLines(this.spec, pod));
    if (!this.bridged) this.#deviceSysctls(hostDevice(this.spec, pod), { proxy_arp: 1 });
    offloadsOff(namespace, ["eth0"]);
    if (pod.sysctls !== undefined) namespace.sysctl(Object.entries(pod.sysctls));
    const transmit = new TransmitSocket(
      namespace.fd,
      namespace.inside(() => deviceIndex("eth0")),
    );
    const sockets = (pod.sockets ?? []).map((s) => new ServedSocket(namespace, s));
    this.sockets.push(...sockets);
    this.pods.set(pod.name, { spec: pod, namespace, transmit, sockets });
  }

  #portDefaults(port: PortSpec | undefined): PortSpec {
    return this.spec.attachment === "bridge" ? (port ?? {}) : { hairpin: true, ...port };
  }

  #portLines(pod: PodSpec, port: PortSpec): string[] {
    return Object.entries(port).map(
      ([key, on]) => `link set ${hostDevice(this.spec, pod)} type bridge_slave ${key} ${on ? "on" : "off"}`,
    );
  }

  #addRoutes(): void {
    const { nic, attachment } = this.spec;
    const uplink = attachment.startsWith("azure") ? this.spec.bridge!.device : nicDevice(this.spec);
    const lines: string[] = [];
    if (nic.gateway !== undefined) lines.push(`route add default via ${nic.gateway} dev ${uplink}`);
    for (const r of this.spec.routes ?? []) lines.push(`route add ${routeText(r)}`);
    for (const n of this.spec.neighbours ?? []) lines.push(neighbourLine(n));
    this.node.ip(lines);
  }

  #applySysctls(): void {
    this.node.sysctl(Object.entries(this.spec.sysctls ?? {}));
    for (const [device, values] of Object.entries(this.spec.deviceSysctls ?? {}))
      this.#deviceSysctls(device, values);
  }

  #deviceSysctls(device: string, values: DeviceSysctls): void {
    this.node.sysctl(
      Object.entries(values).map(([k, v]) => [deviceSysctlPath(device, k as DeviceSysctl), v]),
    );
  }

  #syncProxy(proxy: ProxySpec | null): void {
    if ((proxy ?? this.spec.proxy)?.mode === "nftables") {
      const next = proxy === null ? flushedNftablesRules(this.#nftables) : nftablesRules(this.spec, proxy);
      this.node.tool("nft", ["-f", "-"], nftablesUpdate(this.#nftables, next));
      this.#nftables = next;
    } else {
      const next = proxy === null ? flushedIptablesRules() : iptablesRules(this.spec, proxy);
      this.node.tool("iptables-restore", ["--noflush"], iptablesUpdate(this.#iptables, next));
      this.#iptables = next;
    }
  }

  /** A socket the case sends datagrams from; it stays open until the end, so answers find it. */
  talk(where: string, from: number, to: string, port: number, text: string): void {
    const key = `${where} ${from}`;
    let talker = this.#talkers.get(key);
    if (talker === undefined) {
      const namespace = where === "node" ? this.node : this.pods.get(where.slice(4))!.namespace;
      talker = new ServedSocket(namespace, { kind: "udp-sink", port: from });
      this.#talkers.set(key, talker);
      this.sockets.push(talker);
    }
    talker.sendTo(to, port, Buffer.from(text));
  }

  change(c: Change): void {
    switch (c.kind) {
      case "endpoints":
      case "add-service":
      case "remove-service":
        return this.#changeServices(c);
      case "remove-rules":
        return this.#syncProxy(null);
      case "link":
        return this.node.ip([`link set ${c.device} ${c.up ? "up" : "down"}`]);
      case "mtu":
        return this.node.ip([`link set ${c.device} mtu ${c.mtu}`]);
      case "mac":
        return this.node.ip([`link set ${c.device} address ${c.mac}`]);
      case "add-pod":
        this.spec.pods.push(c.pod);
        this.#addPods([c.pod]);
        return this.#syncPods();
      case "remove-pod":
        return this.#removePod(c.pod);
      case "port":
        return this.node.ip(this.#portLines(this.pods.get(c.pod)!.spec, c.port));
      case "sysctl":
        return this.node.sysctl([[c.key, c.value]]);
      case "device-sysctl":
        return this.#deviceSysctls(c.device, { [c.key]: c.value });
      case "add-address":
        return this.node.ip([`addr add ${c.address} dev ${c.device}`]);
      case "remove-address":
        return this.node.ip([`addr del ${c.address} dev ${c.device}`]);
      case "add-route":
        return this.node.ip([`route add ${routeText(c.route)}`]);
      case "remove-route":
        return this.node.ip([`route del ${routeText(c.route)}`]);
      case "set-neighbour":
        return this.node.ip([neighbourLine(c.neighbour)]);
      case "remove-neighbour":
        return this.node.ip([`neigh del ${c.ip} dev ${c.device}`]);
      case "conntrack-flush":
        return void this.node.tool("conntrack", ["-F"]);
      case "conntrack-delete": {
        const original = ["--orig-dst", c.originalDst, "--orig-port-dst", String(c.originalPort)];
        const args = ["-D", "-p", c.proto, ...original, "--reply-src", c.replySrc];
        // Fails when there was nothing to delete, which is no mistake.
        return this.node.inside(() => void spawnSync("conntrack", args, { env: SYSTEM_ENV }));
      }
    }
  }

  #changeServices(c: Extract<Change, { kind: "endpoints" | "add-service" | "remove-service" }>): void {
    const proxy = this.spec.proxy;
    if (proxy === undefined) throw new Error(`${c.kind} on a node without a proxy`);
    if (c.kind === "add-service") proxy.services.push(structuredClone(c.service));
    else if (c.kind === "remove-service") proxy.services = proxy.services.filter((s) => s.name !== c.service);
    else {
      const s = proxy.services.find((one) => one.name === c.service) as ServiceSpec;
      s.endpoints = c.endpoints;
      if (c.cursor === undefined) delete s.cursor;
      else s.cursor = c.cursor;
    }
    this.#syncProxy(proxy);
  }

  #removePod(name: string): void {
    const pod = this.pods.get(name)!;
    const lines = [`link del ${hostDevice(this.spec, pod.spec)}`];
    if (this.spec.attachment === "azure-bridge")
      lines.push(`neigh del ${pod.spec.ip} dev ${this.spec.bridge!.device}`);
    this.node.ip(lines);
    this.spec.pods = this.spec.pods.filter((p) => p.name !== name);
    this.pods.delete(name);
    this.#closePod(pod);
    for (const s of pod.sockets) this.sockets.splice(this.sockets.indexOf(s), 1);
    this.#syncPods();
  }

  /** The azure modes' rules name every pod. */
  #syncPods(): void {
    if (this.spec.attachment.startsWith("azure"))
      this.node.tool("ebtables-restore", [], ebtablesRules(this.spec));
  }

  #closePod(pod: BuiltPod): void {
    for (const s of pod.sockets) s.close();
    pod.transmit.close();
    pod.namespace.close();
  }

  close(): void {
    for (const pod of this.pods.values()) this.#closePod(pod);
    for (const t of this.#talkers.values()) t.close();
    this.nicWire.close();
    this.node.close();
  }
}

function newWire(): Namespace {
  const n = new Namespace("wire");
  n.sysctl(QUIET);
  return n;
}

function* baseSysctls(): Iterable<readonly [string, number]> {
  yield* Object.entries(BASE_SYSCTLS);
  for (const [key, value] of Object.entries(BASE_DEVICE_SYSCTLS)) {
    yield [`net.ipv4.conf.all.${key}`, value];
    yield [`net.ipv4.conf.default.${key}`, value];
  }
}

function deviceSysctlPath(device: string, key: DeviceSysctl): string {
  return `net.ipv4.${NEIGH_KEYS.includes(key) ? "neigh" : "conf"}.${device}.${key}`;
}

function addressLine(device: string, ip: string, prefix: number): string {
  return `addr add ${ip}/${prefix} dev ${device}`;
}

function podLines(node: NodeSpec, pod: PodSpec): string[] {
  const lines: string[] = [];
  if ((pod.stack ?? "linux") !== "linux") return lines;
  const gateway = podGateway(node, pod);
  if (node.attachment === "transparent") {
    // C24-C26: no connected route, the gateway on link, its neighbour entry known.
    lines.push(`addr add ${pod.ip}/${pod.prefix} dev eth0 noprefixroute`);
    lines.push(`route add ${gateway ?? TRANSPARENT_GATEWAY}/32 dev eth0 scope link`);
    lines.push(`neigh add ${gateway ?? TRANSPARENT_GATEWAY} lladdr ${pod.hostMac} dev eth0 nud reachable`);
  } else {
    lines.push(`addr add ${pod.ip}/${pod.prefix} dev eth0`);
  }
  if (gateway !== undefined) lines.push(`route add default via ${gateway} dev eth0`);
  return lines;
}

function routeText(r: RouteSpec): string {
  if (r.type !== "unicast") return `${r.type} ${r.to}`;
  const words = [r.to];
  if (r.via !== undefined) words.push("via", r.via);
  if (r.device !== undefined) words.push("dev", r.device);
  if (r.src !== undefined) words.push("src", r.src);
  if (r.metric !== undefined) words.push("metric", String(r.metric));
  if (r.onlink === true) words.push("onlink");
  return words.join(" ");
}

function neighbourLine(n: NeighbourSpec): string {
  return `neigh replace ${n.ip} lladdr ${n.mac} dev ${n.device} nud ${n.state ?? "permanent"}`;
}
