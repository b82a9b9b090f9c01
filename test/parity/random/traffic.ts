// Random frames for a random node: conversations that make sense (handshakes, answers, retransmissions,
// closes) mixed with everything that does not (spoofed, mutated, truncated, out of window, wrong MAC). Each
// conversation has a source port or id of its own, so that no random NAT port is ever drawn.

import type { Hex, Port, Send, ServiceSpec, Step } from "../case.ts";
import type { Host } from "../frame.ts";
import * as frame from "../frame.ts";
import type { Draw } from "./draw.ts";
import { Events } from "./events.ts";
import { mutate } from "./mutate.ts";
import { GATEWAY, NIC, NOWHERE, OUTSIDE, type World } from "./node.ts";
import { oddFrames } from "./odd.ts";

/** Frames of one step; a step begins with the changes drawn for it. */
const STEP_FRAMES = 25;
const FIRST_PORT = 20_000;
/** Sources of conversations that are not their senders' own: the node's, loopback, nobody's. */
const SPOOFED = ["10.0.0.1", "10.244.1.1", "127.0.0.1", "0.0.0.9", "224.1.1.1", "192.0.2.77"] as const;

interface Conversation {
  proto: "tcp" | "udp" | "icmp";
  client: Host;
  clientAt: Port;
  /** Address and port the client talks to. */
  to: string;
  port: number;
  /** Who may answer, and on which port; empty when nobody does. */
  servers: { ip: string; port: number }[];
  sport: number;
  seq: number;
  ack: number;
  sent: number;
}

export class Traffic {
  private readonly draw: Draw;
  private readonly world: World;
  private readonly services: ServiceSpec[];
  private readonly events: Events;
  private readonly open: Conversation[] = [];
  private conversations = 0;
  private datagramId = 100;

  constructor(draw: Draw, world: World) {
    this.draw = draw;
    this.world = world;
    this.services = structuredClone(world.node.proxy?.services ?? []);
    this.events = new Events(draw, world, this.services);
  }

  steps(frames: number): Step[] {
    const steps: Step[] = [];
    for (let left = frames; left > 0; left -= STEP_FRAMES) {
      const change = steps.length > 0 ? this.events.next() : [];
      const send: Send[] = [];
      while (send.length < Math.min(left, STEP_FRAMES)) send.push(...this.next());
      steps.push({ at: 0, ...(change.length > 0 ? { change } : {}), send });
    }
    return steps;
  }

  private next(): Send[] {
    const { draw } = this;
    const sends = draw.weighted<() => Send[]>([
      [10, () => this.talk()],
      [1.2, () => this.arp()],
      [0.8, () => this.error()],
      [0.4, () => this.fragments()],
      [0.3, () => this.strange()],
      [1.4, () => this.odd()],
      [this.world.talks ? 1.2 : 0, () => this.socket()],
    ])();
    // Some frames are damaged on the way in, some come twice.
    const damaged = sends.map((s) =>
      "frame" in s && draw.chance(0.06) ? { ...s, frame: mutate(draw, s.frame) } : s,
    );
    return draw.chance(0.04) ? [...damaged, ...damaged] : damaged;
  }

  // ---- conversations ----

  private talk(): Send[] {
    const { draw, open } = this;
    if (open.length === 0 || (open.length < 24 && draw.chance(0.2))) open.push(this.begin());
    if (open.length > 16) open.splice(draw.below(open.length), 1);
    const c = draw.pick(open);
    if (c.proto === "udp") return this.udp(c);
    return c.proto === "icmp" ? this.ping(c) : this.tcp(c);
  }

  private begin(): Conversation {
    const { draw, world } = this;
    const outside = draw.chance(0.25);
    const pod = draw.pick(world.pods);
    const client = { ...(outside ? draw.pick(OUTSIDE) : { mac: pod.mac, ip: pod.ip }) };
    const clientAt: Port = outside ? "nic" : `pod:${pod.name}`;
    if (draw.chance(0.08)) client.ip = draw.pick([...SPOOFED, draw.pick(world.pods).ip]);
    const proto = draw.weighted<Conversation["proto"]>([
      [5, "tcp"],
      [5, "udp"],
      [2, "icmp"],
    ]);
    const sport = FIRST_PORT + this.conversations++;
    const base = { proto, client, clientAt, sport, seq: 1000 + draw.below(5000), ack: 0, sent: 0 };
    const services = this.services.filter((s) => s.proto === proto);
    if (services.length > 0 && draw.chance(0.55)) {
      const s = draw.pick(services);
      const [to, port] = this.frontend(s);
      return { ...base, to, port, servers: s.endpoints };
    }
    const to = this.someAddress();
    const port = draw.pick([8080, 9000, 7]);
    return { ...base, to, port, servers: [{ ip: to, port }] };
  }

  /** One of the addresses and ports of a Service; now and then a port it does not have. */
  private frontend(s: ServiceSpec): [ip: string, port: number] {
    const { draw, world } = this;
    const ips = [s.vip, s.vip, ...(s.externalIPs ?? [])];
    if (s.loadBalancer !== undefined) ips.push(s.loadBalancer.ip);
    if (s.nodePort !== undefined && draw.chance(0.4)) return [draw.pick(world.nodeHosts).ip, s.nodePort];
    return [draw.pick(ips), draw.chance(0.95) ? s.port : s.port + 1000];
  }

  private someAddress(): string {
    const { draw, world } = this;
    return draw.weighted<() => string>([
      [6, () => draw.pick(world.pods).ip],
      [2, () => draw.pick(OUTSIDE).ip],
      [1, () => draw.pick(world.nodeHosts).ip],
      [0.5, () => "10.96.0.99"],
      [0.5, () => draw.pick(NOWHERE)],
      [0.3, () => "10.244.1.200"],
    ])();
  }

  /** A frame from the client, or (half of the time, once it has spoken) from one of the servers. */
  private side(c: Conversation): {
    from: Host;
    at: Port;
    to: string;
    sport: number;
    dport: number;
    answer: boolean;
  } {
    const { draw, world } = this;
    const server = c.servers.length > 0 && c.sent > 0 && draw.chance(0.5) ? draw.pick(c.servers) : null;
    if (server === null) {
      return { from: c.client, at: c.clientAt, to: c.to, sport: c.sport, dport: c.port, answer: false };
    }
    const pod = world.pods.find((p) => p.ip === server.ip);
    const from = pod === undefined ? { mac: GATEWAY.mac, ip: server.ip } : { mac: pod.mac, ip: pod.ip };
    const at: Port = pod === undefined ? "nic" : `pod:${pod.name}`;
    // A masqueraded client is the node to its server.
    const to = draw.chance(0.2) ? draw.pick(world.nodeHosts).ip : c.client.ip;
    return { from, at, to, sport: server.port, dport: c.sport, answer: true };
  }

  private udp(c: Conversation): Send[] {
    const { draw } = this;
    const { from, at, to, sport, dport } = this.side(c);
    c.sent++;
    const size = draw.pick([0, 1, 5, 22, 100, 500, 1200, 1372, 1472]);
    const options = { ...this.ip(), ...(draw.chance(0.1) ? { sum: 0 } : {}), badSum: draw.chance(0.03) };
    return this.emit(at, frame.udp(from, this.via(at, to), sport, dport, size, options));
  }

  private ping(c: Conversation): Send[] {
    const { draw } = this;
    const { from, at, to, answer } = this.side(c);
    c.sent++;
    const size = draw.pick([0, 8, 56, 1000]);
    const options = { ...this.ip(), badSum: draw.chance(0.03) };
    const build = answer ? frame.pong : frame.ping;
    return this.emit(at, build(from, this.via(at, to), c.sport, c.sent >> 1, size, options));
  }

  private tcp(c: Conversation): Send[] {
    const { draw } = this;
    const { from, at, to, sport, dport, answer } = this.side(c);
    const flags = this.tcpFlags(c, answer);
    c.sent++;
    const strange = draw.chance(0.08) ? draw.pick([-100_000, -2000, 70_000, 10_000_000]) : 0;
    const data = flags.includes("S") || draw.chance(0.5) ? 0 : draw.pick([1, 20, 536, 1000, 1460]);
    const [seq, ack] = answer ? [c.ack + 5000, c.seq] : [c.seq, c.ack + 5000];
    const options = {
      ...this.ip(),
      seq: (seq + strange) >>> 0,
      ack: flags.includes("A") ? (ack + (draw.chance(0.04) ? 5_000_000 : 0)) >>> 0 : 0,
      window: draw.pick([64_240, 64_240, 500, 0]),
      data,
      ...(flags.includes("S") && draw.chance(0.7) ? { tcpOptions: frame.SYN_OPTIONS } : {}),
      badSum: draw.chance(0.03),
    };
    // Retransmissions: the numbers do not always move on.
    const length = data + (flags.includes("S") || flags.includes("F") ? 1 : 0);
    if (strange === 0 && draw.chance(0.85)) {
      if (answer) c.ack += length;
      else c.seq += length;
    }
    return this.emit(at, frame.tcp(from, this.via(at, to), sport, dport, flags, options));
  }

  private tcpFlags(c: Conversation, answer: boolean): string {
    const { draw } = this;
    if (draw.chance(0.05))
      return draw.pick(["", "SF", "SR", "FA", "R", "RA", "S", "SA", "FPU", "SAFR", "SAEC", "U"]);
    if (c.sent === 0) return draw.chance(0.9) ? "S" : "A";
    if (answer && c.sent < 3) return "SA";
    if (c.sent > 8 && draw.chance(0.25)) return draw.pick(["FA", "FA", "F", "R", "RA"]);
    if (c.sent > 14 && !answer && draw.chance(0.3)) return "S";
    return draw.pick(["A", "PA"]);
  }

  // ---- the rest ----

  private arp(): Send[] {
    const { draw, world } = this;
    const pod = draw.pick(world.pods);
    const outside = draw.chance(0.3);
    const from = outside ? draw.pick(OUTSIDE) : { mac: pod.mac, ip: pod.ip };
    const at: Port = outside ? "nic" : `pod:${pod.name}`;
    const target = this.someAddress();
    const lies = draw.chance(0.1) ? { senderIp: this.someAddress() } : {};
    const probe = draw.chance(0.1) ? { senderIp: "0.0.0.0" } : {};
    const options = { ...lies, ...probe };
    const built = draw.weighted<() => Hex>([
      [5, () => frame.arpRequest(from, target, options)],
      [1, () => frame.arpRequest(from, from.ip)],
      [1, () => frame.arpReply(from, draw.pick(world.nodeHosts), options)],
      [0.5, () => frame.arpReply(from, from, { dstMac: frame.BROADCAST })],
    ])();
    return this.emit(at, built);
  }

  private error(): Send[] {
    const { draw, open } = this;
    if (open.length === 0) return [];
    const c = draw.pick(open);
    if (c.proto === "icmp") return [];
    const { from, at, to, answer } = this.side(c);
    const server = c.servers[0] ?? { ip: c.to, port: c.port };
    const [src, dst, sport, dport] = answer
      ? [to, from.ip, c.sport, server.port]
      : [c.to, c.client.ip, c.port, c.sport];
    const segment =
      c.proto === "udp"
        ? frame.udpSegment(src, dst, sport, dport, 20)
        : frame.tcpSegment(src, dst, sport, dport, "A", { seq: c.seq });
    const quoted = frame.ipv4Packet(src, dst, c.proto === "udp" ? 17 : 6, segment);
    const [type, code] = draw.pick([
      [3, 0],
      [3, 1],
      [3, 3],
      [3, 4],
      [11, 0],
      [12, 0],
      [4, 0],
    ] as const);
    const kept = quoted.slice(0, draw.pick([quoted.length, 28, 24, 20]));
    const word = type === 3 && code === 4 ? 1300 : 0;
    return this.emit(at, frame.icmpError(from, this.via(at, to), type, code, kept, word, this.ip()));
  }

  private fragments(): Send[] {
    const { draw, open } = this;
    const c = open.find((one) => one.proto === "udp");
    if (c === undefined) return [];
    const { from, at, to, sport, dport } = this.side(c);
    c.sent++;
    const id = this.datagramId++;
    const options = { ...this.ip(), id, df: draw.chance(0.1) };
    const size = draw.pick([64, 256, 1024, 1376]);
    const data = draw.between(100, 3000);
    const pieces = frame.udpFragments(from, this.via(at, to), sport, dport, data, size, options);
    if (draw.chance(0.3)) pieces.reverse();
    if (draw.chance(0.15)) pieces.splice(draw.below(pieces.length), 1);
    if (pieces.length > 0 && draw.chance(0.1)) pieces.push(draw.pick(pieces));
    return pieces.flatMap((piece) => this.emit(at, piece));
  }

  private odd(): Send[] {
    const { draw, world } = this;
    const outside = draw.chance(0.3);
    const pod = draw.pick(world.pods);
    const from = outside ? draw.pick(OUTSIDE) : { mac: pod.mac, ip: pod.ip };
    const at: Port = outside ? "nic" : `pod:${pod.name}`;
    const to = this.via(at, this.someAddress());
    return oddFrames(draw, { from, to, id: this.datagramId++ & 0xffff }).flatMap((f) => this.emit(at, f));
  }

  /** A datagram of the node's own. */
  private socket(): Send[] {
    const { draw } = this;
    const service = this.services.filter((s) => s.proto === "udp");
    const toService = service.length > 0 && draw.chance(0.5);
    const [to, port] = toService
      ? this.frontend(draw.pick(service))
      : ([draw.pick([this.someAddress(), OUTSIDE[0].ip]), 8080] as const);
    const udp = { from: 30_000 + draw.below(4), to, port, text: "from the node" };
    return [{ in: "node", udp }];
  }

  private strange(): Send[] {
    const { draw, world } = this;
    const pod = draw.pick(world.pods);
    const from = { mac: pod.mac, ip: draw.chance(0.3) ? this.someAddress() : pod.ip };
    const at: Port = `pod:${pod.name}`;
    const dstMac = draw.pick([
      frame.BROADCAST,
      "01:00:5e:00:00:05",
      "01:80:c2:00:00:00",
      "01:80:c2:00:00:0e",
      draw.pick(world.pods).mac,
      draw.pick(world.pods).hostMac,
      "02:02:02:02:02:02",
    ]);
    const to = {
      mac: dstMac,
      ip: draw.pick([this.someAddress(), "255.255.255.255", "224.0.0.5", "127.0.0.1"]),
    };
    const proto = draw.pick([17, 17, 50, 51, 253]);
    const body = proto === 17 ? frame.udpSegment(from.ip, to.ip, 1234, 8080, 10) : [1, 2, 3, 4, 5, 6, 7, 8];
    const vlan = draw.chance(0.1) ? { vlan: draw.pick([0, 5]) } : {};
    return this.emit(at, frame.ipv4(from, to, proto, body, { ...this.ip(), ...vlan }));
  }

  private ip(): frame.Ipv4Options {
    const { draw } = this;
    const options: frame.Ipv4Options = { id: this.datagramId++ & 0xffff };
    if (draw.chance(0.08)) options.ttl = draw.pick([1, 2, 255]);
    if (draw.chance(0.3)) options.df = true;
    if (draw.chance(0.05)) options.tos = draw.pick([0x10, 0xb8, 0x03]);
    if (draw.chance(0.03))
      options.options = draw.pick([
        [1, 1, 1, 1],
        [148, 4, 0, 0],
        [7, 3],
        [200, 4, 1, 2],
      ]);
    return options;
  }

  /** The Ethernet destination a well-behaved sender at this port uses for the address. */
  private via(at: Port, ip: string): Host {
    const { node, pods, gatewayMac } = this.world;
    if (at === "nic") return { mac: NIC.mac, ip };
    const onLink = node.attachment === "bridge" || node.attachment === "azure-bridge";
    const pod = onLink ? pods.find((p) => p.ip === ip) : undefined;
    return { mac: pod?.mac ?? gatewayMac, ip };
  }

  private emit(at: Port, built: Hex): Send[] {
    if (at !== "nic" && this.events.silent.has(at.slice(4))) return [];
    const limit = 14 + (at === "nic" ? (this.world.node.nic.mtu ?? 1500) : this.mtuOf(at));
    return built.length / 2 > limit ? [] : [{ at, frame: built }];
  }

  private mtuOf(at: Port): number {
    const pod = this.world.pods.find((p) => at === `pod:${p.name}`);
    return pod?.mtu ?? this.world.node.nic.mtu ?? 1500;
  }
}
