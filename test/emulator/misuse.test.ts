// What a running script may get wrong: each is told at the call, by path, and leaves the emulation as it was.

import test from "ava";
import { TopologyError } from "../../src/emulator/errors.ts";
import { UnknownNameError } from "../../src/emulator/hosts.ts";
import type { Net } from "../../src/emulator/net.ts";
import type { TrafficOptions } from "../../src/emulator/traffic.ts";
import { ms } from "../../src/emulator/units.ts";
import { cluster, end, linesOf, web } from "./kit.ts";

const frame = (length: number): Uint8Array => new Uint8Array(length);
const UDP = { from: "client", to: "web:80" };

const CALLS: [string, (net: Net) => unknown, string[]][] = [
  ["a time that is none", (n) => n.at(Number.NaN), ["at: a time is a whole number of nanoseconds, not NaN"]],
  ["half a nanosecond", (n) => n.at(1.5), ["at: a time is a whole number of nanoseconds, not 1.5"]],
  ["a negative time", (n) => n.at(-1), ["at: a time is a whole number of nanoseconds, not -1"]],
  [
    "until never",
    (n) => n.run({ until: Number.POSITIVE_INFINITY }),
    ["run.until: a time is a whole number of nanoseconds, not Infinity"],
  ],
  [
    "for less than nothing",
    (n) => n.run({ for: -5 }),
    ["run.for: a time is a whole number of nanoseconds, not -5"],
  ],
  [
    "a source port",
    (n) => n.soon.udp("client", "web:80", "x", { sourcePort: 65_536 }),
    ["udp.sourcePort: must be a whole number from 0 to 65535, not 65536"],
  ],
  [
    "too much for a datagram",
    (n) => n.soon.udp("client", "web:80", 65_508),
    ["udp.payload: must be a whole number from 0 to 65507, not 65508"],
  ],
  [
    "bytes too many for a datagram",
    (n) => n.soon.udp("client", "web:80", frame(70_000)),
    ["udp.payload: must be a whole number from 0 to 65507, not 70000"],
  ],
  [
    "a TTL",
    (n) => n.soon.ping("client", "web-0", { ttl: 0 }),
    ["ping.ttl: must be a whole number from 1 to 255, not 0"],
  ],
  [
    "a size",
    (n) => n.soon.ping("client", "web-0", { size: -1 }),
    ["ping.size: must be a whole number from 0 to 65507, not -1"],
  ],
  [
    "a frame shorter than its header",
    (n) => n.soon.sendFrame("client/eth0", frame(13)),
    ["client/eth0 frame: must be a whole number from 14 to 65535, not 13"],
  ],
  [
    "replicas",
    (n) => n.soon.scale("web", -1),
    ["scale.web: must be a whole number from 0 to 2147483647, not -1"],
  ],
  [
    "a count of no replacements",
    (n) => n.soon.churn("web", ms(1), 0),
    ["churn.web.count: must be a whole number from 1 to 2147483647, not 0"],
  ],
  [
    "a pace",
    (n) => n.soon.churn("web", -1, 1),
    ["churn.web.every: must be a whole number from 0 to 9007199254740991, not -1"],
  ],
  [
    "a link",
    (n) => n.impair("n0/eth0", { delay: -1, loss: 2, faults: [{ action: "delay" }] }),
    [
      "n0/eth0.delay: must be a whole number of at least 0",
      "n0/eth0.jitter: must not be more than the delay",
      "n0/eth0.loss: must be between 0 and 1",
      "n0/eth0.faults[0].delay: is missing: how long, in ns",
    ],
  ],
  [
    "a sysctl",
    (n) => n.soon.sysctl("n0", "net.ipv4.ip_forwrd", 1),
    ['n0.sysctls: there is no sysctl "net.ipv4.ip_forwrd"; did you mean "net.ipv4.ip_forward"?'],
  ],
  [
    "a sysctl's value",
    (n) => n.soon.sysctl("n0", "net.ipv4.ip_forward", 2 ** 40),
    ["n0.sysctls: net.ipv4.ip_forward takes a whole number, not 1099511627776"],
  ],
  [
    "everything about a stream",
    (n) =>
      n.traffic({ ...UDP, flows: 0, rate: -1, packets: 0.5, frameBytes: 10, firstPort: 0, at: Number.NaN }),
    [
      "traffic.rate: a rate is more than 0 and at most 1000000000 packets per second",
      "traffic.flows: is a whole number from 1 to 65535",
      "traffic.packets: is a whole number not less than 0",
      "traffic.frameBytes: is a whole number from 58 to 65535",
      "traffic.firstPort: is a whole number from 1 to 65535",
      "traffic.at: is a whole number not less than 0",
    ],
  ],
  [
    "a rate without bound",
    (n) => n.traffic({ ...UDP, rate: Number.POSITIVE_INFINITY }),
    ["traffic.rate: a rate is more than 0 and at most 1000000000 packets per second"],
  ],
  [
    "more ports than there are",
    (n) => n.traffic({ ...UDP, flows: 60_000 }),
    ["traffic: EINVAL: 60000 flows of 64-byte frames from port 10000 to web:80"],
  ],
];

for (const [it, call, expect] of CALLS) {
  test(it, (t) => {
    const net = cluster(web(1));
    t.deepEqual(
      linesOf(() => call(net)),
      expect,
    );
    const sent = net.soon.udp("client", "web:80", "still here");
    net.run({ for: ms(1) });
    t.is(sent.text, "still here");
    end(t, net);
  });
}

test("ports of a stream that are in use", (t) => {
  const net = cluster(web(1));
  net.traffic({ ...UDP, flows: 5, packets: 1 });
  t.deepEqual(
    linesOf(() => net.traffic({ ...UDP, firstPort: 10_004 })),
    ["traffic: EADDRINUSE: 1 flows of 64-byte frames from port 10004 to web:80"],
  );
  end(t, net);
});

test("names nobody has", (t) => {
  const net = cluster(web(1));
  const traffic = (options: Partial<TrafficOptions>) => () => net.traffic({ ...UDP, ...options });
  const calls: [() => unknown, string][] = [
    [traffic({ from: "cleint" }), 'no pod, node or VM is named "cleint"; did you mean "client"?'],
    [traffic({ to: "wbe:80" }), 'no pod, node, VM or Service is named "wbe"; did you mean "web"?'],
    [traffic({ to: "web-0" }), '"web-0" names no port, as "web-0:80" does'],
    [() => net.soon.scale("wb", 1), 'no deployment is named "wb"; did you mean "web"?'],
    [() => net.soon.failPod("clint"), 'no pod, node or VM is named "clint"; did you mean "client"?'],
    [() => net.podInfos("wep"), 'no deployment is named "wep"; did you mean "web"?'],
    [() => net.pod("n0"), '"n0" is no pod'],
    [() => net.clusterIp("wep"), 'no Service is named "wep"; did you mean "web"?'],
    [() => net.show("n2", "route"), 'no pod, node or VM is named "n2"; did you mean "n0"?'],
    [() => net.explain("client", "nowhere:80"), 'no pod, node, VM or Service is named "nowhere"'],
    [() => net.explain("client", "web-0", { protocol: "tcp" }), '"web-0" names no port, as "web-0:80" does'],
    [() => net.setIpForwarding("n5", true), 'no pod, node or VM is named "n5"; did you mean "n0"?'],
  ];
  for (const [call, message] of calls) t.throws(call, { instanceOf: UnknownNameError, message });
  end(t, net);
});

test("what needs a NIC of the fabric says so", (t) => {
  const net = cluster(web(1));
  t.deepEqual(
    linesOf(() => net.setIpForwarding("client", true)),
    ["client: only a node or VM has a NIC"],
  );
  end(t, net);
});

test("a frame on a device that is down is told when its time comes", (t) => {
  const net = cluster(web(1));
  net.soon.link("client/eth0", false);
  net.soon.sendFrame("client/eth0", frame(60));
  t.throws(() => net.run({ for: 1 }), {
    instanceOf: TopologyError,
    message: "client/eth0: a frame of 60 bytes: ENETDOWN",
  });
  net.soon.sendFrame("client/eth0", frame(3000));
  net.soon.link("client/eth0", true);
  t.throws(() => net.run({ for: 1 }), { instanceOf: TopologyError });
  end(t, net);
});

test("an error of the script's own call() passes through, and the emulation goes on", (t) => {
  const net = cluster(web(1));
  net.soon.call(() => {
    throw new RangeError("mine");
  });
  const sent = net.at(ms(1)).udp("client", "web:80", "still here");
  t.throws(() => net.run({ for: ms(2) }), { instanceOf: RangeError, message: "mine" });
  net.run({ for: ms(2) });
  t.is(sent.text, "still here");
  end(t, net);
});

test("a table that is none", (t) => {
  const net = cluster(web(1));
  t.throws(() => net.show("n0", "tables" as never), { instanceOf: UnknownNameError });
  end(t, net);
});
