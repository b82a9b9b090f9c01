// One node under test: a kernel with an uplink, a bridge and netfilter, and functions that take a frame
// through the hooks of a path as the walk does, without routing, bridging or neighbours.

import type { ExecutionContext } from "ava";
import { IPS_ASSURED, IPS_SEEN_REPLY, TCP_CONNTRACK_NAMES } from "../../src/netfilter/enums.ts";
import {
  hookForward,
  hookLocalIn,
  hookLocalOut,
  hookPostRouting,
  hookPreRouting,
} from "../../src/netfilter/hooks.ts";
import { Netfilter, type Prefix } from "../../src/netfilter/netfilter.ts";
import {
  A_TIMEOUT,
  ACCT,
  R_ID,
  R_PORTS,
  R_REPLY,
  R_SRC,
  R_STATUS,
  REC,
  TCPI,
  TS_STATE,
} from "../../src/netfilter/nf-conn.ts";
import { dropName } from "../../src/node/drop.ts";
import { Kernel } from "../../src/node/kernel.ts";
import { DevKind } from "../../src/node/net-device.ts";
import { SkbFlag } from "../../src/node/sk-buff.ts";
import { Stage } from "../../src/node/stage.ts";
import { formatIpv4, parseIpv4 } from "../../src/wire/address.ts";
import { icmpEchoFrame, type Payload, tcpFrame, udpFrame } from "../../src/wire/build.ts";
import { csumIntact, csumRange } from "../../src/wire/checksum.ts";
import { ipv4PseudoSum } from "../../src/wire/ipv4.ts";

export const SECONDS = 1e9;

export function ip(text: string): number {
  const a = parseIpv4(text);
  if (a === undefined) throw new Error(`not an address: ${text}`);
  return a;
}

export function cidr(text: string): Prefix {
  const [network, prefix] = text.split("/");
  return { network: ip(network), prefix: Number(prefix) };
}

/** "10.244.1.2:5000" */
function endpoint(text: string): { addr: string; port: number } {
  const [addr, port] = text.split(":");
  return { addr, port: Number(port) };
}

export interface TcpOptions {
  seq?: number;
  ack?: number;
  window?: number;
  payload?: string | number;
  options?: Uint8Array;
}

export class Lab {
  readonly k = new Kernel({ seed: 7, frames: 64, largeFrames: 2, frameBytes: 2048 });
  readonly nf = new Netfilter(this.k);
  readonly ns = this.k.addNamespace("node", -1);
  readonly uplink: number;
  readonly bridge: number;
  /** Why the frame that went last was dropped; "" when it was not. */
  drop = "";

  constructor() {
    const { k, ns } = this;
    this.uplink = k.addDevice(ns, DevKind.NIC, "eth0");
    this.bridge = k.addDevice(ns, DevKind.BRIDGE, "br0");
    k.setUp(this.uplink, true);
    k.setUp(this.bridge, true);
    k.addAddress(this.uplink, ip("10.0.0.1"), 24, 0);
    k.addAddress(this.bridge, ip("10.244.1.1"), 24, 0);
    const end = k.drop.bind(k);
    k.drop = (f, reason) => {
      this.drop = dropName(reason);
      return end(f, reason);
    };
  }

  /** A frame at the IP header, as ip_rcv leaves it. */
  frame(bytes: Uint8Array, dev = this.bridge): number {
    const { skb } = this.k;
    const f = this.k.alloc(bytes.length, this.ns, dev);
    skb.bytes.set(bytes, skb.off[f]);
    skb.mac[f] = skb.off[f];
    skb.pull(f, 14);
    skb.l3[f] = skb.off[f];
    skb.dev[f] = dev;
    skb.outDev[f] = this.uplink;
    this.drop = "";
    return f;
  }

  udp(from: string, to: string, payload: Payload = "x", checksum = true): number {
    const [a, b] = [endpoint(from), endpoint(to)];
    return this.frame(
      udpFrame({ src: a.addr, sport: a.port, dst: b.addr, dport: b.port, payload, checksum }),
    );
  }

  tcp(from: string, to: string, flags: number, o: TcpOptions = {}): number {
    const [a, b] = [endpoint(from), endpoint(to)];
    return this.frame(tcpFrame({ src: a.addr, sport: a.port, dst: b.addr, dport: b.port, flags, ...o }));
  }

  echo(from: string, to: string, ident: number, reply = false): number {
    return this.frame(icmpEchoFrame({ src: from, dst: to, ident, seq: 1, reply, payload: "ping" }));
  }

  // ---- paths: each returns the frame, or -1 when it was dropped (see `drop`) ----

  pre(f: number): number {
    return this.after(f, hookPreRouting(this.nf, f), Stage.IP_RCV_FINISH);
  }

  forwardOnly(f: number): number {
    return f < 0 ? f : this.after(f, hookForward(this.nf, f), Stage.IP_FORWARD_FINISH);
  }

  post(f: number, out = this.uplink): number {
    if (f < 0) return f;
    this.k.skb.outDev[f] = out;
    return this.after(f, hookPostRouting(this.nf, f), Stage.IP_FINISH_OUTPUT);
  }

  /** Received, routed and sent on. */
  forward(f: number, out = this.uplink): number {
    return this.post(this.forwardOnly(this.pre(f)), out);
  }

  /** Received for the node itself. */
  input(f: number): number {
    const g = this.pre(f);
    return g < 0 ? g : this.after(g, hookLocalIn(this.nf, g), Stage.IP_LOCAL_DELIVER_FINISH);
  }

  /** Made by a process of the node; rtType is 0 afterwards when it must be routed again. */
  output(f: number): number {
    const { skb } = this.k;
    skb.flags[f] |= SkbFlag.LOCAL;
    skb.rtType[f] = 1;
    return this.after(f, hookLocalOut(this.nf, f), Stage.IP_ROUTE_ME_HARDER);
  }

  private after(f: number, stage: Stage, wanted: Stage): number {
    if (stage === wanted) return f;
    if (stage === Stage.ICMP_SEND) {
      const { skb } = this.k;
      const answer = `ICMP ${skb.icmp[f] >> 8}/${skb.icmp[f] & 255}`;
      this.k.drop(f, skb.reason[f]);
      this.drop += ` + ${answer}`;
      return -1;
    }
    if (stage !== Stage.DONE) throw new Error(`unexpected stage ${stage}`);
    return -1;
  }

  // ---- what became of it ----

  /**
   * "10.244.1.2:5000 > 10.244.2.2:8080", or the drop; checks every checksum on the way and ends the frame.
   */
  end(t: ExecutionContext, f: number): string {
    if (f < 0) return this.drop;
    const text = this.tuple(f);
    t.true(this.intact(f), `checksums of ${text}`);
    this.k.consume(f);
    return text;
  }

  tuple(f: number): string {
    const v = this.k.skb.view;
    const l3 = this.k.skb.l3[f];
    const l4 = l3 + (v.getUint8(l3) & 15) * 4;
    const [src, dst] = [formatIpv4(v.getInt32(l3 + 12)), formatIpv4(v.getInt32(l3 + 16))];
    if (v.getUint8(l3 + 9) === 1) return `${src} > ${dst} id ${v.getUint16(l4 + 4)}`;
    return `${src}:${v.getUint16(l4)} > ${dst}:${v.getUint16(l4 + 2)}`;
  }

  /** IP and transport checksums equal a full computation. */
  intact(f: number): boolean {
    const { skb } = this.k;
    const v = skb.view;
    const l3 = skb.l3[f];
    const l4 = l3 + (v.getUint8(l3) & 15) * 4;
    const end = skb.end(f);
    if (!csumIntact(csumRange(v, l3, l4, 0))) return false;
    const proto = v.getUint8(l3 + 9);
    if (proto === 1) return csumIntact(csumRange(v, l4, end, 0));
    if (proto === 17 && v.getUint16(l4 + 6) === 0) return true;
    if (proto !== 17 && proto !== 6) return true;
    return csumIntact(csumRange(v, l4, end, ipv4PseudoSum(v, l3, proto, end - l4)));
  }

  /** Entries in order of creation, as `conntrack -L` says it, without counters. */
  list(): string[] {
    const { t } = this.nf;
    const rows: number[] = [];
    for (let e = 0; e < t.ids.used; e++) if (t.isLive(e) && !t.isExpired(e)) rows.push(e);
    rows.sort((a, b) => t.rec[a * REC + R_ID]! - t.rec[b * REC + R_ID]!);
    return rows.map((e) => this.line(e));
  }

  line(e: number): string {
    const { t } = this.nf;
    const b = e * REC;
    const proto = t.rec[b] & 255;
    const name = proto === 6 ? "tcp" : proto === 17 ? "udp" : proto === 1 ? "icmp" : String(proto);
    const left = Math.round((t.acct[e * ACCT + A_TIMEOUT] - this.k.clock.now) / SECONDS);
    const status = t.rec[b + R_STATUS];
    const half = (o: number): string => {
      const ports = t.rec[o + R_PORTS];
      const [src, dst] = [formatIpv4(t.rec[o + R_SRC]), formatIpv4(t.rec[o + R_SRC + 1])];
      return proto === 1
        ? `${src}>${dst} id=${ports >>> 16}`
        : `${src}:${ports >>> 16}>${dst}:${ports & 65535}`;
    };
    const parts = [name, String(left)];
    if (proto === 6) parts.push(TCP_CONNTRACK_NAMES[t.tcp[e * TCPI + TS_STATE]]);
    parts.push(half(b));
    if (!(status & IPS_SEEN_REPLY)) parts.push("[UNREPLIED]");
    parts.push(half(b + R_REPLY));
    if (status & IPS_ASSURED) parts.push("[ASSURED]");
    return parts.join(" ");
  }

  /** Nothing may be left behind: no frame, no unconfirmed entry. */
  close(t: ExecutionContext): void {
    t.is(this.k.skb.live, 0, "frames left");
    let live = 0;
    for (let e = 0; e < this.nf.t.ids.used; e++) if (this.nf.t.isLive(e)) live++;
    t.is(this.nf.t.ids.live, live, "entries that are neither confirmed nor free");
  }

  wait(seconds: number): void {
    this.k.clock.now += seconds * SECONDS;
  }
}
