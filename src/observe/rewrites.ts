// What public addresses, SNAT and load balancers would do to the packets of one question: the first packet
// makes a translation, its answer is translated back. Kept beside the fabric, which is not changed by being
// asked; method, port and backend come from the functions that packets use too.

import { Drop } from "../node/drop.ts";
import { chooseBackend } from "../vnet/balance.ts";
import { KeyKind } from "../vnet/flow-key.ts";
import { carriesProtocol, choosePort, outboundMethod } from "../vnet/outbound.ts";
import { PublicUse } from "../vnet/public-addresses.ts";
import { VnetKind } from "../vnet/subnets.ts";
import { PUBLIC, Via } from "../vnet/translations.ts";
import type { Walk } from "../walk/walk.ts";
import { PROTO_ICMP, PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import type { FlowTuple } from "./ip-flow.ts";

type Fabric = Walk["vnet"];

/** Where the packet goes on to and as what; or why it does not, with `nic` -1. */
export interface Landing {
  nic: number;
  flow: FlowTuple;
  reason: number;
  /** Who translated it last, -1 for nobody. */
  via: Via | -1;
}

interface Side {
  nic: number;
  address: number;
  port: number;
  via: Via;
  domain: number;
}

export class Rewrites {
  private readonly fromInside = new Map<string, Side>();
  private readonly fromOutside = new Map<string, Side>();

  /** The answer of a backend gets its internal frontend's address before routes are looked at. */
  answerAsFrontend(nic: number, flow: FlowTuple): FlowTuple {
    const known = this.fromInside.get(insideKey(nic, flow));
    if (known === undefined || known.domain === PUBLIC) return flow;
    return { ...flow, src: known.address, sourcePort: known.port };
  }

  /** Next hop Internet. */
  toPublic(v: Fabric, nic: number, flow: FlowTuple): Landing {
    let out = flow;
    let via: Via | -1 = -1;
    if (v.vnets.site[v.nics.vnet[nic]] === VnetKind.VNET) {
      const left = this.leave(v, nic, flow);
      if (typeof left === "number") return refused(flow, left);
      out = { ...flow, src: left.address, sourcePort: left.port };
      via = left.via;
    }
    const host = v.internet < 0 ? -1 : v.nicOf(v.internet, out.dst);
    if (host >= 0) return { nic: host, flow: out, reason: 0, via };
    return this.arrive(v, out, via);
  }

  /** A frontend of a load balancer. @param through it is the next hop, not the destination (R2) */
  balance(v: Fabric, flow: FlowTuple, frontend: number, through: boolean): Landing {
    const { balancers } = v;
    const { vnet: domain } = balancers.frontends[frontend];
    const known = this.fromOutside.get(outsideKey(domain, flow));
    if (known !== undefined) return inwards(flow, known);
    if (flow.protocol !== PROTO_TCP && flow.protocol !== PROTO_UDP)
      return refused(flow, Drop.VNET_NAT_PROTOCOL);
    const r = balancers.ruleFor(frontend, flow.protocol, through ? 0 : flow.destinationPort);
    if (r < 0) return refused(flow, Drop.VNET_NO_RULE);
    fillKey(v, flow, false);
    const nic = chooseBackend(v, r, v.key);
    if (nic < 0) return refused(flow, Drop.VNET_NO_BACKEND);
    const rule = balancers.rules[r];
    const same = through || rule.floating;
    const side: Side = {
      nic,
      address: same ? flow.dst : v.primaryAddress(nic),
      port: same || rule.backendPort === 0 ? flow.destinationPort : rule.backendPort,
      via: Via.BALANCER,
      domain,
    };
    this.remember(flow, side, domain, !through);
    return inwards(flow, side);
  }

  /** The public source of a packet, or why it has none. */
  private leave(v: Fabric, nic: number, flow: FlowTuple): Side | number {
    const known = this.fromInside.get(insideKey(nic, flow));
    if (known !== undefined) return known;
    const via = outboundMethod(v, nic, flow.src);
    if (via === -1) return Drop.VNET_NO_OUTBOUND;
    fillKey(v, flow, true);
    if (!carriesProtocol(via, v.key.kind, flow.protocol)) return Drop.VNET_NAT_PROTOCOL;
    const side = this.begin(v, nic, via, flow);
    if (side === null) return Drop.VNET_SNAT_EXHAUSTED;
    this.fromInside.set(insideKey(nic, flow), side);
    const inner: Side = { ...side, address: flow.src, port: flow.sourcePort };
    const back = { ...flow, src: flow.dst, sourcePort: flow.destinationPort, dst: side.address };
    this.fromOutside.set(outsideKey(PUBLIC, { ...back, destinationPort: side.port }), inner);
    return side;
  }

  private begin(v: Fabric, nic: number, via: Via, flow: FlowTuple): Side | null {
    const { outbound, publics, translations: t, k } = v;
    const made = { nic, via, domain: PUBLIC };
    if (via === Via.INSTANCE) {
      return { ...made, address: publics.addr[outbound.instance[nic]], port: flow.sourcePort };
    }
    const cone = flow.protocol === PROTO_UDP && via !== Via.NAT_GATEWAY;
    const bound = cone ? t.findInside(nic, flow.src, flow.sourcePort, 0, 0, PROTO_UDP) : -1;
    if (bound >= 0 && t.deadline[bound] > k.clock.now) {
      return { ...made, address: t.outside[bound], port: t.outsidePort[bound] };
    }
    if (cone) {
      v.key.remote = 0;
      v.key.remotePort = 0;
    }
    return choosePort(v, nic, via, v.key, cone)
      ? { ...made, address: outbound.address, port: outbound.port }
      : null;
  }

  private arrive(v: Fabric, flow: FlowTuple, via: Via | -1): Landing {
    const { publics } = v;
    const known = this.fromOutside.get(outsideKey(PUBLIC, flow));
    if (known !== undefined) return inwards(flow, known);
    const p = publics.find(flow.dst);
    const use = p < 0 ? PublicUse.NOTHING : publics.use[p];
    if (use === PublicUse.FRONTEND) return this.balance(v, flow, publics.row[p], false);
    if (use !== PublicUse.INSTANCE) {
      return { ...refused(flow, p < 0 ? Drop.VNET_NO_SUCH_ADDRESS : Drop.VNET_NO_TRANSLATION), via };
    }
    const to = publics.row[p];
    const address = v.primaryAddress(to);
    const side: Side = { nic: to, address, port: flow.destinationPort, via: Via.INSTANCE, domain: PUBLIC };
    this.remember(flow, side, PUBLIC, true);
    return inwards(flow, side);
  }

  /** An incoming connection: what its answers will be given as a source, and where more of it goes. */
  private remember(flow: FlowTuple, side: Side, domain: number, answers: boolean): void {
    this.fromOutside.set(outsideKey(domain, flow), side);
    if (!answers) return;
    const answer: FlowTuple = {
      src: side.address,
      dst: flow.src,
      protocol: flow.protocol,
      sourcePort: side.port,
      destinationPort: flow.sourcePort,
    };
    const outer = { ...side, address: flow.dst, port: flow.destinationPort };
    this.fromInside.set(insideKey(side.nic, answer), outer);
  }
}

function inwards(flow: FlowTuple, side: Side): Landing {
  const arrived = { ...flow, dst: side.address, destinationPort: side.port };
  return { nic: side.nic, flow: arrived, reason: 0, via: side.via };
}

function refused(flow: FlowTuple, reason: number): Landing {
  return { nic: -1, flow, reason, via: -1 };
}

function insideKey(nic: number, f: FlowTuple): string {
  return `${nic} ${f.protocol} ${f.src}:${f.sourcePort} ${f.dst}:${f.destinationPort}`;
}

function outsideKey(domain: number, f: FlowTuple): string {
  return `${domain} ${f.protocol} ${f.src}:${f.sourcePort} ${f.dst}:${f.destinationPort}`;
}

/** As a packet's header would be read. */
function fillKey(v: Fabric, flow: FlowTuple, outward: boolean): void {
  const { key } = v;
  const ported = flow.protocol === PROTO_TCP || flow.protocol === PROTO_UDP;
  key.local = outward ? flow.src : flow.dst;
  key.remote = outward ? flow.dst : flow.src;
  key.localPort = outward ? flow.sourcePort : flow.destinationPort;
  key.remotePort = outward ? flow.destinationPort : flow.sourcePort;
  key.protocol = flow.protocol;
  key.flags = 0;
  key.kind = ported ? KeyKind.PORTS : flow.protocol === PROTO_ICMP ? KeyKind.QUERY : KeyKind.BARE;
}
