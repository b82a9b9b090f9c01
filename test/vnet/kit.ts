// A network of VMs around the fabric alone: frames are put in as a NIC's driver would and what a guest
// receives is kept. No walk: the loop below knows the fabric's own stages and nothing else.

import type { ExecutionContext } from "ava";
import { dropName } from "../../src/node/drop.ts";
import { Kernel } from "../../src/node/kernel.ts";
import { DevKind } from "../../src/node/net-device.ts";
import { endless, Op } from "../../src/node/op.ts";
import { Stage } from "../../src/node/stage.ts";
import type { FabricSettings, Limits } from "../../src/vnet/azure.ts";
import { type BuiltNetwork, buildNetwork, type NetworkSpec } from "../../src/vnet/build-network.ts";
import { vnetDeliver } from "../../src/vnet/carry.ts";
import { vnetEgress } from "../../src/vnet/egress.ts";
import { Fabric } from "../../src/vnet/fabric.ts";
import { vnetIngress } from "../../src/vnet/ingress.ts";
import { probeDue } from "../../src/vnet/probes.ts";
import { idleOver } from "../../src/vnet/reset.ts";
import { vnetRoute } from "../../src/vnet/route.ts";
import { formatIpv4, formatMac, parseCidr, parseIpv4 } from "../../src/wire/address.ts";
import { type Ip, udpFrame } from "../../src/wire/build.ts";
import { printBytes } from "../../src/wire/print.ts";

export const VIRTUAL = "12:34:56:78:9a:bc";
export const BROADCAST = "ff:ff:ff:ff:ff:ff";

export const ip = (text: string): number => {
  const address = parseIpv4(text);
  if (address === undefined) throw new Error(`not an address: ${text}`);
  return address;
};

export interface Vm {
  name: string;
  ns: number;
  dev: number;
  nic: number;
}

/** One VNet 10.224.0.0/12 with two subnets, unless another is described. */
export const ONE_VNET: NetworkSpec = {
  vnets: {
    prod: {
      addressSpace: ["10.224.0.0/12"],
      subnets: { nodes: { prefix: "10.224.0.0/24" }, more: { prefix: "10.224.1.0/24" } },
    },
  },
};

export class Net {
  readonly k: Kernel;
  readonly v: Fabric;
  readonly built: BuiltNetwork;
  private readonly inbox = new Map<number, Uint8Array[]>();

  constructor(
    spec: NetworkSpec = ONE_VNET,
    settings: Partial<FabricSettings> = {},
    limits: Partial<Limits> = {},
  ) {
    this.k = new Kernel({ seed: 7, frames: 256, largeFrames: 4, frameBytes: 9100 });
    this.v = new Fabric(this.k, settings, limits);
    this.built = buildNetwork(this.v, spec);
  }

  subnet(name: string): number {
    const row = this.built.subnets.get(name.includes("/") ? name : `prod/${name}`);
    if (row === undefined) throw new Error(`no subnet ${name}`);
    return row;
  }

  vm(name: string, address = "", subnet = "nodes"): Vm {
    const ns = this.k.addNamespace(name, -1);
    const dev = this.k.addDevice(ns, DevKind.NIC, "eth0");
    this.k.setUp(dev, true);
    const nic = this.v.addNic(this.subnet(subnet), address === "" ? 0 : ip(address), dev);
    return { name, ns, dev, nic };
  }

  mac(vm: Vm): string {
    return formatMac(this.v.nics.macHi[vm.nic], this.v.nics.macLo[vm.nic]);
  }

  address(vm: Vm): string {
    return formatIpv4(this.v.primaryAddress(vm.nic));
  }

  /** UDP from a VM's primary address through its gateway, as its guest would send it. */
  udp(from: Vm, dst: string, more: Partial<Ip> & { sport?: number; dport?: number; payload?: number } = {}) {
    const link = { srcMac: this.mac(from), dstMac: VIRTUAL };
    return udpFrame({ sport: 4000, dport: 53, src: this.address(from), dst, ...link, ...more });
  }

  /** Hands a frame to the NIC of a VM and lets it run until nothing is left to do now. */
  send(from: Vm, frame: Uint8Array): void {
    const f = this.k.alloc(frame.length, from.ns, from.dev);
    if (f < 0) throw new Error("no frame left");
    this.k.skb.dev[f] = from.dev;
    this.k.skb.bytes.set(frame, this.k.skb.off[f]);
    this.walk(f, Stage.VNET_EGRESS);
    this.drain();
  }

  /** Runs the clock to `until`, or until nothing is planned. */
  run(until = Number.MAX_SAFE_INTEGER): void {
    const { clock } = this.k;
    const forever = until === Number.MAX_SAFE_INTEGER;
    while (clock.size > (forever ? endless(clock) : 0) && clock.next() <= until) {
      clock.take();
      if (clock.op === Op.VNET_DELIVER) vnetDeliver(this.v, clock.a);
      else if (clock.op === Op.VNET_IDLE) idleOver(this.v, clock.a, clock.b);
      else if (clock.op === Op.PROBE) probeDue(this.v, clock.a, clock.b);
      else throw new Error(`unexpected event ${clock.op}`);
      this.drain();
    }
    if (!forever) clock.now = until;
  }

  /** The frames a VM received since the last question. */
  frames(vm: Vm): Uint8Array[] {
    const got = this.inbox.get(vm.dev) ?? [];
    this.inbox.delete(vm.dev);
    return got;
  }

  lines(vm: Vm, macs = false): string[] {
    return this.frames(vm).map((frame) => printBytes(frame, { macs }));
  }

  /** Every drop so far: "vm REASON" and how often. */
  drops(...vms: Vm[]): Record<string, number> {
    const { drops } = this.k;
    const found: Record<string, number> = {};
    for (let r = 0; r < drops.rows.used; r++) {
      const vm = vms.find((candidate) => candidate.dev === drops.dev[r]);
      found[`${vm?.name ?? `device ${drops.dev[r]}`} ${dropName(drops.reason[r])}`] = drops.packets[r];
    }
    return found;
  }

  /** Every test ends here: no frame is left anywhere. */
  end(t: ExecutionContext): void {
    this.run();
    t.is(this.k.skb.live, 0, "frames leaked");
    t.is(this.k.backlog.size, 0);
  }

  private drain(): void {
    const { backlog } = this.k;
    while (backlog.size > 0) {
      const f = backlog.shift();
      this.walk(f, backlog.second as Stage);
    }
  }

  private walk(f: number, from: Stage): void {
    let stage = from;
    while (stage !== Stage.DONE) {
      if (stage === Stage.VNET_EGRESS) stage = vnetEgress(this.v, f);
      else if (stage === Stage.VNET_ROUTE) stage = vnetRoute(this.v, f);
      else if (stage === Stage.VNET_INGRESS) stage = vnetIngress(this.v, f);
      else if (stage === Stage.NETIF_RECEIVE) stage = this.receive(f);
      else throw new Error(`the fabric asked for stage ${stage}`);
    }
  }

  private receive(f: number): Stage {
    const { skb, dev } = this.k;
    const d = skb.dev[f];
    if (skb.ns[f] !== dev.ns[d]) throw new Error("the frame is in another namespace than its device");
    const got = this.inbox.get(d) ?? [];
    got.push(skb.bytes.slice(skb.off[f], skb.end(f)));
    this.inbox.set(d, got);
    return this.k.consume(f);
  }
}

/** "10.0.0.0/8" as the pair the control plane takes. */
export const cidr = (text: string): [number, number] => {
  const found = parseCidr(text);
  if (found === undefined) throw new Error(`not a prefix: ${text}`);
  return [found.address, found.prefix];
};
