// kube-proxy.md 5.1, ICMP rows, byte for byte as Linux 6.18 answered (kernel.txt); the identification is
// ip's.

import test from "ava";
import type { NsSysctl } from "../../src/node/sysctl.ts";
import { assertEmpty, bytesOf, GOLDENS, golden, makeHost, receive, withoutId } from "./host.ts";

// IP input drops it before ICMP sees it.
const MARTIAN = "icmp: echo request to 127.0.0.1";

/** Answers carry the time of day: milliseconds since midnight, in the last two words. */
const comparable = (hex: string): string => {
  const bare = withoutId(hex);
  return bare.slice(68, 70) === "0e" ? `${bare.slice(0, 72)}....${bare.slice(76, 92)}` : bare;
};

for (const g of GOLDENS) {
  const match = /^icmp(?:, (\w+)=(\d+))?: /.exec(g.name);
  if (match === null || g.name === MARTIAN) continue;
  test(g.name, (t) => {
    const h = makeHost();
    if (match[1] !== undefined) h.k.setNsSysctl(h.ns, `net.ipv4.${match[1]}` as NsSysctl, Number(match[2]));
    t.deepEqual(receive(h, bytesOf(g.input)).sent.map(comparable), g.output.map(comparable));
    assertEmpty(t, h);
  });
}

const endings: readonly (readonly [string, string])[] = [
  ["echo request", "consumed"],
  ["echo request with bad checksum", "ICMP_CSUM"],
  ["echo request of 7 bytes", "ICMP_TOO_SHORT"],
  ["empty", "ICMP_CSUM"],
  ["echo request to the broadcast address", "ICMP_IGNORED"],
  ["echo reply nobody waits for", "NO_SOCKET"],
  ["timestamp request with 3 bytes", "ICMP_TOO_SHORT"],
  ["information request", "ICMP_IGNORED"],
  ["address mask request", "ICMP_IGNORED"],
  ["unknown type 19", "ICMP_IGNORED"],
  ["extended echo request", "ICMP_IGNORED"],
  ["unknown type 255", "ICMP_IGNORED"],
];
for (const [name, end] of endings) {
  test(`${name}: ${end}`, (t) => {
    const h = makeHost();
    t.is(receive(h, bytesOf(golden(`icmp: ${name}`).input)).end, end);
    assertEmpty(t, h);
  });
}

test("the timestamp is the time of virtual day in milliseconds", (t) => {
  const h = makeHost();
  const ms = 86_400_000 + 3_723_004;
  h.k.clock.at(ms * 1e6 + 999_999, 0, 0, 0);
  h.k.clock.take();
  const [reply] = receive(h, bytesOf(golden("icmp: timestamp request").input)).sent;
  t.is(reply!.slice(84), "00001234" + "0038cefc".repeat(2));
  assertEmpty(t, h);
});

test("without a free slot there is no echo reply, and the loss is counted", (t) => {
  const h = makeHost(1);
  t.deepEqual(receive(h, bytesOf(golden("icmp: echo request").input)).sent, []);
  t.is(h.k.dropped, 1);
  assertEmpty(t, h);
});
