// VNet flow logs, azure.md 7.1 and statement 96, and the limits of 1.8 as settings.

import test from "ava";
import {
  defineTopology,
  minutes,
  ms,
  type Net,
  openSnapshot,
  sec,
  type TopologyBuilder,
} from "../../src/index.ts";
import { isoTime } from "../../src/observe/flow-logs.ts";
import { end, problemsOf } from "./kit.ts";

function pair(logs = true) {
  return defineTopology({ seed: 7, frames: 512 }, (t: TopologyBuilder) => {
    t.nsg("web", [
      { name: "echo", priority: 100, direction: "Inbound", access: "Allow", destinationPorts: [7, 80] },
      { name: "rest", priority: 200, direction: "Inbound", access: "Deny" },
    ]);
    const vnet = t.vnet("prod", { addressSpace: ["10.0.0.0/16"], flowLogs: logs, flowTimeoutInMinutes: 10 });
    const subnet = vnet.subnet("s", "10.0.0.0/24");
    t.vm("a", { subnet });
    t.vm("b", { subnet, nsg: "web", udpEcho: 7, tcpEcho: 80 });
  });
}

/** Tuples as [aclID, rule, ...13 fields]. */
function tuples(net: Net): string[][] {
  return net.diagnose
    .flowLogs("prod")
    .records.flatMap(({ flowRecords }) =>
      flowRecords.flows.flatMap(({ aclID, flowGroups }) =>
        flowGroups.flatMap(({ rule, flowTuples }) => flowTuples.map((t) => [aclID, rule, ...t.split(",")])),
      ),
    );
}

test("A8.96 a tuple has 13 fields; B and D have no counts; the rule is named as flow logs do", (t) => {
  const net = pair().build();
  net.at(ms(5)).udp("a", "b:7", "hello", { sourcePort: 4000 });
  net.at(ms(6)).udp("a", "b:9", "hello", { sourcePort: 4001 });
  net.run({ until: minutes(30) });
  const lines = tuples(net).map((tuple) => tuple.join(","));
  t.true(tuples(net).every((tuple) => tuple.length === 2 + 13));
  t.deepEqual(
    lines.sort(),
    [
      "unspecified,unspecified,5,10.0.0.4,10.0.0.5,4000,7,17,O,B,NX,0,0,0,0",
      "unspecified,unspecified,6,10.0.0.4,10.0.0.5,4001,9,17,O,B,NX,0,0,0,0",
      "unspecified,unspecified,5,10.0.0.4,10.0.0.5,4000,7,17,O,E,NX,1,47,1,47",
      "unspecified,unspecified,6,10.0.0.4,10.0.0.5,4001,9,17,O,E,NX,1,47,0,0",
      "web,UserRule_echo,5,10.0.0.4,10.0.0.5,4000,7,17,I,B,NX,0,0,0,0",
      "web,UserRule_echo,5,10.0.0.4,10.0.0.5,4000,7,17,I,E,NX,1,47,1,47",
      "web,UserRule_rest,6,10.0.0.4,10.0.0.5,4001,9,17,I,D,NX,0,0,0,0",
    ].sort(),
  );
  const [record] = net.diagnose.flowLogs().records;
  t.like(record, {
    time: "1970-01-01T00:00:00.000Z",
    flowLogVersion: 4,
    category: "FlowLogFlowEvent",
    operationName: "FlowLogFlowEvent",
    targetResourceID: "/providers/Microsoft.Network/virtualNetworks/prod",
  });
  t.is(record?.macAddress.length, 12);
  end(t, net);
});

test("A8.96 a long flow is told every five minutes; B, C and E sum to the counters of the port", (t) => {
  const net = pair().build();
  const c = net.at(ms(1)).connect("a", "b:80");
  // Every two minutes for twenty: each C tells what passed since the last.
  for (let i = 1; i <= 10; i++) net.at(minutes(2 * i)).send(c, 1000 * i);
  net.run({ until: minutes(21) });
  c.close();
  net.run({ until: minutes(60) });
  const all = tuples(net);
  const sum = (direction: string, field: number) =>
    all.filter((x) => x[8] === direction).reduce((n, x) => n + Number(x[field]), 0);
  const states = all.filter((x) => x[8] === "I").map((x) => x[9]);
  t.is(states.join(""), "BCCCCE");
  const times = all.filter((x) => x[8] === "I" && x[9] === "C").map((x) => Number(x[2]) / 60_000);
  t.deepEqual(times.map(Math.floor), [5, 10, 15, 20]);
  const { nics } = net.walk.vnet;
  const [a, b] = ["a", "b"].map((name) => net.walk.k.dev.nic[net.hosts.host(name).dev] as number) as [
    number,
    number,
  ];
  // Beside the flow each port carried ARP: a request each way out, its answer each way in, 42 bytes.
  const arp = (counter: number, bytes: number) => Math.round((bytes - counter) / 42);
  for (const [direction, nic, forward] of [
    ["O", a, true],
    ["I", b, false],
  ] as const) {
    const [out, back] = forward ? [11, 13] : [13, 11];
    const sent = sum(direction, out);
    const received = sum(direction, back);
    t.is((nics.sent[nic] as number) - sent, (nics.received[nic] as number) - received);
    const asked = (nics.sent[nic] as number) - sent;
    t.true(asked > 0);
    t.is(arp(sum(direction, out + 1), nics.sentBytes[nic] as number), asked);
    t.is(arp(sum(direction, back + 1), nics.receivedBytes[nic] as number), asked);
  }
  end(t, net);
});

test("without flow logs nothing is kept; a snapshot holds flows under way", (t) => {
  const quiet = pair(false).build();
  quiet.at(ms(5)).udp("a", "b:7", "x");
  quiet.run({ until: minutes(30) });
  t.deepEqual(quiet.diagnose.flowLogs().records, []);
  end(t, quiet);
  const net = pair().build();
  net.at(ms(5)).udp("a", "b:7", "x", { sourcePort: 4000 });
  net.run({ until: sec(1) });
  const other = openSnapshot(net.snapshot());
  for (const each of [net, other]) each.run({ until: minutes(30) });
  t.deepEqual(tuples(net), tuples(other));
  t.is(tuples(other).length, 4);
  end(t, net);
});

test("times of records are dates", (t) => {
  for (const ms of [0, 951_782_400_000, 1_709_208_000_123, 4_102_444_799_000]) {
    t.is(isoTime(ms), new Date(ms).toISOString());
  }
});

test("V81 V83 V85 V86 limits are settings, and what is too much is reported with its path", (t) => {
  const found = problemsOf(
    (d) => {
      d.routeTable(
        "rt",
        [1, 2, 3].map((n) => ({ prefix: `10.${n}.0.0/16`, nextHop: "None" })),
      );
      const hub = d.vnet("hub", { addressSpace: ["10.0.0.0/16"] });
      const s = hub.subnet("s", "10.0.0.0/24");
      hub.subnet("t", "10.0.1.0/24");
      for (const n of [1, 2]) hub.peer(d.vnet(`v${n}`, { addressSpace: [`10.${n}.0.0/16`] }));
      d.vm("a", { subnet: s });
      d.vm("b", { subnet: s });
    },
    { limits: { routesPerTable: 2, subnetsPerVnet: 1, peeringsPerVnet: 1, nics: 1, vnets: 2 } },
  );
  t.deepEqual(found, [
    "routeTable.rt.routes[2]: more than 2 routes in one table",
    "vnet.hub.subnet.t.prefix: more than 1 subnets in this VNet",
    "vnet.v2: more than 2 VNets",
    "vnet.hub.peering.to-v2: more than 1 peerings in this VNet",
    "vm.b.address: more than 1 NICs",
  ]);
  const wrong = problemsOf(() => {}, { limits: { flows: 1, nics: -1 } as never });
  t.deepEqual(wrong, [
    "limits.flows: Azure has no such limit here",
    "limits.nics: a limit is a whole number, not negative",
  ]);
});

test("A8.25 a flow over the limit is refused while older ones go on", (t) => {
  const net = defineTopology({ seed: 7, frames: 512, limits: { flowsPerNic: 2 } }, (d) => {
    d.nsg("n", []);
    const subnet = d.vnet("v", { addressSpace: ["10.0.0.0/16"] }).subnet("s", "10.0.0.0/24");
    d.vm("a", { subnet, nsg: "n" });
    d.vm("b", { subnet, udpEcho: 7 });
  }).build();
  const ask = (port: number) => {
    const sent = net.soon.udp("a", "b:7", "x", { sourcePort: port });
    net.run({ for: ms(5) });
    return sent.received.length > 0 ? "answered" : sent.dropReason;
  };
  t.deepEqual(
    [1, 2, 3, 1].map((n) => ask(4000 + n)),
    ["answered", "answered", "VNET_FLOW_LIMIT", "answered"],
  );
  end(t, net);
});
