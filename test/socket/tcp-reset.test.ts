// Every row of kube-proxy.md 5.2 for closed ports, and more, byte for byte as Linux 6.18 answered
// (kernel.txt).

import test from "ava";
import { assertEmpty, bytesOf, GOLDENS, golden, makeHost, receive } from "./host.ts";

// Rows whose answer Linux makes with options of the request, which socket/tcp/reset.ts lists as absent.
const OPTIONS_ECHOED = "tcp closed: SYN with record route option";

for (const g of GOLDENS) {
  if (!g.name.startsWith("tcp closed: ") || g.name === OPTIONS_ECHOED) continue;
  test(g.name, (t) => {
    const h = makeHost();
    t.deepEqual(receive(h, bytesOf(g.input)).sent, g.output);
    assertEmpty(t, h);
  });
}

test("absent: the options of the request are not echoed, the reset itself is the same", (t) => {
  const h = makeHost();
  const g = golden(OPTIONS_ECHOED);
  const plain = golden("tcp closed: SYN seq=1000");
  t.deepEqual(receive(h, bytesOf(g.input)).sent, plain.output);
  t.not(g.output[0], plain.output[0]);
  assertEmpty(t, h);
});

const endings: readonly (readonly [string, string])[] = [
  ["SYN seq=1000", "NO_SOCKET"],
  ["RST", "NO_SOCKET"],
  ["SYN with bad checksum", "TCP_CSUM"],
  ["data offset 4", "TCP_HLEN"],
  ["data offset past the end", "TCP_HLEN"],
  ["19 bytes", "TCP_TOO_SHORT"],
  ["SYN to us in a broadcast frame", "NO_SOCKET"],
];
for (const [name, reason] of endings) {
  test(`${name} is dropped as ${reason}`, (t) => {
    const h = makeHost();
    t.is(receive(h, bytesOf(golden(`tcp closed: ${name}`).input)).end, reason);
    assertEmpty(t, h);
  });
}

test("a segment that was not routed to a local address draws no reset", (t) => {
  const h = makeHost();
  const frame = bytesOf(golden("tcp closed: SYN seq=1000").input);
  const [first] = receive(h, frame).sent;
  t.truthy(first);
  frame.set([10, 1, 0, 255], 30);
  // The two checksums, for the other destination address.
  const view = new DataView(frame.buffer);
  for (const at of [24, 50]) view.setUint16(at, add(view.getUint16(at), -253));
  t.deepEqual(receive(h, frame), { end: "NO_SOCKET", sent: [] });
  assertEmpty(t, h);
});

function add(sum: number, n: number): number {
  const x = sum + n;
  return x < 0 ? x + 0xffff : x;
}

test("without a free slot there is no reset, and the loss is counted", (t) => {
  const h = makeHost(1);
  t.deepEqual(receive(h, bytesOf(golden("tcp closed: SYN seq=1000").input)).sent, []);
  t.is(h.k.dropped, 2);
  assertEmpty(t, h);
});
