// src/wire/print.ts against tcpdump 4.99.3 for the kernel's vectors (text in vectors.ts), its own additions,
// and any bytes at all.

import test from "ava";
import fc from "fast-check";
import { arpFrame, icmpErrorFrame, tcpFrame, udpFrame } from "../../src/wire/build.ts";
import { printBytes, printFrame } from "../../src/wire/print.ts";
import {
  arpReply,
  arpRequest,
  bytesOf,
  echoRequest,
  fragNeeded,
  MARGIN,
  portUnreachable,
  tagged,
  tcpSynAck,
  ttlExceeded,
  udpHello,
  VECTORS,
  viewOf,
} from "./vectors.ts";

for (const [name, vector] of Object.entries(VECTORS)) {
  test(`tcpdump -ntS: ${name}`, (t) => {
    const { v, end } = viewOf(vector);
    t.is(printFrame(v, MARGIN, end), vector.text);
  });
}

// `tcpdump -nteS -r a.pcap`
test("with MACs, as tcpdump -e", (t) => {
  const lines = [arpRequest, arpReply, udpHello, tagged].map((x) => printBytes(bytesOf(x), { macs: true }));
  const a = "02:00:00:00:00:0a";
  const r = "02:00:00:00:00:f0";
  t.deepEqual(lines, [
    `${a} > ff:ff:ff:ff:ff:ff, ethertype ARP (0x0806), length 42: ` +
      "Request who-has 10.1.0.254 tell 10.1.0.1, length 28",
    `${r} > ${a}, ethertype ARP (0x0806), length 42: Reply 10.1.0.254 is-at ${r}, length 28`,
    `${a} > ${r}, ethertype IPv4 (0x0800), length 47: 10.1.0.1.4001 > 10.2.0.1.9000: UDP, length 5`,
    `${a} > ${r}, ethertype 802.1Q (0x8100), length 51: vlan 10, p 3, ethertype IPv4 (0x0800), ` +
      "10.1.0.1.4001 > 10.1.0.254.9009: UDP, length 5",
  ]);
});

test("a tag shows without MACs too, unlike tcpdump", (t) => {
  t.is(printBytes(bytesOf(tagged)), "vlan 10, p 3, IP 10.1.0.1.4001 > 10.1.0.254.9009: UDP, length 5");
});

test("quotes, on request", (t) => {
  const quoted = (x: typeof udpHello) => printBytes(bytesOf(x), { quote: true });
  t.is(
    quoted(portUnreachable),
    "IP 10.2.0.1 > 10.1.0.1: ICMP 10.2.0.1 udp port 9001 unreachable, length 43 " +
      "(10.1.0.1.4001 > 10.2.0.1.9001: UDP, length 7)",
  );
  t.is(
    quoted(fragNeeded),
    "IP 10.1.0.254 > 10.1.0.1: ICMP 10.2.0.1 unreachable - need to frag (mtu 100), length 116 " +
      "(10.1.0.1.4001 > 10.2.0.1.9000: UDP, length 80)",
  );
  t.is(
    quoted(ttlExceeded),
    "IP 10.1.0.254 > 10.1.0.1: ICMP time exceeded in-transit, length 39 " +
      "(10.1.0.1.4001 > 10.2.0.1.9000: UDP, length 3)",
  );
  t.is(quoted(echoRequest), echoRequest.text);
});

const ends = { src: "10.0.0.1", dst: "10.0.0.2", sport: 1, dport: 2 };
const udp = udpFrame({ ...ends, payload: "hello" });
const tcp = tcpFrame({ ...ends, flags: 0 });
const quote = udp.slice(14);
const error = (type: number, code: number) =>
  icmpErrorFrame({ src: "10.0.0.2", dst: "10.0.0.1", type, code, mtu: 0, quote });

function patched(frame: Uint8Array, at: number, ...bytes: number[]): Uint8Array {
  const copy = frame.slice();
  copy.set(bytes, at);
  return copy;
}

const HEAD = "IP 10.0.0.1.1 > 10.0.0.2.2: ";
const BACK = "IP 10.0.0.2 > 10.0.0.1: ICMP ";

// The texts were compared with `tcpdump -ntS` on the same bytes, except the rows marked "ours".
for (const [it, frame, text] of [
  ["5 bytes (ours)", udp.slice(0, 5), "[|ether]"],
  ["802.3 (ours)", patched(udp, 12, 0, 46), "802.3, length 33"],
  ["IPv6 (ours)", patched(udp, 12, 0x86, 0xdd), "ethertype IPv6 (0x86dd), length 33"],
  ["an unknown type (ours)", patched(udp, 12, 0x88, 0xb5), "ethertype Unknown (0x88b5), length 33"],
  ["a tag cut short (ours)", patched(udp, 12, 0x81, 0).slice(0, 17), "[|vlan]"],
  ["ARP cut short (ours)", arpFrame({ ...arp(), vlan: { id: 5 } }).slice(0, 40), "vlan 5, p 0, ARP, [|arp]"],
  [
    "ARP of another hardware (ours)",
    patched(arpFrame(arp()), 14, 0, 4),
    "ARP, hardware 4 (len 6), protocol 0x0800 (len 4), length 28",
  ],
  ["ARP of another operation (ours)", patched(arpFrame(arp()), 20, 0, 9), "ARP, Unknown (9), length 28"],
  [
    "ARP probing a known neighbour",
    arpFrame({ ...arp(), targetMac: "02:00:00:00:00:02" }),
    "ARP, Request who-has 10.0.0.2 (02:00:00:00:00:02) tell 10.0.0.1, length 28",
  ],
  ["19 bytes of IPv4", udp.slice(0, 33), "IP  [|ip]"],
  ["version 5 (ours)", patched(udp, 14, 0x55), "IP version 5 (invalid)"],
  ["header length 16", patched(udp, 14, 0x44), "IP bad-hlen 16"],
  ["total length 19", patched(udp, 16, 0, 19), "IP bad-len 19"],
  [
    "header past the bytes",
    patched(udp, 14, 0x4f, 0, 0, 60),
    "IP truncated-ip - 27 bytes missing!  [remaining caplen(33) < header length(60)] [|ip]",
  ],
  [
    "bytes missing",
    udp.slice(0, 44),
    "IP truncated-ip - 3 bytes missing! 10.0.0.1.1 > 10.0.0.2.2: UDP, length 5",
  ],
  ["UDP cut in the header", udp.slice(0, 39), `IP truncated-ip - 8 bytes missing! ${HEAD.slice(3)} [|udp]`],
  ["7 bytes of UDP, then padding (ours)", patched(udp, 16, 0, 27), `${HEAD} [|udp]`],
  ["UDP length 7", patched(udp, 38, 0, 7), `${HEAD}truncated-udplength 7`],
  ["UDP length one too many", patched(udp, 38, 0, 14), `${HEAD}UDP, bad length 6 > 5`],
  ["TCP without flags", tcp, `${HEAD}Flags [none], win 64240, length 0`],
  ["TCP header length 16", patched(tcp, 46, 0x40), `${HEAD} tcp 4 [bad hdr length 16 - too short, < 20]`],
  [
    "TCP header length 24 of 20",
    patched(tcp, 46, 0x60),
    `${HEAD}Flags [none] [bad hdr length 24 - too long, > 20]`,
  ],
  ["all flags", patched(tcp, 47, 0xff), `${HEAD}Flags [FSRP.UEW], seq 0, ack 0, win 64240, urg 0, length 0`],
  ["admin prohibited", error(3, 13), `${BACK}host 10.0.0.2 unreachable - admin prohibited filter, length 41`],
  ["frag needed without an MTU", error(3, 4), `${BACK}10.0.0.2 unreachable - need to frag, length 41`],
  ["reassembly time", error(11, 1), `${BACK}ip reassembly time exceeded, length 41`],
  ["redirect", error(5, 1), `${BACK}redirect 10.0.0.2 to host 0.0.0.0, length 41`],
  ["source quench", error(4, 0), `${BACK}source quench, length 41`],
] as const) {
  test(it, (t) => t.is(printBytes(frame), text));
}

function arp() {
  return { senderMac: "02:00:00:00:00:01", senderIp: "10.0.0.1", targetIp: "10.0.0.2" };
}

test("options broken in the middle", (t) => {
  const options = Uint8Array.from([1, 8, 2, 253, 4, 0xca, 0xfe, 2, 9, 0, 0, 0]);
  const line = printBytes(tcpFrame({ ...ends, flags: 0x10, options }));
  t.is(
    line,
    `${HEAD}Flags [.], ack 0, win 64240, options [nop,TS[len 2],unknown-253 0xcafe,[bad opt]], length 0`,
  );
});

test("property: any bytes print as one line and never throw", (t) => {
  const heads = Object.values(VECTORS).map(bytesOf);
  const mutated = fc.tuple(
    fc.constantFrom(...heads),
    fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 8 }),
    fc.nat(160),
  );
  const check = (frame: Uint8Array) => {
    for (const options of [{}, { macs: true, quote: true }]) t.regex(printBytes(frame, options), /^[^\n]+$/);
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), check), { numRuns: 500 });
  fc.assert(
    fc.property(mutated, ([head, patches, cut]) => {
      const frame = head.slice(0, cut);
      for (const [at, value] of patches) if (at < frame.length) frame[at] = value;
      check(frame);
    }),
    { numRuns: 2000 },
  );
});

test("the printer reads only between its two offsets", (t) => {
  const { v, end } = viewOf(tcpSynAck);
  for (let stop = MARGIN; stop <= end; stop++) {
    const whole = printFrame(v, MARGIN, stop);
    const alone = printBytes(bytesOf(tcpSynAck).slice(0, stop - MARGIN));
    t.is(whole, alone);
  }
});
