// What a handle tells about a datagram or a ping: where it went, who answered, why it died; and the words of
// an expectation that does not hold.

import test from "ava";
import { ExpectationError } from "../../src/emulator/errors.ts";
import { expect } from "../../src/emulator/expect.ts";
import { UnknownNameError } from "../../src/emulator/hosts.ts";
import type { Net } from "../../src/emulator/net.ts";
import { ms, us } from "../../src/emulator/units.ts";
import { cluster, end, web } from "./kit.ts";

/** The text of the ExpectationError. */
function complaint(call: () => void): string {
  try {
    call();
  } catch (error) {
    if (error instanceof ExpectationError) return error.message;
    throw error;
  }
  return "nothing wrong";
}

test("a datagram that is answered", (t) => {
  const net = cluster(web(1));
  const sent = net.at(ms(2)).udp("client", "web:80", "hello");
  t.deepEqual([sent.packet, sent.sentAt, sent.deliveredTo, sent.reply, sent.error], [0, 0, null, null, null]);
  t.is(
    complaint(() => expect(sent).toArrive()),
    "expected an answer, but it was never sent",
  );
  net.run({ until: ms(50) });
  t.is(sent.sentAt, ms(2));
  t.true(sent.packet > 0);
  t.is(sent.deliveredTo, "web-0");
  t.is(sent.dropReason, null);
  t.is(sent.droppedAt, null);
  t.is(sent.text, "hello");
  t.is(sent.reply?.from, net.clusterIp("web"));
  t.is(sent.reply?.port, 80);
  // client and web-0 stand on the same node, which routes once: 64 - 1.
  t.is(sent.reply?.ttl, 63);
  t.is(sent.roundTrip, 0);
  t.is(sent.received.length, 1);
  expect(sent).toArrive();
  expect(sent).toArriveAt("web-0");
  const packet = `packet ${sent.packet} was delivered to web-0 and an answer came from 10.0.0.11:80`;
  t.is(
    complaint(() => expect(sent).toArriveAt("web-1")),
    `expected delivery to web-1, but ${packet}`,
  );
  t.is(
    complaint(() => expect(sent).toBeDropped()),
    `expected a drop, but ${packet}`,
  );
  t.is(
    complaint(() => expect(sent).toBeDropped("TTL_EXPIRED")),
    `expected a drop with TTL_EXPIRED, but ${packet}`,
  );
  t.is(
    complaint(() => expect(sent).toFailWith("ECONNREFUSED")),
    `expected ECONNREFUSED, but ${packet}`,
  );
  t.is(
    complaint(() => expect(sent).toGetNoAnswer()),
    `expected no answer, but ${packet}`,
  );
  end(t, net);
});

test("a Service without endpoints refuses: reason, place and the sender's error", (t) => {
  const net = cluster((aks, d) => {
    web(1)(aks, d);
    aks.service("empty", { port: 80, protocol: "UDP" });
  });
  const sent = net.soon.udp("client", "empty:80", "x");
  net.run({ for: ms(1) });
  t.is(sent.deliveredTo, null);
  t.is(sent.dropReason, "SERVICE_REJECT");
  t.regex(sent.droppedAt ?? "", /^n0\/azv/);
  t.is(sent.error, "ECONNREFUSED");
  t.is(sent.reply, null);
  t.is(sent.text, null);
  t.is(sent.roundTrip, null);
  expect(sent).toBeDropped();
  expect(sent).toBeDropped("SERVICE_REJECT");
  expect(sent).toFailWith("ECONNREFUSED");
  expect(sent).toGetNoAnswer();
  t.is(
    complaint(() => expect(sent).toArrive()),
    `expected an answer, but packet ${sent.packet} was dropped at ${sent.droppedAt}: SERVICE_REJECT and ` +
      "the sender got ECONNREFUSED",
  );
  end(t, net);
});

test("a closed port is delivered to the pod, dropped there, and refused", (t) => {
  const net = cluster(web(1));
  const sent = net.soon.udp("client", "web-0:9", "x");
  net.run({ for: ms(1) });
  t.deepEqual(
    [sent.deliveredTo, sent.dropReason, sent.droppedAt, sent.error],
    ["web-0", "NO_SOCKET", "web-0/eth0", "ECONNREFUSED"],
  );
  end(t, net);
});

test("a call the kernel refuses is never sent", (t) => {
  const net = cluster(web(1));
  const sent = net.soon.udp("client", "255.255.255.255:9", "x");
  net.run({ for: ms(1) });
  t.deepEqual([sent.packet, sent.error, sent.dropReason, sent.droppedAt], [0, "EACCES", "EACCES", null]);
  t.is(
    complaint(() => expect(sent).toArrive()),
    "expected an answer, but sending failed with EACCES",
  );
  end(t, net);
});

test("under way is neither delivered nor dropped", (t) => {
  const net = cluster(web(2));
  net.impair("n0/eth0", { delay: ms(20) });
  const far = net.soon.udp("client", "web-1:8080", "x");
  net.run({ for: ms(5) });
  t.is(
    complaint(() => expect(far).toArrive()),
    `expected an answer, but packet ${far.packet} is still under way or was lost on a link`,
  );
  net.run({ for: ms(40) });
  // The ARP request took as long as the datagram.
  t.is(far.roundTrip, ms(40));
  expect(far).toArriveAt("web-1");
  end(t, net);
});

test("pings: TTLs there and back, a TTL that runs out, sizes that need fragments", (t) => {
  const net = cluster(web(2));
  const near = net.soon.ping("client", "web-0");
  const far = net.soon.ping("client", "web-1");
  const short = net.soon.ping("client", "web-1", { ttl: 1 });
  const large = net.soon.ping("client", "web-1", { size: 4000 });
  const node = net.soon.ping("n1", "client");
  net.run({ for: ms(10) });
  t.deepEqual([near.reply?.ttl, far.reply?.ttl], [63, 62]);
  t.is(near.reply?.from, net.pod("web-0").ip);
  t.deepEqual([short.dropReason, short.error], ["TTL_EXPIRED", "EHOSTUNREACH"]);
  t.regex(short.droppedAt ?? "", /^n0\//);
  t.is(large.reply?.payload.length, 4008);
  t.is(node.deliveredTo, "client");
  end(t, net);
});

test("each handle gets the answer to its own datagram, also when they share a socket", (t) => {
  const net = cluster(web(2));
  net.impair("n0/eth0", { delay: ms(3) });
  const from = { sourcePort: 5000 };
  const far = net.at(ms(1)).udp("client", "web-1:8080", "far", from);
  const near = net.at(ms(1)).udp("client", "web-0:8080", "near", from);
  const shut = net.at(ms(2)).udp("client", "web-0:9", "shut", from);
  net.run({ until: ms(20) });
  t.deepEqual([far.text, near.text, shut.text], ["far", "near", null]);
  t.deepEqual([far.error, near.error, shut.error], [null, null, "ECONNREFUSED"]);
  t.deepEqual([far.received.length, near.received.length, shut.received.length], [1, 1, 1]);
  end(t, net);
});

test("a datagram nobody asked for goes to the handle whose socket it is", (t) => {
  const net = cluster(web(1));
  const first = net.at(ms(1)).udp("client", "web:80", "x", { sourcePort: 5000 });
  net.at(ms(2)).udp("web-0", "client:5000", "out of the blue", { sourcePort: 6000 });
  net.run({ until: ms(10) });
  t.deepEqual(
    first.received.map((r) => [new TextDecoder().decode(r.payload), r.port]),
    [
      ["x", 80],
      ["out of the blue", 6000],
    ],
  );
  end(t, net);
});

test("what a pod received stays with the handle when the pod goes, and its row has another tenant", (t) => {
  const net = cluster(web(1));
  const asked = net.at(ms(1)).udp("client", "web:80", "first");
  net.at(ms(2)).removePod("client");
  net.at(ms(2)).scale("web", 3);
  const other = net.at(ms(3)).udp("web-2", "web-0:8080", "second");
  const lost = net.at(ms(4)).udp("web-1", "web-0:9", "third");
  net.run({ until: ms(20) });
  t.deepEqual([asked.text, asked.deliveredTo, asked.received.length], ["first", "web-0", 1]);
  t.deepEqual([other.text, other.received.length], ["second", 1]);
  t.is(lost.droppedAt, "web-0/eth0");
  net.soon.removePod("web-0");
  net.soon.scale("web", 6);
  net.run({ for: ms(1) });
  t.deepEqual([asked.deliveredTo, lost.droppedAt], ["web-0", "web-0/eth0"]);
  end(t, net);
});

test("copies flooded to others are no reason why a packet died", (t) => {
  // The bridge has forgotten web-0 and floods: the other pod gets a copy and has no use for it.
  const net = cluster(
    (aks) => {
      aks.pod("a").pod("b", { udpEcho: 7 }).pod("c");
    },
    { cni: "kubenet" },
    1,
  );
  const first = net.at(0).udp("a", "b:7", "x");
  const later = net.at(400e9).udp("a", "b:7", "x");
  net.run({ until: 401e9 });
  for (const sent of [first, later]) {
    t.deepEqual([sent.deliveredTo, sent.text, sent.dropReason, sent.droppedAt], ["b", "x", null, null]);
  }
  t.true(net.drops().some((d) => d.reason === "OTHERHOST"));
  end(t, net);
});

test("every way to say where a datagram goes", (t) => {
  const net = cluster((aks, d) => {
    web(1)(aks, d);
    aks.deployment("dns", { udpEcho: [53, 54] });
    aks.service("dns", {
      ports: [
        { port: 53, protocol: "UDP" },
        { port: 54, protocol: "UDP" },
        { port: 53, protocol: "TCP" },
      ],
    });
    d.vm("vm", { subnet: { path: "prod/nodes" }, udpEcho: 5432 });
  });
  const ways: [string, string][] = [
    ["web:80", "web-0"],
    ["web", "web-0"],
    [`${net.clusterIp("web")}:80`, "web-0"],
    ["web-0:8080", "web-0"],
    [`${net.pod("web-0").ip}:8080`, "web-0"],
    ["vm:5432", "vm"],
    ["dns:53", "dns-0"],
    ["dns:54", "dns-0"],
    ["client:5000", "client"],
    ["n1:9", "n1"],
  ];
  const sent = ways.map(([to]) => net.soon.udp("client", to, "x"));
  net.run({ for: ms(10) });
  t.deepEqual(
    sent.map((s) => s.deliveredTo),
    ways.map(([, name]) => name),
  );
  const wrong: [string, string][] = [
    ["wbe:80", 'no pod, node, VM or Service is named "wbe"; did you mean "web"?'],
    ["clien:80", 'no pod, node, VM or Service is named "clien"; did you mean "client"?'],
    ["xyzzy:80", 'no pod, node, VM or Service is named "xyzzy"'],
    ["web:http", '"http" is no port number'],
    ["web:0", '"0" is no port number'],
    ["web:65536", '"65536" is no port number'],
    ["web-0", '"web-0" names no port, as "web-0:80" does'],
    ["dns", '"dns" names no port, as "dns:53" or "dns:54" does'],
    ["10.224.0.9", '"10.224.0.9" names no port, as "10.224.0.9:80" does'],
  ];
  for (const [to, message] of wrong) {
    t.throws(() => net.soon.udp("client", to, "x"), { instanceOf: UnknownNameError, message }, to);
  }
  t.throws(() => net.soon.udp("clientt", "web:80"), {
    instanceOf: UnknownNameError,
    message: 'no pod, node or VM is named "clientt"; did you mean "client"?',
  });
  t.throws(() => net.soon.ping("client", "webb"), { instanceOf: UnknownNameError });
  end(t, net);
});

test("expectations of the whole emulation and of values", (t) => {
  const net = cluster(web(1));
  expect(net).toHaveNoDrops();
  net.soon.udp("client", "web-0:9", "x");
  net.run({ for: us(1) });
  t.is(
    complaint(() => expect(net).toHaveNoDrops()),
    "expected no drops, but there were 1 NO_SOCKET at web-0/eth0",
  );
  expect(3).toBe(3);
  expect([1, { a: 2 }]).toEqual([1, { a: 2 }]);
  expect(3).toBeAtMost(3);
  expect(3).toBeAtLeast(3);
  t.is(
    complaint(() => expect(3).toBe(4)),
    "expected 4, got 3",
  );
  t.is(
    complaint(() => expect("a").toBe("b")),
    'expected "b", got "a"',
  );
  t.is(
    complaint(() => expect([1]).toEqual([2])),
    "expected [2], got [1]",
  );
  t.is(
    complaint(() => expect(5).toBeAtMost(4)),
    "expected at most 4, got 5",
  );
  t.is(
    complaint(() => expect(5).toBeAtLeast(6)),
    "expected at least 6, got 5",
  );
  t.is(
    complaint(() => expect<unknown>("5").toBeAtLeast(1)),
    'expected at least 1, got "5"',
  );
  end(t, net);
});

test("what a script says is kept in order", (t) => {
  const net: Net = cluster(web(1));
  net.log("one");
  net.log();
  net.at(ms(1)).call(() => net.log(`at ${net.now}`));
  net.run({ until: ms(2) });
  t.deepEqual(net.lines, ["one", "", "at 1000000"]);
  end(t, net);
});
