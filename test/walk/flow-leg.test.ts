// First packets of connections, which are spared the way between two hooks: with legs and without.

import test from "ava";
import { defineTopology } from "../../src/emulator/define.ts";
import type { Net } from "../../src/emulator/net.ts";
import { CNI_MODES, type CniMode } from "../../src/emulator/spec.ts";
import { ms, sec } from "../../src/emulator/units.ts";
import { Drop } from "../../src/node/drop.ts";
import { stateDifference } from "../properties/cache.ts";

const RATE = 1000;

function build(cni: CniMode, flowCache: boolean): Net {
  return defineTopology({ seed: 3 }, (t) => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    const aks = t.cluster("aks", { subnet: vnet.subnet("nodes", "10.224.0.0/24"), cni });
    aks.nodes(2);
    aks.deployment("web", { replicas: 3, node: "n1", udpSink: 8080 });
    aks.service("web", { port: 80, targetPort: 8080, protocol: "UDP" });
    aks.pod("client", { node: "n0" });
  }).build({ flowCache });
}

/** Every packet opens a connection: so many flows that none comes twice. */
function send(net: Net, frameBytes: number, firstPort: number): void {
  net.traffic({ from: "client", to: "web:80", flows: 20_000, rate: RATE, frameBytes, firstPort });
}

const drops = (net: Net, reason: number): number => {
  const { rows, reason: reasons, packets } = net.walk.k.drops;
  let sum = 0;
  for (let r = 0; r < rows.used; r++) if (reasons[r] === reason) sum += packets[r]!;
  return sum;
};

function same(on: Net, off: Net): string | null {
  for (const net of [on, off]) {
    for (const s of net.script.streams) net.stopTraffic(s.row);
    net.run({ for: sec(1) });
    net.walk.cache.flush();
  }
  return stateDifference(on, off);
}

for (const cni of CNI_MODES) {
  test(`${cni}: hooks are asked about each new connection, the way between them is known`, (t) => {
    const [on, off] = [true, false].map((flowCache) => {
      const net = build(cni, flowCache);
      send(net, 64, 1024);
      send(net, 900, 30_000);
      net.run({ until: sec(4) });
      return net;
    }) as [Net, Net];
    t.is(off.walk.legs.taken, 0);
    // Out of the pod, one or two on each node, into the pod.
    t.true(on.walk.legs.taken > 2 * RATE * 4 * 3, `${on.walk.legs.taken}`);
    t.is(on.walk.cache.size, 0);
    t.is(same(on, off), null);
  });

  test(`${cni}: what changes between hooks is seen by the next first packet`, (t) => {
    const [on, off] = [true, false].map((flowCache) => {
      const net = build(cni, flowCache);
      const { k, link } = net.walk;
      send(net, 64, 1024);
      send(net, 900, 30_000);
      net.run({ until: sec(2) });
      // An MTU that only a device behind the FORWARD hook has.
      link.setMtu(net.hosts.host("n0").dev, 600);
      net.run({ for: ms(200) });
      t.true(drops(net, Drop.PKT_TOO_BIG) + drops(net, Drop.DEV_MTU) > 0);
      link.setMtu(net.hosts.host("n0").dev, 1500);
      net.run({ for: ms(200) });
      k.setNsSysctl(net.hosts.host("n1").ns, "net.ipv4.ip_forward", 0);
      net.run({ for: ms(200) });
      k.setNsSysctl(net.hosts.host("n1").ns, "net.ipv4.ip_forward", 1);
      net.run({ for: sec(1) });
      return net;
    }) as [Net, Net];
    t.is(drops(on, Drop.IP_FORWARDING_DISABLED), drops(off, Drop.IP_FORWARDING_DISABLED));
    t.is(same(on, off), null);
  });
}
