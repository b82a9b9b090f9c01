// The path of a packet. The cases below stand in the order in which a packet from a pod through a Service to
// a pod on another node meets them; each names the one file to read. Stages return the next stage; nothing
// but this switch joins them. Time moves only between frames: everything queued at one instant is walked, in
// order, before the next event.
//
// The order of frames on a wire is the kernel's. What a stage makes beside its frame (a clone of a flood, an
// ICMP error, an ARP request) goes all the way out before the frame moves on, as a function called in the
// middle would; a frame sent into a veth or loopback waits in softnet until all that is done, as in the
// per-CPU backlog behind netif_rx().

import { assert } from "../core/assert.ts";
import { NEVER } from "../core/clock.ts";
import { arpProxyDue, arpRcv, arpSolicit } from "../ip/arp.ts";
import { ipForward, ipForwardFinish } from "../ip/forward.ts";
import { icmpLearn, icmpSendAndDrop } from "../ip/icmp.ts";
import { ipLocalDeliver, ipLocalDeliverFinish, ipRcv, ipRcvFinish } from "../ip/input.ts";
import { Ip } from "../ip/ip.ts";
import { brNfNeigh, neighOutput } from "../ip/neigh-output.ts";
import { ipFinishOutput, ipLocalOut, ipRouteMeHarder } from "../ip/output.ts";
import { ipRouteOutput } from "../ip/route.ts";
import { brNfDevQueueXmit, brNfPreRoutingFinish } from "../link/br-netfilter.ts";
import {
  brDevQueuePushXmit,
  brDevXmit,
  brForwardFinish,
  brForwardHook,
  brHandleFrame,
  brHandleFrameFinish,
  brNfForwardFinish,
  brPassFrameUp,
} from "../link/bridge.ts";
import { devHardStartXmit, devQueueXmit, netifReceive } from "../link/dev.ts";
import { Link } from "../link/link.ts";
import {
  hookBridgeLocalIn,
  hookForward,
  hookLocalIn,
  hookLocalOut,
  hookPostRouting,
  hookPreRouting,
} from "../netfilter/hooks.ts";
import { ipVsExpire } from "../netfilter/ip-vs.ts";
import { Netfilter } from "../netfilter/netfilter.ts";
import type { Kernel } from "../node/kernel.ts";
import { NoteKind } from "../node/notes.ts";
import { endless, Op } from "../node/op.ts";
import { STAGES_MAX, Stage } from "../node/stage.ts";
import { routeErrno } from "../socket/errno.ts";
import { icmpRcv, icmpTeaches } from "../socket/icmp.ts";
import { protoUnknown } from "../socket/proto-unknown.ts";
import { Sockets } from "../socket/sockets.ts";
import { sourceEvent } from "../socket/source.ts";
import { tcpRcv } from "../socket/tcp/input.ts";
import { readyEvent } from "../socket/tcp/ready.ts";
import { timerEvent } from "../socket/tcp/retransmit-timer.ts";
import { udpRcv } from "../socket/udp.ts";
import { vnetDeliver } from "../vnet/carry.ts";
import { vnetEgress } from "../vnet/egress.ts";
import { Fabric, type FabricSettings, type Limits } from "../vnet/fabric.ts";
import { vnetIngress } from "../vnet/ingress.ts";
import { probeDue } from "../vnet/probes.ts";
import { idleOver } from "../vnet/reset.ts";
import { vnetRoute } from "../vnet/route.ts";
import { brNfRoute } from "./bridge-route.ts";
import { FlowCache } from "./flow-cache.ts";
import { FlowEmitter } from "./flow-emit.ts";
import { HOP } from "./flow-entry.ts";
import { FlowLegs } from "./flow-leg.ts";
import { ipVsNatXmit } from "./ip-vs-xmit.ts";
import { LEG_STAGES } from "./leg-stages.ts";

/** Where frames begin that a link or the fabric has held: the flow cache looks at them there. */
const isOutOfHold = (stage: Stage): boolean =>
  stage === Stage.DEV_HARD_START_XMIT || stage === Stage.VNET_INGRESS;

/** What timed events besides the data plane's mean; the cluster and the script take them. */
export type EventHandler = (op: number, a: number, b: number) => void;

export class Walk {
  readonly k: Kernel;
  readonly link: Link;
  readonly ip: Ip;
  readonly nf: Netfilter;
  readonly sock: Sockets;
  readonly vnet: Fabric;
  /** Memo of the walk for steady flows; off until enabled. */
  readonly cache: FlowCache;
  readonly legs: FlowLegs;
  readonly emitter: FlowEmitter;
  /** Frames walked so far, how often the flow cache spared one its way, events handled. */
  walked = 0;
  spared = 0;
  events = 0;
  /** Frames that others go ahead of, and frames of the flow cache in softnet. */
  private underWay = 0;
  private cachedAhead = 0;
  onEvent: EventHandler = () => {};

  constructor(k: Kernel, fabric: Partial<FabricSettings> = {}, limits: Partial<Limits> = {}) {
    this.k = k;
    this.link = new Link(k);
    this.ip = new Ip(k);
    this.nf = new Netfilter(k);
    this.sock = new Sockets(k);
    this.vnet = new Fabric(k, fabric, limits);
    this.sock.routeError = (ns, dst, src) => routeErrno(ipRouteOutput(this.ip, ns, dst, src));
    this.cache = new FlowCache(k, this.link, this.ip, this.nf, this.vnet);
    this.legs = new FlowLegs(k, this.ip, this.cache);
    this.emitter = new FlowEmitter(this.cache, this.sock);
    this.sock.sent = () => this.drain();
    this.link.fdb.settle = () => this.cache.paths.flushAll();
    this.ip.peers.settle = () => this.cache.paths.flushAll();
    this.ip.neigh.solicit = (n, unicast, waiting) => arpSolicit(this.ip, n, unicast, waiting);
    this.sock.tcp.route = (ns, dst, src) => this.tcpRoute(ns, dst, src);
    this.link.bridges.onAddressChange = (dev) => this.ip.neigh.flushDevice(dev, false);
  }

  /** Runs all events up to and including `until` (ns), then moves the clock there. */
  run(until: number): void {
    const { clock } = this.k;
    clock.until = until;
    this.drain();
    while (clock.size > (until === NEVER ? endless(clock) : 0) && clock.next() <= until) {
      clock.take();
      this.events++;
      this.handle(clock.op, clock.a, clock.b);
      this.drain();
    }
    if (until > clock.now && until !== NEVER) clock.now = until;
  }

  /** Walks everything queued at this instant. */
  drain(): void {
    const { backlog, softnet } = this.k;
    for (;;) {
      if (backlog.size > 0) this.spawned(0);
      if (softnet.size === 0) return;
      const f = softnet.shift();
      const { second } = softnet;
      if (second < HOP) this.frame(f, second as Stage);
      else {
        this.cachedAhead--;
        if (second >= 2 * HOP) this.wait(f, second - HOP);
        else this.receive(f, (second - HOP) as Stage);
      }
    }
  }

  /**
   * Walks what was made since `mark` frames were waiting. Those `mark` are the siblings of the frame that
   * made it.
   */
  private spawned(mark: number): void {
    const { backlog } = this.k;
    backlog.rotate(mark);
    while (backlog.size > mark) {
      const f = backlog.shift();
      this.frame(f, backlog.second as Stage);
    }
  }

  /** ip_route_output_key() on behalf of a TCP socket. */
  private tcpRoute(ns: number, dst: number, src: number): number {
    const { ip } = this;
    const bad = ipRouteOutput(ip, ns, dst, src);
    if (bad !== 0) return bad;
    this.sock.tcp.rtSource = ip.rtSource;
    this.sock.tcp.rtMtu = ip.rtMtu;
    return 0;
  }

  private handle(op: number, a: number, b: number): void {
    switch (op) {
      case Op.SOURCE:
        return sourceEvent(this.sock, a, b);
      case Op.NEIGH_TIMER:
        return this.ip.neigh.timer(a, b);
      case Op.ARP_PROXY:
        return arpProxyDue(this.ip, a, b);
      case Op.LINK_DELIVER:
        return this.link.netem.deliver(a, b);
      case Op.LINK_DEQUEUE:
        return this.link.netem.dequeue(a, b);
      case Op.FRAG_EXPIRE:
        return this.ip.frags.expire(a, b);
      case Op.VNET_DELIVER:
        return vnetDeliver(this.vnet, a);
      case Op.VNET_IDLE:
        return idleOver(this.vnet, a, b);
      case Op.PROBE:
        return probeDue(this.vnet, a, b);
      case Op.IP_VS_TIMER:
        return ipVsExpire(this.nf, a, b);
      case Op.TCP_TIMER:
        return timerEvent(this.sock.tcp, a, b);
      case Op.TCP_READY:
        return readyEvent(this.sock);
      default:
        return this.onEvent(op, a, b);
    }
  }

  /** A frame of the flow cache waits in softnet as long as if it walked. */
  private wait(f: number, receiver: number): void {
    this.cachedAhead++;
    this.k.softnet.push(f, receiver);
  }

  /** A frame of the flow cache has reached its socket, or what holds it next. */
  private receive(f: number, stage: Stage): void {
    const isHeld = stage === Stage.DEV_QUEUE_XMIT || stage === Stage.VNET_ROUTE;
    if (!isHeld && this.k.watch !== null) this.k.watch.arrived(f);
    this.frame(f, stage);
  }

  /** One frame, from `first` until it is delivered, dropped or queued. */
  frame(f: number, first: Stage): void {
    const { k, link, ip, nf, sock, vnet } = this;
    const { consulted } = k;
    if (consulted.enabled && (first === Stage.IP_LOCAL_OUT || isOutOfHold(first))) {
      const receiver = this.cache.forward(f, first, this.cachedAhead === k.softnet.size);
      if (receiver > 0) this.spared++;
      // With nothing else under way it would pass its veths at once.
      const alone = k.softnet.size === 0 && k.backlog.size === 0 && this.underWay === 0;
      if (receiver >= HOP && !alone) return this.wait(f, receiver);
      if (receiver > 0) return this.receive(f, (receiver & (HOP - 1)) as Stage);
    }
    const { legs } = this;
    legs.enter(f, first);
    const byLegs = consulted.enabled && !k.observing;
    const mark = k.backlog.size;
    this.walked++;
    let stage = first;
    let was: Stage = Stage.DONE;
    const noting = k.notes.stages;
    for (let n = 0; stage !== Stage.DONE; n++) {
      assert(n < STAGES_MAX, "a frame that never ends");
      if (byLegs && LEG_STAGES[stage] !== 0) {
        stage = legs.next(f, was, stage, mark === 0 && this.underWay === 0);
      }
      was = stage;
      if (noting) k.note(f, NoteKind.STAGE, stage, 0, 0, 0, 0);
      switch (stage) {
        // A pod sends: routing, its own hooks (a plain pod has none), the Ethernet header, the veth.
        case Stage.IP_LOCAL_OUT:
          stage = ipLocalOut(ip, f);
          break;
        case Stage.HOOK_LOCAL_OUT:
          stage = hookLocalOut(nf, f);
          break;
        case Stage.IP_ROUTE_ME_HARDER:
          stage = ipRouteMeHarder(ip, f);
          break;
        case Stage.HOOK_POST_ROUTING:
          stage = hookPostRouting(nf, f);
          break;
        case Stage.IP_FINISH_OUTPUT:
          stage = ipFinishOutput(ip, f);
          break;
        case Stage.NEIGH_OUTPUT:
          stage = neighOutput(ip, f);
          break;
        case Stage.DEV_QUEUE_XMIT:
          if (consulted.recording > 0 && k.dev.qdisc[k.skb.dev[f]] >= 0) this.cache.leave(f, stage);
          stage = devQueueXmit(link, f);
          break;
        case Stage.DEV_HARD_START_XMIT:
          stage = devHardStartXmit(link, f);
          break;

        // The node receives: the bridge, with br_netfilter inside it.
        case Stage.NETIF_RECEIVE:
          stage = netifReceive(link, f);
          break;
        case Stage.BR_HANDLE_FRAME:
          stage = brHandleFrame(link, f);
          break;
        case Stage.HOOK_PRE_ROUTING:
          stage = hookPreRouting(nf, f);
          break;
        case Stage.NF_DEFRAG:
          stage = ip.frags.defrag(f, Stage.NF_DEFRAG);
          break;
        case Stage.BR_NF_PRE_ROUTING_FINISH:
          stage = brNfPreRoutingFinish(link, f);
          break;
        case Stage.BR_NF_ROUTE:
          stage = brNfRoute(ip, link, f);
          break;
        case Stage.BR_NF_NEIGH:
          stage = brNfNeigh(ip, f);
          // Resolved at once: back in the bridge with the Ethernet header in front again.
          if (stage === Stage.BR_HANDLE_FRAME_FINISH) this.backInBridge(f);
          break;
        case Stage.BR_HANDLE_FRAME_FINISH:
          stage = brHandleFrameFinish(link, f);
          break;
        case Stage.BR_FORWARD:
          stage = brForwardHook(link, f);
          break;
        case Stage.BR_NF_FORWARD_FINISH:
          stage = brNfForwardFinish(link, f);
          break;
        case Stage.BR_FORWARD_FINISH:
          stage = brForwardFinish(link, f);
          break;
        case Stage.BR_NF_DEV_QUEUE_XMIT:
          stage = brNfDevQueueXmit(link, f);
          break;
        case Stage.BR_DEV_QUEUE_PUSH_XMIT:
          stage = brDevQueuePushXmit(link, f);
          break;
        case Stage.BR_PASS_FRAME_UP:
          // NF_BR_LOCAL_IN stands in front of it.
          stage = hookBridgeLocalIn(nf, f);
          if (stage === Stage.BR_PASS_FRAME_UP) stage = brPassFrameUp(link, f);
          break;
        case Stage.BR_DEV_XMIT:
          stage = brDevXmit(link, f);
          break;

        // The node's IP layer: for itself, or forwarded.
        case Stage.ARP_RCV:
          stage = arpRcv(ip, f);
          break;
        case Stage.IP_RCV:
          stage = ipRcv(ip, f);
          break;
        case Stage.IP_RCV_FINISH:
          stage = ipRcvFinish(ip, f);
          break;
        case Stage.IP_FORWARD:
          stage = ipForward(ip, f);
          break;
        case Stage.HOOK_FORWARD:
          stage = hookForward(nf, f);
          break;
        case Stage.IP_FORWARD_FINISH:
          stage = ipForwardFinish(ip, f);
          break;

        // In the ipvs mode of kube-proxy requests to Services reach the node itself, which sends them on.
        case Stage.IP_VS_NAT_XMIT:
          legs.enter(f, stage);
          stage = ipVsNatXmit(ip, nf, f);
          break;

        // The Azure fabric between NICs.
        case Stage.VNET_EGRESS:
          stage = vnetEgress(vnet, f);
          break;
        case Stage.VNET_ROUTE:
          stage = vnetRoute(vnet, f);
          if (stage === Stage.DONE && consulted.recording > 0) this.cache.leave(f, Stage.VNET_ROUTE);
          break;
        case Stage.VNET_INGRESS:
          stage = vnetIngress(vnet, f);
          break;

        // A pod receives, or the node itself.
        case Stage.IP_LOCAL_DELIVER:
          stage = ipLocalDeliver(ip, f);
          break;
        case Stage.HOOK_LOCAL_IN:
          stage = hookLocalIn(nf, f);
          break;
        case Stage.IP_LOCAL_DELIVER_FINISH:
          if (k.watch !== null) k.watch.arrived(f);
          stage = ipLocalDeliverFinish(ip, f);
          if (consulted.recording > 0) this.cache.finish(f, stage);
          break;
        case Stage.UDP_RCV:
          stage = udpRcv(sock, f);
          break;
        case Stage.TCP_RCV:
          stage = tcpRcv(sock, f);
          break;
        case Stage.ICMP_RCV:
          if (icmpTeaches(sock, f)) icmpLearn(ip, f);
          stage = icmpRcv(sock, f);
          break;
        case Stage.PROTO_UNKNOWN:
          stage = protoUnknown(sock, f);
          break;
        case Stage.ICMP_SEND:
          stage = icmpSendAndDrop(ip, f);
          break;
        default:
          assert(false, "a stage nobody implements");
      }
      if (k.backlog.size > mark) {
        // What makes other frames beside its own is never steady.
        if (consulted.recording > 0) consulted.giveUp(f);
        if (stage === Stage.DONE) this.spawned(mark);
        else {
          this.underWay++;
          this.spawned(mark);
          this.underWay--;
        }
      }
    }
  }

  private backInBridge(f: number): void {
    const { skb } = this.k;
    skb.dev[f] = skb.physIn[f];
    skb.push(f, skb.off[f] - skb.mac[f]);
  }
}
