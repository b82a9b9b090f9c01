// Where the flow cache looks at a frame, and what makes one usual there: it leaves its socket (IP_LOCAL_OUT),
// or comes out of what held it: a link with a delay or rate (DEV_HARD_START_XMIT), the fabric of a VNet with
// a delay (VNET_INGRESS). There nothing of the namespaces it has crossed is left with it but its bytes, the
// connection whose reference it gives up, and whether its checksum is known to be good.

import type { Kernel } from "../node/kernel.ts";
import { DevKind } from "../node/net-device.ts";
import { SkbFlag } from "../node/sk-buff.ts";
import { Stage } from "../node/stage.ts";
import type { Fabric } from "../vnet/fabric.ts";
import { ETHERNET_SIZE, ETHERNET_TYPE, ETHERTYPE_IPV4 } from "../wire/ethernet.ts";
import { ICMP_ECHO, ICMP_ECHO_REPLY, ICMPV4_ID, icmpv4Check } from "../wire/icmpv4.ts";
import {
  IPV4_DF,
  IPV4_FRAGMENT,
  IPV4_PROTOCOL,
  IPV4_SIZE,
  IPV4_TOTAL_LENGTH,
  ipv4Check,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import { WIRE_OK } from "../wire/reason.ts";
import { TCP_ACK, TCP_FLAGS, TCP_PSH } from "../wire/tcp.ts";
import { UDP_CHECKSUM, UDP_LENGTH } from "../wire/udp.ts";

const VERSION_4_IHL_5 = 0x45;
/** Flags a locally made packet may have; any other makes it unusual. */
const PLAIN_PORTED = SkbFlag.LOCAL | SkbFlag.CSUM_PARTIAL;
const PLAIN_ICMP: number = SkbFlag.LOCAL;
/** A key is the row of a namespace, device or NIC * 256 + protocol, and one of these. */
const FROM_DEVICE = 1 << 30;
const FROM_FABRIC = 1 << 31;

/** What tells flows apart besides addresses and ports; 0 for a frame that has to walk. */
export function flowKey(k: Kernel, vnet: Fabric, f: number, at: Stage): number {
  const { skb } = k;
  const v = skb.view;
  const o = skb.l3[f];
  // DF set or not, but no fragment.
  if (v.getUint8(o) !== VERSION_4_IHL_5 || (v.getUint16(o + IPV4_FRAGMENT) & ~IPV4_DF) !== 0) return 0;
  const proto = v.getUint8(o + IPV4_PROTOCOL);
  if (proto === PROTO_TCP) {
    if ((v.getUint8(o + IPV4_SIZE + TCP_FLAGS) & ~TCP_PSH) !== TCP_ACK) return 0;
  } else if (proto === PROTO_ICMP) {
    const type = v.getUint16(o + IPV4_SIZE) >> 8;
    if (type !== ICMP_ECHO && type !== ICMP_ECHO_REPLY) return 0;
  } else if (proto !== PROTO_UDP) return 0;
  if (at === Stage.IP_LOCAL_OUT) {
    return skb.flags[f] === (proto === PROTO_ICMP ? PLAIN_ICMP : PLAIN_PORTED) ? (skb.ns[f] << 8) | proto : 0;
  }
  if (!isIntact(k, f, o, proto)) return 0;
  if (at === Stage.VNET_INGRESS) {
    const nic = skb.outDev[f];
    const gone = vnet.nics.alive[nic] === 0 || vnet.nics.generation[nic] !== skb.nexthop[f];
    return gone ? 0 : FROM_FABRIC | (nic << 8) | proto;
  }
  return scrubs(k, skb.dev[f]) ? FROM_DEVICE | (skb.dev[f] << 8) | proto : 0;
}

/** The frame leaves its socket. */
export function isLocalKey(key: number): boolean {
  return (key & (FROM_DEVICE | FROM_FABRIC)) === 0;
}

/** The driver forgets what belongs to the namespace the frame leaves. */
export function scrubs(k: Kernel, d: number): boolean {
  const { dev } = k;
  if (dev.kind[d] === DevKind.NIC) return dev.nic[d] >= 0;
  return dev.kind[d] === DevKind.VETH && dev.peer[d] >= 0 && dev.ns[dev.peer[d]] !== dev.ns[d];
}

/** A frame of nothing but an IP packet that reached the wire whole and whose checksums are good. */
function isIntact(k: Kernel, f: number, o: number, proto: number): boolean {
  const { skb } = k;
  const v = skb.view;
  if (skb.off[f] + ETHERNET_SIZE !== o) return false;
  if (v.getUint16(skb.off[f] + ETHERNET_TYPE) !== ETHERTYPE_IPV4) return false;
  const end = skb.off[f] + skb.len[f];
  const length = end - o;
  if (v.getUint16(o + IPV4_TOTAL_LENGTH) !== length) return false;
  if (proto === PROTO_ICMP)
    return ipv4Check(v, o, end) === WIRE_OK && icmpv4Check(v, o + IPV4_SIZE, end) === WIRE_OK;
  // What damages a frame takes this away.
  if ((skb.flags[f] & SkbFlag.CSUM_OK) === 0) return false;
  if (proto === PROTO_TCP) return true;
  const udp = o + IPV4_SIZE;
  return v.getUint16(udp + UDP_LENGTH) === length - IPV4_SIZE && v.getUint16(udp + UDP_CHECKSUM) !== 0;
}

/** Ports of UDP and TCP, or identifier * 65536 + type * 256 + code of an echo, as in a conntrack tuple. */
export function portsOf(v: DataView, o: number): number {
  const l4 = o + IPV4_SIZE;
  if (v.getUint8(o + IPV4_PROTOCOL) !== PROTO_ICMP) return v.getInt32(l4);
  return (v.getUint16(l4 + ICMPV4_ID) << 16) | v.getUint16(l4);
}
