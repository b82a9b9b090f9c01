// Sending UDP. Mirrors udp_sendmsg() in net/ipv4/udp.c and the length checks of __ip_append_data() in
// net/ipv4/ip_output.c. Calls answer the number of the packet, or a negative error number as the kernel does.
// Absent: corking, GSO, control messages other than those of SendOptions, MSG_CONFIRM.

import { IPV4_DF, IPV4_MAX_TOTAL, IPV4_SIZE, PROTO_UDP } from "../wire/ipv4.ts";
import { UDP_SIZE, writeUdpHeader } from "../wire/udp.ts";
import { addrType, Rtn } from "./addr-type.ts";
import { Errno } from "./errno.ts";
import { defaultTtl, localFrame, sendLocal, writeLocalHeader } from "./output.ts";
import { takeError } from "./socket-error.ts";
import { PmtuDisc, SocketFlag, type Sockets } from "./sockets.ts";

const LOOPBACK = 0x7f000001;
/** Bytes of payload that fit one IP packet after UDP's header. */
export const UDP_MAX_PAYLOAD = IPV4_MAX_TOTAL - IPV4_SIZE - UDP_SIZE;

export interface SendOptions {
  /** IP_TTL, IP_TOS for this packet. */
  ttl?: number;
  tos?: number;
  /** IP_PKTINFO: source address of this packet. */
  src?: number;
  /**
   * Path MTU of the route, for a socket whose IP_MTU_DISCOVER is DO (PROBE: the device's MTU): longer is
   * EMSGSIZE.
   */
  mtu?: number;
}

/**
 * sendto(); port 0 and address 0 stand for send() on a connected socket. A number sends that many bytes 0, 1,
 * 2 …
 */
export function udpSend(
  s: Sockets,
  sock: number,
  dst: number,
  port: number,
  data: Uint8Array | number,
  options: SendOptions = {},
): number {
  const length = typeof data === "number" ? data : data.length;
  if (length > 0xffff) return -Errno.EMSGSIZE;
  const named = dst !== 0 || port !== 0;
  if (named && port === 0) return -Errno.EINVAL;
  if (!named && s.remotePort[sock] === 0) return -Errno.EDESTADDRREQ;
  if (options.ttl !== undefined && !isTtl(options.ttl)) return -Errno.EINVAL;
  const src = options.src ?? sourceAddress(s, sock);
  const to = named ? localWhenAny(dst, src) : s.remoteAddr[sock];
  const toPort = named ? port : s.remotePort[sock];
  const unrouted = s.routeError(s.ns[sock], to, src);
  const refused = unrouted !== 0 ? 0 : sendRefused(s, sock, to, UDP_SIZE + length, options.mtu);
  if (refused !== 0) return -refused;
  const ttl = options.ttl ?? s.ttl[sock];
  const f = udpFrame(
    s,
    sock,
    s.k.ns.loopback[s.ns[sock]],
    src,
    to,
    toPort,
    length,
    ttl,
    options.tos ?? s.tos[sock],
  );
  if (f < 0) return -Errno.ENOBUFS;
  fillPayload(s, s.k.skb.l4[f] + UDP_SIZE, data);
  return unrouted !== 0 ? sendUnrouted(s, f, unrouted) : udpTransmit(s, sock, f);
}

/** The packet of a send that fails with `error`: it goes as far as the routing of IP_LOCAL_OUT. */
export function sendUnrouted(s: Sockets, f: number, error: number): number {
  s.unrouted = s.k.skb.packet[f];
  sendLocal(s.k, f);
  return -error;
}

/** What IP_TTL takes. */
export const isTtl = (ttl: number): boolean => ttl >= 1 && ttl <= 255;

/** inet_saddr: the bound address, unless it is a broadcast or multicast one. */
export function sourceAddress(s: Sockets, sock: number): number {
  const addr = s.localAddr[sock];
  return addr === 0 || addrType(s.k, s.ns[sock], addr) === Rtn.LOCAL ? addr : 0;
}

/** ip_route_output_key_hash(): 0.0.0.0 is this host. */
export function localWhenAny(dst: number, src: number): number {
  if (dst !== 0) return dst;
  return src !== 0 ? src : LOOPBACK;
}

/**
 * What stops a send before a packet is made, in the kernel's order: EACCES, EMSGSIZE, the socket's pending
 * error.
 */
export function sendRefused(
  s: Sockets,
  sock: number,
  dst: number,
  length: number,
  mtu: number | undefined,
): number {
  const broadcast = (s.flags[sock] & SocketFlag.BROADCAST) !== 0;
  if (!broadcast && addrType(s.k, s.ns[sock], dst) === Rtn.BROADCAST) return Errno.EACCES;
  const whole = s.pmtuDisc[sock] >= PmtuDisc.DO && mtu !== undefined;
  if (length > (whole ? mtu : IPV4_MAX_TOTAL) - IPV4_SIZE) return Errno.EMSGSIZE;
  return takeError(s, sock);
}

/** Writes the caller's bytes, or 0, 1, 2 … */
export function fillPayload(s: Sockets, at: number, data: Uint8Array | number): void {
  const { bytes } = s.k.skb;
  if (typeof data !== "number") bytes.set(data, at);
  else for (let i = 0; i < data; i++) bytes[at + i] = i;
}

/**
 * A frame with IP and UDP header from the socket's port, its payload still to be written; -1 when no slot is
 * free.
 */
export function udpFrame(
  s: Sockets,
  sock: number,
  dev: number,
  src: number,
  dst: number,
  port: number,
  length: number,
  ttl: number,
  tos: number,
): number {
  const { k } = s;
  const ns = s.ns[sock];
  const checksum = (s.flags[sock] & SocketFlag.NO_CHECK) === 0;
  const f = localFrame(k, ns, dev, UDP_SIZE + length, checksum);
  if (f < 0) return f;
  const v = k.skb.view;
  const df = s.pmtuDisc[sock] === PmtuDisc.DONT ? 0 : IPV4_DF;
  const hops = ttl === 0 ? defaultTtl(k, ns) : ttl;
  writeLocalHeader(v, k.skb.l3[f], k.skb.len[f], PROTO_UDP, src, dst, hops, tos, df);
  writeUdpHeader(v, k.skb.l4[f], s.localPort[sock], port, UDP_SIZE + length);
  return f;
}

/** @returns the packet's number */
export function udpTransmit(s: Sockets, sock: number, f: number): number {
  s.txPackets[sock]++;
  sendLocal(s.k, f);
  return s.k.skb.packet[f];
}
