// Every check in src/wire: one malformed frame per reason (malformed.ts), the kernel's vectors as the good
// ones, and any bytes at all.

import test from "ava";
import fc from "fast-check";
import { arpCheck } from "../../src/wire/arp.ts";
import { udpFrame } from "../../src/wire/build.ts";
import { ETHERTYPE_VLAN, ethernetCheck, ethernetType } from "../../src/wire/ethernet.ts";
import { icmpv4Check, icmpv4IsError, icmpv4QuoteCheck, icmpv4Type } from "../../src/wire/icmpv4.ts";
import {
  IPV4_SIZE,
  ipv4Check,
  ipv4End,
  ipv4IsFragment,
  ipv4Payload,
  ipv4Protocol,
} from "../../src/wire/ipv4.ts";
import {
  IPOPT_LOOSE_ROUTE,
  IPOPT_RECORD_ROUTE,
  IPOPT_TIMESTAMP,
  ipv4OptionFind,
  ipv4OptionIsCopied,
  ipv4OptionsCheck,
  ipv4OptionsError,
} from "../../src/wire/ipv4-options.ts";
import { WIRE_DROP_COUNT, WIRE_OK, WireDrop, wireDropName } from "../../src/wire/reason.ts";
import { tcpCheck } from "../../src/wire/tcp.ts";
import { tcpOptionFind, tcpOptionMss } from "../../src/wire/tcp-options.ts";
import { udpCheck } from "../../src/wire/udp.ts";
import { VLAN_SIZE, vlanCheck, vlanType } from "../../src/wire/vlan.ts";
import { OPTION_ROWS, ROWS } from "./malformed.ts";
import { MARGIN, VECTORS, viewOf } from "./vectors.ts";

/** All checks a receiving host runs, in its order. */
function checkFrame(v: DataView, o: number, end: number): number {
  const bad = ethernetCheck(v, o, end);
  if (bad !== WIRE_OK) return bad;
  let type = ethernetType(v, o);
  let at = o + 14;
  if (type === ETHERTYPE_VLAN) {
    const short = vlanCheck(v, at, end);
    if (short !== WIRE_OK) return short;
    type = vlanType(v, at);
    at += VLAN_SIZE;
  }
  if (type === 0x0806) return arpCheck(v, at, end);
  return type === 0x0800 ? checkIpv4(v, at, end) : WIRE_OK;
}

function checkIpv4(v: DataView, ip: number, end: number): number {
  const bad = ipv4Check(v, ip, end) || ipv4OptionsCheck(v, ip);
  if (bad !== WIRE_OK || ipv4IsFragment(v, ip)) return bad;
  const at = ipv4Payload(v, ip);
  const stop = ipv4End(v, ip);
  switch (ipv4Protocol(v, ip)) {
    case 1: {
      const wrong = icmpv4Check(v, at, stop);
      return wrong !== WIRE_OK || !icmpv4IsError(icmpv4Type(v, at)) ? wrong : icmpv4QuoteCheck(v, at, stop);
    }
    case 6:
      return tcpCheck(v, at, stop, ip);
    case 17:
      return udpCheck(v, at, stop, ip);
    default:
      return WIRE_OK;
  }
}

for (const row of ROWS) {
  test(`${row.it}: ${row.expect}`, (t) => {
    const padded = new Uint8Array(row.frame.length + 2 * MARGIN).fill(0x5a);
    padded.set(row.frame, MARGIN);
    const v = new DataView(padded.buffer);
    t.is(wireDropName(checkFrame(v, MARGIN, MARGIN + row.frame.length)), row.expect);
  });
}

test("every reason has a row", (t) => {
  const seen = new Set(ROWS.map((row) => row.expect));
  t.deepEqual(
    Object.keys(WireDrop).filter((name) => !seen.has(name as (typeof ROWS)[number]["expect"])),
    [],
  );
});

test("a reason that the kernel names, ours names too", (t) => {
  const ours: Record<string, RegExp> = {
    IP_INHDR: /^(IP_INHDR|IP_VERSION|IP_HLEN|IP_TOTLEN|IP_OPTIONS|ICMP_QUOTE)$/,
    IP_CSUM: /^IP_CSUM$/,
    ICMP_CSUM: /^ICMP_CSUM$/,
    UDP_CSUM: /^UDP_CSUM$/,
    TCP_CSUM: /^TCP_CSUM$/,
    PKT_TOO_SMALL: /^(PKT_TOO_SMALL|UDP_LEN|TCP_HLEN|ARP_TOO_SHORT)$/,
    NO_SOCKET: /^OK$/,
    OTHERHOST: /^OK$/,
  };
  for (const row of ROWS) t.regex(row.expect, ours[row.kernel] ?? /./, row.it);
});

test("reasons are the integers from 1, without gaps", (t) => {
  t.deepEqual(
    Object.values(WireDrop).map(Number),
    Array.from({ length: WIRE_DROP_COUNT - 1 }, (_, i) => i + 1),
  );
  t.is(wireDropName(0), "OK");
  t.is(wireDropName(WireDrop.TCP_CSUM), "TCP_CSUM");
  t.is(wireDropName(WIRE_DROP_COUNT), undefined);
});

for (const [name, vector] of Object.entries(VECTORS)) {
  test(`kernel vector ${name} is well formed`, (t) => {
    const { v, end } = viewOf(vector);
    t.is(checkFrame(v, MARGIN, end), WIRE_OK);
  });
}

for (const [it, options, pointer] of OPTION_ROWS) {
  test(`IPv4 options: ${it}`, (t) => {
    const frame = udpFrame({
      src: "10.1.0.1",
      dst: "10.1.0.254",
      sport: 1,
      dport: 2,
      ipOptions: Uint8Array.from(options),
    });
    const v = new DataView(frame.buffer);
    t.is(ipv4OptionsError(v, 14), pointer);
    t.is(ipv4OptionsCheck(v, 14), pointer === 0 ? WIRE_OK : WireDrop.IP_OPTIONS);
  });
}

test("an option is found where it stands", (t) => {
  const ipOptions = Uint8Array.from([1, 7, 3, 4, 131, 3, 4, 0]);
  const frame = udpFrame({ src: "10.0.0.1", dst: "10.0.0.2", sport: 1, dport: 2, ipOptions });
  const v = new DataView(frame.buffer);
  t.is(ipv4OptionFind(v, 14, IPOPT_RECORD_ROUTE), 35);
  t.is(ipv4OptionFind(v, 14, IPOPT_LOOSE_ROUTE), 38);
  t.is(ipv4OptionFind(v, 14, IPOPT_TIMESTAMP), -1);
  t.deepEqual([IPOPT_LOOSE_ROUTE, IPOPT_RECORD_ROUTE].map(ipv4OptionIsCopied), [true, false]);
});

test("property: no check throws on any bytes, offset or end", (t) => {
  const bytes = fc.uint8Array({ minLength: IPV4_SIZE, maxLength: 120 });
  fc.assert(
    fc.property(bytes, fc.nat(119), fc.nat(120), (data, a, b) => {
      const v = new DataView(data.buffer, data.byteOffset, data.byteLength);
      const o = Math.min(a, data.length);
      const end = Math.max(o, Math.min(b, data.length));
      const ip = Math.min(o, data.length - IPV4_SIZE);
      for (const result of [
        ethernetCheck(v, o, end),
        vlanCheck(v, o, end),
        arpCheck(v, o, end),
        ipv4Check(v, o, end),
        icmpv4Check(v, o, end),
        icmpv4QuoteCheck(v, o, end),
        udpCheck(v, o, end, ip),
        tcpCheck(v, o, end, ip),
        checkFrame(v, o, end),
      ]) {
        t.true(result >= 0 && result < WIRE_DROP_COUNT);
      }
    }),
    { numRuns: 1000 },
  );
});

test("property: IPv4 and TCP options of any bytes parse to an end", (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 60, maxLength: 60 }), (data) => {
      data[0] = 0x4f;
      data[12] = data[12]! | 0xf0;
      const v = new DataView(data.buffer, data.byteOffset, data.byteLength);
      const pointer = ipv4OptionsError(v, 0);
      t.true(pointer === 0 || (pointer >= 20 && pointer < 60));
      t.true(ipv4OptionFind(v, 0, IPOPT_TIMESTAMP) < 60);
      t.true(tcpOptionFind(v, 0, 60, 5, 0) < 60);
      t.true(tcpOptionMss(v, 0, 31) >= -1);
    }),
    { numRuns: 1000 },
  );
});
