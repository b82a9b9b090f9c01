// Flows that the cache carries past stages that keep records of their own, each with the cache and without.

import test, { type ExecutionContext } from "ava";
import { defineTopology, type TopologyBuilder } from "../../src/emulator/define.ts";
import type { Net } from "../../src/emulator/net.ts";
import { CNI_MODES } from "../../src/emulator/spec.ts";
import { ms, sec, us } from "../../src/emulator/units.ts";
import { Nud } from "../../src/ip/neigh-table.ts";
import { FLOW_NEXT, FLOW_WORDS } from "../../src/socket/flows.ts";
import { sourceStart } from "../../src/socket/source.ts";
import { NextHop } from "../../src/vnet/azure.ts";
import { PROTO_UDP } from "../../src/wire/ipv4.ts";
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

/** Neighbours shall not age. */
function keepNeighbours(net: Net): void {
  const { neigh } = net.walk.ip;
  const { table } = neigh;
  for (let d = 0; d < net.walk.k.dev.ids.used; d++) {
    for (let n = table.firstOf(d); n >= 0; n = table.devNext[n]!) {
      neigh.set(d, table.addr[n]!, table.macHi[n]!, table.macLo[n]!, Nud.PERMANENT);
    }
  }
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

test("a source whose flows do not take turns in the order of their ports", (t) => {
  both(t, twoVms, (net) => {
    const { sources, flows } = net.walk.sock;
    net.traffic({ from: "a", to: "b:8080", flows: 100, rate: 100_000, frameBytes: 64 });
    const { row } = net.script.streams[0]!;
    sources.step[row] = 61;
    net.run({ until: sec(1) });
    const numbers = Array.from(
      { length: 100 },
      (_, flow) => flows.cells[(sources.firstFlow[row]! + flow) * FLOW_WORDS + FLOW_NEXT]! - 1,
    );
    t.true(Math.max(...numbers) - Math.min(...numbers) <= 1, numbers.join());
    t.is(Math.min(...numbers), 1000);
    t.is(net.walk.cache.size > 0, net.spec.flowCache);
  });
});

test("datagrams for a sink that closes find it so (RFC 1122 section 4.1.3.1)", (t) => {
  const dropped: number[] = [];
  both(t, twoVms, (net) => {
    const { k, sock } = net.walk;
    net.traffic({ from: "a", to: "b:8080", flows: 5, rate: 1000, frameBytes: 64 });
    net.run({ until: sec(1) });
    const { ns, ip } = net.hosts.host("b");
    const sink = sock.lookup(PROTO_UDP, ns, ip, 8080, net.hosts.host("a").ip, 1);
    sock.remove(sink);
    net.run({ until: sec(2) });
    dropped.push(k.dropped);
  });
  t.is(dropped[0], dropped[1]);
  t.true(dropped[0]! >= 1000);
});

for (const cni of CNI_MODES) {
  test(`${cni}: one of many flows walks when a neighbour is probed, the others follow`, (t) => {
    const flows = 100;
    const describe = (t: TopologyBuilder): void => {
      const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
      const aks = t.cluster("aks", { subnet: vnet.subnet("nodes", "10.224.0.0/24"), cni });
      aks.nodes(2);
      aks.deployment("web", { node: "n1", udpSink: 8080 });
      aks.service("web", { port: 80, targetPort: 8080, protocol: "UDP" });
      aks.pod("client", { node: "n0" });
    };
    let turns = 0;
    const net = both(t, describe, (net) => {
      // Lengths that a path has met, and longer ones.
      for (const [i, frameBytes] of [64, 900].entries()) {
        net.traffic({
          from: "client",
          to: "web:80",
          flows,
          rate: 400,
          frameBytes,
          firstPort: 10_000 * (i + 1),
        });
      }
      net.run({ until: sec(3) });
      net.walk.walked = 0;
      const { table } = net.walk.ip.neigh;
      const states = (): string => table.state.subarray(0, table.rows.used).join();
      for (let at = 3, last = states(); at < 63; at++, last = states()) {
        net.run({ until: sec(at + 1) });
        if (states() !== last) turns++;
      }
    });
    t.true(turns > 10, `${turns}`);
    const { walked } = net.walk;
    // ARP walks as well.
    t.true(walked < 30 * turns, `${walked} frames, ${turns} turns`);
  });
}

test("many answered flows of a pod that is no endpoint any more, which goes on living", (t) => {
  const flows = 300;
  const describe = (b: TopologyBuilder): void => {
    const vnet = b.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    const aks = b.cluster("aks", { subnet: vnet.subnet("nodes", "10.224.0.0/16") });
    aks.nodes(2);
    aks.deployment("web", { replicas: 2, udpEcho: 7, node: "n1" });
    aks.service("web", { port: 7, protocol: "UDP" });
    aks.pod("client", { node: "n0" });
  };
  const net = both(t, describe, (net) => {
    net.traffic({ from: "client", to: "web:7", flows, rate: flows * 10, frameBytes: 64 });
    net.run({ until: sec(3) });
    const pod = net.hosts.host("web-0").dev;
    const got = (): number => {
      net.walk.cache.flush();
      return net.walk.k.dev.rxPackets[pod]!;
    };
    const before = got();
    t.true(before > (flows / 2) * 25);
    net.soon.ready("web-0", false);
    const entries = net.walk.nf.t.ids.live;
    net.run({ until: net.now });
    t.is(net.walk.nf.t.ids.live, entries, "buried");
    net.run({ until: sec(4) });
    t.is(got(), before);
  });
  t.true(net.walk.spared > flows * 20);
});

for (const delay of [0, us(300)]) {
  test(`through a peering and a gateway to a site, ${delay} ns away, and when that is cut`, (t) => {
    const describe = (t: TopologyBuilder): void => {
      const hub = t.vnet("hub", { addressSpace: ["10.32.0.0/16"] });
      const prod = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
      hub.peer(prod, { allowGatewayTransit: true });
      prod.peer(hub, { useRemoteGateways: true });
      hub.subnet("GatewaySubnet", "10.32.255.0/27");
      hub.gateway("gateway", "Vpn");
      const site = t.site("site", { addressSpace: ["192.168.0.0/16"] });
      t.connection("tunnel", "gateway", { site, delay });
      t.vm("a", { subnet: prod.subnet("servers", "10.224.0.0/24") });
      t.vm("b", { subnet: site.subnet("desks", "192.168.1.0/24"), udpEcho: 7 });
    };
    const net = both(t, describe, (net) => {
      net.traffic({ from: "a", to: "b:7", flows: 5, rate: 1000, frameBytes: 64 });
      net.run({ until: sec(1) });
      const arrived = received(net);
      t.true(arrived > 990);
      net.at(net.now).connection("tunnel", false);
      net.run({ until: sec(2) });
      t.true(received(net) - arrived < 10);
      net.at(net.now).connection("tunnel", true);
      net.run({ until: sec(3) });
      const { vnet } = net.walk;
      const table = vnet.addRouteTable("nowhere");
      vnet.setRoute(table, 0x0ae00000, 24, NextHop.NONE);
      vnet.associate(vnet.subnets.name.indexOf("GatewaySubnet"), table);
      // The effective routes of GatewaySubnet decide about answers.
      const { dropped } = net.walk.k;
      net.run({ until: sec(4) });
      t.true(net.walk.k.dropped - dropped > 990);
    });
    // Each VNet and the tunnel that holds packets makes two entries of one.
    t.true(net.walk.spared > (delay > 0 ? 2 : 1) * 3900, `${net.walk.spared}`);
  });
}

test("a pod whose bridge sends everything to the fabric (azure-tunnel) reaches its neighbour", (t) => {
  const describe = (t: TopologyBuilder): void => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    const aks = t.cluster("aks", { subnet: vnet.subnet("nodes", "10.224.0.0/24"), cni: "azure-tunnel" });
    aks.nodes(1);
    aks.pod("client");
    aks.pod("b", { udpEcho: 7, tcpEcho: 9000, tcpSink: 9001 });
  };
  const trackers: string[] = [];
  const net = both(t, describe, (net) => {
    // The tracker of their node sees each segment twice.
    for (const to of ["b:9000", "b:9001", "b:9001", "b:9000"]) {
      const connection = net.at(ms(1)).connect("client", to);
      for (let i = 1; i < 20; i++) net.at(i * ms(150)).send(connection, 900 * (i % 7) + 500);
    }
    net.traffic({ from: "client", to: "b:7", flows: 4, rate: 1000, frameBytes: 64 });
    let seen = "";
    for (let i = 1; i < 50; i++) {
      net.run({ until: i * ms(75) });
      seen += net.walk.nf.t.tcp.join();
    }
    trackers.push(seen);
    net.run({ until: sec(4) });
    net.walk.nf.t.flush(net.hosts.host("n0").ns);
    net.run({ until: sec(5) });
  });
  t.true(trackers[0] === trackers[1]);
  // There and back, each in two parts; streams after two seconds (K 3.4).
  t.true(net.walk.spared > 4 * 1900, `${net.walk.spared}`);
});

test("a sender that ignores redirects is sent none, until it was silent for 20 s (K 4.3)", (t) => {
  const describe = (t: TopologyBuilder): void => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    const aks = t.cluster("aks", { subnet: vnet.subnet("nodes", "10.224.0.0/24") });
    aks.nodes(2);
    aks.deployment("web", { node: "n1", udpEcho: 8080 });
    aks.service("web", { port: 80, targetPort: 8080, protocol: "UDP", type: "NodePort", nodePort: 30080 });
    t.vm("a", { subnet: vnet.subnet("servers", "10.225.0.0/24") });
  };
  both(t, describe, (net) => {
    // n0 masquerades: its answers come in and leave by one device.
    net.traffic({ from: "a", to: "n0:30080", flows: 1, rate: 100, frameBytes: 64 });
    const { row } = net.script.streams[0]!;
    const go = (until: number): number => {
      sourceStart(net.walk.sock, row, 100, 1, 0);
      net.run({ until });
      net.stopTraffic(row);
      const { redirects } = net.walk.ip.peers as unknown as { redirects: Int32Array };
      return Math.max(...redirects);
    };
    // What else n0 says to the same pod is limited by the same numbers.
    net.traffic({ from: "web-0", to: "n0:9", flows: 1, rate: 3, frameBytes: 64, at: sec(30) });
    t.is(go(sec(15)), 9);
    keepNeighbours(net);
    net.walk.spared = 0;
    t.is(go(sec(40)), 9);
    t.is(net.walk.spared > 4900, net.spec.flowCache);
    net.stopTraffic(net.script.streams[1]!.row);
    net.run({ until: sec(55) });
    t.is(go(sec(56)), 9);
    net.run({ until: sec(77) });
    t.true(go(sec(78)) < 9);
  });
});

test("what ICMP taught about a path is forgotten in time, and noticed when it changes (K 4.3)", (t) => {
  const describe = (t: TopologyBuilder): void => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    const aks = t.cluster("aks", { subnet: vnet.subnet("nodes", "10.224.0.0/24") });
    aks.nodes(1);
    aks.pod("b", { udpSink: 8080 });
    t.vm("a", { subnet: vnet.subnet("servers", "10.225.0.0/24") });
  };
  both(t, describe, (net) => {
    const { k, ip } = net.walk;
    const learned = (): number => ip.exceptions.rows.live;
    const veth = k.dev.peer[net.hosts.host("b").dev]!;
    net.walk.link.setMtu(veth, 600);
    net.traffic({ from: "a", to: "b:8080", flows: 1, rate: 10, frameBytes: 64 });
    net.traffic({ from: "a", to: "b:8080", flows: 1, rate: 100, frameBytes: 1000, firstPort: 20_000 });
    net.run({ until: sec(2) });
    net.stopTraffic(net.script.streams[1]!.row);
    keepNeighbours(net);
    t.is(learned(), 1);
    net.run({ until: sec(590) });
    t.is(learned(), 1);
    net.run({ until: sec(602) });
    t.is(learned(), 0);
    const { ns } = net.hosts.host("a");
    ip.exceptions.learnMtu(ns, net.hosts.host("b").ip, 600, false, 600);
    net.run({ until: sec(610) });
    // A path so narrow that nothing sent to it forbids fragmentation any more.
    ip.exceptions.learnMtu(ns, net.hosts.host("b").ip, 552, true, 600);
    net.run({ until: sec(620) });
    t.true(k.ns.ipId[ns]! > 90);
  });
});

test("NetworkPolicies: connections without an answer are asked about again after changes (K 8)", (t) => {
  const describe = (t: TopologyBuilder): void => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"], delay: us(100) });
    const aks = t.cluster("aks", { subnet: vnet.subnet("nodes", "10.224.0.0/24") });
    aks.nodes(2);
    aks.deployment("client", { node: "n0" });
    aks.deployment("b", { node: "n1", udpSink: 8080 });
    const podSelector = { matchLabels: { app: "b" } };
    aks.networkPolicy("to-b", { policyTypes: ["Egress"], egress: [{ to: [{ podSelector }] }] });
    const from = [{ podSelector: { matchLabels: { app: "client" } } }];
    aks.networkPolicy("from-client", { podSelector, ingress: [{ from }] });
  };
  const sunk = (net: Net): number => {
    net.walk.cache.flush();
    return net.walk.k.delivered;
  };
  both(t, describe, (net) => {
    const passes = (change: () => void): boolean => {
      change();
      const before = sunk(net);
      net.run({ for: sec(1) });
      return sunk(net) - before > 900;
    };
    const { dropped } = net.walk.k;
    net.traffic({ from: "client-0", to: "b-0:8080", flows: 3, rate: 1000, frameBytes: 64 });
    t.true(passes(() => {}));
    t.is(net.walk.spared > 1900, net.spec.flowCache);
    t.false(passes(() => net.soon.label("client", { app: "other" })));
    t.true(passes(() => net.soon.label("client", { app: "client" })));
    const none = { podSelector: {}, ingress: [] };
    t.false(passes(() => net.soon.networkPolicy("from-client", none)));
    t.true(passes(() => net.soon.removeNetworkPolicy("from-client")));
    t.is(net.walk.k.dropped - dropped, 2000);
    // Who has the address is no longer one of those that egress is allowed to.
    t.false(passes(() => net.soon.scale("b", 0)));
  });
});

test("a port that goes down stops what is received on it, learned or not", (t) => {
  const describe = (t: TopologyBuilder): void => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    t.vm("b", { subnet: vnet.subnet("servers", "10.225.0.0/24"), udpSink: 8080 });
    const aks = t.cluster("aks", { subnet: vnet.subnet("nodes", "10.224.0.0/24"), cni: "azure-bridge" });
    aks.nodes(1);
    aks.pod("client");
  };
  both(t, describe, (net) => {
    const { k, link } = net.walk;
    const port = k.dev.peer[net.hosts.host("client").dev]!;
    link.bridges.setPortFlag(port, "LEARNING", false);
    link.fdb.removePort(k.dev.master[port]!, port, false);
    net.traffic({ from: "client", to: "b:8080", flows: 3, rate: 1000, frameBytes: 64 });
    net.run({ until: sec(1) });
    t.true(received(net) > 990);
    t.is(net.walk.cache.size > 0, net.spec.flowCache);
    k.setUp(port, false);
    const before = received(net);
    net.run({ until: sec(2) });
    t.is(received(net), before);
    k.setUp(port, true);
    net.run({ until: sec(3) });
    t.true(received(net) > before + 900);
  });
});

test("an address that is seen on another port of the bridge is not where it was", (t) => {
  const describe = (t: TopologyBuilder): void => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    const aks = t.cluster("aks", { subnet: vnet.subnet("nodes", "10.224.0.0/24"), cni: "azure-bridge" });
    aks.nodes(1);
    aks.pod("client");
    aks.pod("b", { udpSink: 8080 });
    aks.pod("other");
  };
  both(t, describe, (net) => {
    const { k, link } = net.walk;
    const b = net.hosts.host("b").dev;
    const port = k.dev.peer[net.hosts.host("other").dev]!;
    net.traffic({ from: "client", to: "b:8080", flows: 3, rate: 1000, frameBytes: 64 });
    net.run({ until: sec(1) });
    t.true(k.delivered > 990);
    link.fdb.learn(k.dev.master[port]!, port, k.dev.macHi[b]!, k.dev.macLo[b]!);
    const { delivered } = k;
    net.run({ for: ms(100) });
    t.is(k.delivered, delivered);
  });
});

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
