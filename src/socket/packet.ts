// Raw frames by hand: one that arrives at a device from the wire, and one that a program sends on a device.
// Mirrors packet_snd() and its checks in net/packet/af_packet.c (SOCK_RAW). Answers 0 or a negative error
// number.
// Absent: SOCK_DGRAM, fan-out, rings, virtio headers; receiving is what captures and recordings do.

import type { Kernel } from "../node/kernel.ts";
import { DevKind } from "../node/net-device.ts";
import { Stage } from "../node/stage.ts";
import { ETHERNET_SIZE, ETHERNET_TYPE, ETHERTYPE_VLAN } from "../wire/ethernet.ts";
import { VLAN_SIZE } from "../wire/vlan.ts";
import { Errno } from "./errno.ts";

/** The frame arrives at the device from whatever it is plugged into. */
export function injectFrame(k: Kernel, dev: number, bytes: Uint8Array): number {
  if (!exists(k, dev)) return -Errno.ENXIO;
  return bytes.length < ETHERNET_SIZE ? -Errno.EINVAL : queue(k, dev, bytes, Stage.NETIF_RECEIVE);
}

/** A program sends the frame on the device. */
export function transmitFrame(k: Kernel, dev: number, bytes: Uint8Array): number {
  if (!exists(k, dev)) return -Errno.ENXIO;
  if (k.dev.up[dev] === 0) return -Errno.ENETDOWN;
  const room = k.dev.mtu[dev] + ETHERNET_SIZE;
  const tagged = ((bytes[ETHERNET_TYPE] << 8) | bytes[ETHERNET_TYPE + 1]) === ETHERTYPE_VLAN;
  if (bytes.length > room + (tagged ? VLAN_SIZE : 0)) return -Errno.EMSGSIZE;
  return bytes.length < ETHERNET_SIZE ? -Errno.EINVAL : queue(k, dev, bytes, Stage.DEV_QUEUE_XMIT);
}

function exists(k: Kernel, dev: number): boolean {
  return dev >= 0 && dev < k.dev.ids.used && k.dev.kind[dev] !== DevKind.NONE;
}

function queue(k: Kernel, dev: number, bytes: Uint8Array, stage: Stage): number {
  const f = k.alloc(bytes.length, k.dev.ns[dev], dev);
  if (f < 0) return -Errno.ENOBUFS;
  const { skb } = k;
  const o = skb.off[f];
  skb.bytes.set(bytes, o);
  skb.dev[f] = dev;
  skb.mac[f] = o;
  skb.l3[f] = o + ETHERNET_SIZE;
  skb.l4[f] = o + ETHERNET_SIZE;
  skb.protocol[f] = (bytes[ETHERNET_TYPE] << 8) | bytes[ETHERNET_TYPE + 1];
  k.enqueue(f, stage);
  return 0;
}
