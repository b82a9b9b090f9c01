// Flows that the cache carries past stages that keep records of their own, each with the cache and without.

import test, { type ExecutionContext } from "ava";
import { defineTopology, type TopologyBuilder } from "../../src/emulator/define.ts";
import type { Net } from "../../src/emulator/net.ts";
import { CNI_MODES } from "../../src/emulator/spec.ts";
import { ms, sec, us } from "../../src/emulator/units.ts";
import { Nud } from "../../src/ip/neigh-table.ts";
import { sourceStart } from "../../src/socket/source.ts";
import { stateDifference } from "../properties/cache.ts";

/** Runs both ways; the state must be the same. The one with the cache is returned. */
function both(t: ExecutionContext, describe: (t: TopologyBuilder) => void, run: (net: Net) => void): Net {
  const [on, off] = [true, false].map((flowCache) => {
    const net = defineTopology({ seed: 3 }, describe).build({ flowCache });
    run(net);
    for (const s of net.script.streams) net.stopTraffic(s.row);
    net.run({ for: sec(1) });
    net.walk.cache.flush();
    return net;
  }) as [Net, Net];
  t.is(stateDifference(on, off), null);
  return on;
}

const ALLOW_8080 = { name: "allow", priority: 200, direction: "Inbound", access: "Allow" } as const;
const DENY_ALL = { name: "deny", priority: 100, direction: "Inbound", access: "Deny" } as const;

function twoVms(t: TopologyBuilder): void {
  t.nsg("servers", [{ ...ALLOW_8080, destinationPorts: 8080 }]);
  const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
  const subnet = vnet.subnet("servers", "10.224.0.0/24", { nsg: "servers" });
  t.vm("a", { subnet });
  t.vm("b", { subnet, udpSink: 8080, udpEcho: 7 });
}

const received = (net: Net): number => {
  net.walk.cache.flush();
  return net.walk.vnet.nics.received[net.walk.k.dev.nic[net.hosts.host("b").dev]!]!;
};

/** Nothing but the records shall age. */
function keepNeighbours(net: Net): void {
  const { neigh } = net.walk.ip;
  const { table } = neigh;
  const n = table.firstOf(net.hosts.host("a").dev);
  neigh.set(table.dev[n]!, table.addr[n]!, table.macHi[n]!, table.macLo[n]!, Nud.PERMANENT);
}

test("flow records: renewed by packets that do not walk, judged anew with new rules (N13, N14)", (t) => {
  const net = both(t, twoVms, (net) => {
    net.traffic({ from: "a", to: "b:8080", flows: 3, rate: 3, frameBytes: 64 });
    net.run({ until: sec(1) });
    keepNeighbours(net);
    // Longer than a record lives unused: 4 minutes (N16). Each new one looks at old ones.
    net.traffic({ from: "a", to: "b:7", flows: 3, rate: 3, frameBytes: 64, firstPort: 20_000, at: sec(500) });
    net.run({ until: sec(600) });
    t.is(net.walk.cache.size > 0, net.spec.flowCache);
    const walked = received(net);
    // N13: connections that are there go on under rules that would not let them begin.
    net.at(sec(601)).securityRule("servers", DENY_ALL);
    net.run({ until: sec(900) });
    t.true(received(net) - walked > 800);
    net.at(sec(901)).flushConnection("servers", true);
    net.run({ until: sec(905) });
    const flushed = received(net);
    net.run({ until: sec(920) });
    t.is(received(net), flushed);
  });
  t.true(net.walk.vnet.flows.hits > 5000);
});

for (const cni of CNI_MODES) {
  test(`${cni}: each part of a way between links and VNets that hold frames is an entry`, (t) => {
    const rate = 1000;
    const describe = (t: TopologyBuilder): void => {
      const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"], delay: us(200) });
      const aks = t.cluster("aks", { subnet: vnet.subnet("nodes", "10.224.0.0/24"), cni });
      aks.nodes(2);
      aks.deployment("web", { node: "n1", udpEcho: 8080 });
      aks.service("web", { port: 80, targetPort: 8080, protocol: "UDP" });
      aks.pod("client", { node: "n0" });
    };
    const net = both(t, describe, (net) => {
      net.at(0).impair("n0", { delay: us(50), rate: 1e9 });
      net.at(0).impair("client", { delay: us(10) });
      net.traffic({ from: "client", to: "web:80", flows: 4, rate, frameBytes: 64 });
      // Answered connections are streams after two seconds (K 3.4).
      net.run({ until: sec(3) });
      net.walk.spared = 0;
      net.run({ until: sec(4) });
    });
    // Out: client's link, node's link, VNet, socket; back: VNet, socket.
    t.true(net.walk.spared >= 6 * rate * 0.99, `${net.walk.spared}`);
  });
}

test("frames that a link damaged, lost, doubled or put out of order, with and without", (t) => {
  const net = both(t, twoVms, (net) => {
    net.at(0).impair("a", { delay: ms(1), reorder: 0.1, duplicate: 0.1 });
    net.at(0).impair("b", { delay: ms(2), jitter: ms(1), corrupt: 0.2, loss: 0.1 });
    net.traffic({ from: "a", to: "b:7", flows: 20, rate: 5000, frameBytes: 64 });
    net.run({ until: sec(2) });
  });
  t.true(net.walk.spared > 5000);
  t.true(net.walk.k.dropped > 1000);
});

test("a flow record that nothing used for its time is over, however its packets passed", (t) => {
  both(t, twoVms, (net) => {
    net.traffic({ from: "a", to: "b:8080", flows: 1, rate: 10, frameBytes: 64 });
    const { row } = net.script.streams[0]!;
    const pause = (until: number): void => {
      net.stopTraffic(row);
      net.run({ until });
      sourceStart(net.walk.sock, row, 10, 1, 0);
      net.run({ for: sec(1) });
    };
    net.run({ until: sec(10) });
    keepNeighbours(net);
    net.at(sec(11)).securityRule("servers", DENY_ALL);
    pause(sec(200));
    const passed = received(net);
    pause(sec(400));
    const renewed = received(net);
    t.true(renewed > passed);
    pause(sec(650));
    t.is(received(net), renewed);
  });
});
