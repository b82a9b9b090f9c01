// What a socket call answers when it fails: Linux error numbers (include/uapi/asm-generic/errno-base.h,
// errno.h), and what an ICMP error means to the socket that sent the packet: icmp_err_convert[] in
// net/ipv4/icmp.c with the switches of __udp4_lib_err() in net/ipv4/udp.c and ping_err() in net/ipv4/ping.c.

import { Drop } from "../node/drop.ts";
import {
  ICMP_FRAG_NEEDED,
  ICMP_PARAMETER_PROBLEM,
  ICMP_REDIRECT,
  ICMP_SOURCE_QUENCH,
  ICMP_UNREACHABLE,
} from "../wire/icmpv4.ts";

export const Errno = {
  ENXIO: 6,
  EAGAIN: 11,
  EACCES: 13,
  EINVAL: 22,
  EPIPE: 32,
  ENONET: 64,
  EPROTO: 71,
  EDESTADDRREQ: 89,
  EMSGSIZE: 90,
  ENOPROTOOPT: 92,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ECONNRESET: 104,
  ENOBUFS: 105,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTDOWN: 112,
  EHOSTUNREACH: 113,
  EREMOTEIO: 121,
} as const;
export type Errno = (typeof Errno)[keyof typeof Errno];

const names: string[] = [];
for (const [name, value] of Object.entries(Errno)) names[value] = name;

/** The name of an error number, whatever its sign. */
export function errnoName(error: number): string {
  const n = error < 0 ? -error : error;
  return names[n] ?? `errno ${n}`;
}

/** What ip_route_output_flow() answers (fib_props[] in net/ipv4/fib_semantics.c) where ours names a drop. */
export function routeErrno(reason: number): number {
  switch (reason) {
    case Drop.IP_OUTNOROUTES:
      return Errno.ENETUNREACH;
    case Drop.IP_UNREACHABLE:
      return Errno.EHOSTUNREACH;
    case Drop.IP_PROHIBIT:
      return Errno.EACCES;
    case Drop.IP_BLACKHOLE:
      return Errno.EINVAL;
    default:
      return 0;
  }
}

/** Bit beside an error number: reported to a connected socket even without IP_RECVERR. */
export const HARD = 0x100;

/** icmp_err_convert[]: by code of a destination unreachable, 0 to 15. */
const UNREACHABLE_ERRORS = Uint16Array.of(
  Errno.ENETUNREACH,
  Errno.EHOSTUNREACH,
  Errno.ENOPROTOOPT | HARD,
  Errno.ECONNREFUSED | HARD,
  Errno.EMSGSIZE,
  Errno.EOPNOTSUPP,
  Errno.ENETUNREACH | HARD,
  Errno.EHOSTDOWN | HARD,
  Errno.ENONET | HARD,
  Errno.ENETUNREACH | HARD,
  Errno.EHOSTUNREACH | HARD,
  Errno.ENETUNREACH,
  Errno.EHOSTUNREACH,
  Errno.EHOSTUNREACH | HARD,
  Errno.EHOSTUNREACH | HARD,
  Errno.EHOSTUNREACH | HARD,
);

/**
 * The error number of an ICMP error, with HARD; 0 when the socket is not told. `pmtu` is true unless the
 * socket's IP_MTU_DISCOVER is DONT; `ping` sockets hear of source quench and redirects too.
 */
export function icmpErrno(type: number, code: number, pmtu: boolean, ping: boolean): number {
  switch (type) {
    case ICMP_SOURCE_QUENCH:
    case ICMP_REDIRECT:
      return ping ? Errno.EREMOTEIO : 0;
    case ICMP_PARAMETER_PROBLEM:
      return Errno.EPROTO | HARD;
    case ICMP_UNREACHABLE:
      if (code === ICMP_FRAG_NEEDED) return pmtu ? Errno.EMSGSIZE | HARD : 0;
      return code < UNREACHABLE_ERRORS.length ? UNREACHABLE_ERRORS[code] : Errno.EHOSTUNREACH;
    default:
      return Errno.EHOSTUNREACH;
  }
}
