// Looks at every frame of the benchmark where it ends, through the kernel's packet watch: a delivered frame
// must be in the pod whose address it carries, and that pod must be an endpoint of the Service at that
// moment. Who owns which address and who is an endpoint is asked of the cluster and the Service table, not of
// the tables that brought the frame there. Payload, sequence and (one in 1,024) all checksums are looked at
// by the sinks, socket/sink.ts.

import { htonl } from "../src/core/byte-order.ts";
import type { ServiceTable } from "../src/netfilter/service-table.ts";
import type { Kernel, PacketWatch } from "../src/node/kernel.ts";
import { vecNs, vecWord } from "../src/node/vector.ts";
import { IPV4_DST } from "../src/wire/ipv4.ts";

const REASONS = 256;
const NOBODY = -1;

export class DeliveryCheck implements PacketWatch {
  /** Frames of traffic sources that reached their socket. */
  delivered = 0;
  /** Those that carried the address of somebody else, and those whose receiver was no endpoint any more. */
  wrongOwner = 0;
  noEndpoint = 0;
  /** Frames of traffic sources that were dropped, by reason. */
  readonly drops = new Float64Array(REASONS);
  private readonly k: Kernel;
  private readonly table: ServiceTable;
  /** Service port the receivers must be endpoints of; NOBODY when no Service is involved. */
  private readonly servicePort: number;
  /** Flows from this row on are not the benchmark's (the kubelet's probes). */
  private flowEnd = 0;
  // By namespace: its address, 1 when it has one, and the revision at which it was last seen as an endpoint.
  private address = new Int32Array(256);
  private owned = new Uint8Array(256);
  private servedAt = new Int32Array(256).fill(NOBODY);
  /** Number of the packet that arrived last. */
  private last = NOBODY;

  constructor(k: Kernel, table: ServiceTable, servicePort: number) {
    this.k = k;
    this.table = table;
    this.servicePort = servicePort;
  }

  /** Flows below this row are watched. */
  watchFlows(end: number): void {
    this.flowEnd = end;
  }

  /** From now on this namespace has the address. */
  own(ns: number, address: number): void {
    if (ns >= this.address.length) this.grow(ns + 1);
    this.address[ns] = address;
    this.owned[ns] = 1;
    this.servedAt[ns] = NOBODY;
  }

  /** The namespace is gone, or another one will take its number. */
  disown(ns: number): void {
    this.owned[ns] = 0;
  }

  /** IP_LOCAL_DELIVER_FINISH: the frame is about to be handed to its socket. */
  arrived(f: number): void {
    const { skb } = this.k;
    if (!this.isOurs(f)) return;
    this.last = skb.packet[f];
    this.delivered++;
    const ns = skb.ns[f];
    const dst = skb.view.getInt32(skb.l3[f] + IPV4_DST);
    if (ns >= this.owned.length || this.owned[ns] === 0 || this.address[ns] !== dst) this.wrongOwner++;
    else if (this.servicePort >= 0 && this.servedAt[ns] !== this.table.revision) this.askTable(ns, dst);
  }

  /** The same of a vector. */
  arrivedTogether(n: number, flow: number): void {
    if (flow >= this.flowEnd) return;
    const { words } = this.k.skb;
    const { address, servedAt, owned, servicePort } = this;
    const { revision } = this.table;
    this.delivered += n;
    this.last = this.k.packets + n;
    for (let i = 0; i < n; i++) {
      const ns = vecNs[i];
      const dst = htonl(words[vecWord[i] + (IPV4_DST >> 2)]);
      if (ns >= owned.length || owned[ns] === 0 || address[ns] !== dst) this.wrongOwner++;
      else if (servicePort >= 0 && servedAt[ns] !== revision) this.askTable(ns, dst);
    }
  }

  dropped(f: number, reason: number): void {
    if (!this.isOurs(f)) return;
    this.drops[reason]++;
    // No socket took it after all.
    if (this.k.skb.packet[f] === this.last) this.delivered--;
    this.last = NOBODY;
  }

  /** A frame of a watched flow? Flow rows stand in its tag. */
  isOurs(f: number): boolean {
    const flow = this.k.skb.tag[f];
    return flow >= 0 && flow < this.flowEnd;
  }

  private askTable(ns: number, address: number): void {
    const { table } = this;
    if (table.isServing(this.servicePort, address, table.revision)) this.servedAt[ns] = table.revision;
    else this.noEndpoint++;
  }

  private grow(need: number): void {
    let n = this.address.length;
    while (n < need) n *= 2;
    const { address, owned, servedAt } = this;
    this.address = new Int32Array(n);
    this.address.set(address);
    this.owned = new Uint8Array(n);
    this.owned.set(owned);
    this.servedAt = new Int32Array(n).fill(NOBODY);
    this.servedAt.set(servedAt);
  }
}
