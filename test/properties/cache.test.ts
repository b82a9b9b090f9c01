// The flow cache changes nothing but speed: random networks, traffic and changes, once with the cache and
// once without.

import test from "ava";
import { defineTopology } from "../../src/emulator/define.ts";
import type { Net } from "../../src/emulator/net.ts";
import { CNI_MODES, type CniMode } from "../../src/emulator/spec.ts";
import { ms, sec } from "../../src/emulator/units.ts";
import { runWith, stateDifference } from "./cache.ts";

const RUNS = 20;
const FIRST_SEED = 9000;
/** Seeds that found a difference once: a connection that ended while its first packet was under way. */
const FOUND: Partial<Record<CniMode, number[]>> = { "azure-transparent": [9049, 9054], kubenet: [9050] };

for (const cni of CNI_MODES) {
  test(`${cni}: with and without the flow cache, the same arrivals and the same state`, (t) => {
    let cached = 0;
    const seeds = Array.from({ length: RUNS }, (_, i) => FIRST_SEED + i);
    for (const seed of [...seeds, ...(FOUND[cni] ?? [])]) {
      const run = { seed, cni };
      const [on, off] = [runWith(run, true), runWith(run, false)];
      const where = JSON.stringify(run);
      const at = on.arrivals.findIndex((line, i) => line !== off.arrivals[i]);
      if (at >= 0) t.fail(`${where}: arrival ${at}\n${on.arrivals[at]}\n${off.arrivals[at]}`);
      t.is(on.arrivals.length, off.arrivals.length, where);
      t.is(stateDifference(on.net, off.net), null, where);
      t.is(off.cached, 0);
      cached += on.cached;
    }
    t.true(cached > RUNS, `${cached} flows were cached`);
  });
}

// The way to the ClusterIP cannot take the datagram whole, the way to the pod can: it arrives in one piece.
test("datagrams that lost their DF to the route before DNAT walk, each with an ID of its own", (t) => {
  const packets = 40;
  const run = (flowCache: boolean): Net => {
    const topology = defineTopology({ seed: 1 }, (d) => {
      const subnet = d.vnet("prod", { addressSpace: ["10.224.0.0/12"] }).subnet("nodes", "10.224.0.0/16");
      const aks = d.cluster("aks", { subnet });
      aks.nodes(1);
      aks.deployment("web", { replicas: 1, udpSink: 8080 });
      aks.service("web", { port: 8080, protocol: "UDP" });
    });
    const net = topology.build({ flowCache });
    net.walk.link.setMtu(net.hosts.host("n0").dev, 576);
    net.traffic({ from: "n0", to: "web:8080", flows: 1, rate: 1000, frameBytes: 1000 });
    net.run({ until: ms(packets) });
    for (const s of net.script.streams) net.stopTraffic(s.row);
    net.run({ for: sec(10) });
    net.walk.cache.flush();
    return net;
  };
  const [on, off] = [run(true), run(false)];
  t.true(on.walk.k.ns.ipId[on.hosts.host("n0").ns]! >= packets);
  t.is(stateDifference(on, off), null);
});
