// A snapshot holds the Azure network: flow records, compiled rules, peerings, what gateways taught, and the
// changes still to come. Restored at any moment it goes on to the same drops and the same answers.

import test from "ava";
import { defineTopology, ms, type Net, openSnapshot, sec } from "../../src/index.ts";
import { end } from "./kit.ts";

function build(): Net {
  return defineTopology({ seed: 7, frames: 256 }, (t) => {
    t.nsg("data", [
      { name: "deny-in", priority: 200, direction: "Inbound", access: "Deny", source: "VirtualNetwork" },
      { name: "apps", priority: 100, direction: "Inbound", access: "Allow", sourceGroups: ["apps"] },
    ]);
    t.asg("apps");
    const hub = t.vnet("hub", { addressSpace: ["10.0.0.0/16"] });
    hub.subnet("GatewaySubnet", "10.0.255.0/27");
    hub.gateway("er", "ExpressRoute");
    const spoke = t.vnet("spoke", { addressSpace: ["10.1.0.0/16"] });
    hub.peer(spoke, { allowGatewayTransit: true });
    spoke.peer(hub, { useRemoteGateways: true });
    const dc = t.site("dc", { addressSpace: ["192.168.0.0/16"] });
    t.connection("circuit", "er", { site: dc, delay: ms(1) });
    t.vm("ledger", { subnet: dc.subnet("s", "192.168.0.0/24"), udpEcho: 9 });
    const s = hub.subnet("s", "10.0.0.0/24");
    t.vm("app", { subnet: s, asgs: ["apps"] });
    t.vm("db", { subnet: s, nsg: "data", udpEcho: 9 });
    t.vm("far", { subnet: spoke.subnet("s", "10.1.0.0/24") });
  }).build();
}

function script(net: Net): void {
  for (let i = 0; i < 20; i++) {
    net.at(ms(1 + 5 * i)).udp("app", "db:9", `${i}`, { sourcePort: 4000 + (i % 2) });
    net.at(ms(2 + 5 * i)).udp("far", "db:9", `${i}`);
    net.at(ms(3 + 5 * i)).udp("far", "ledger:9", `${i}`);
  }
  net.at(ms(30)).removeSecurityRule("data", "apps");
  net.at(ms(50)).flushConnection("data", true);
  net.at(ms(60)).connection("circuit", false);
  net.at(ms(70)).connection("circuit", true);
  net.at(ms(80)).unpeer("spoke", "hub");
}

test("interrupted at any of many moments, the Azure network goes on as it would have", (t) => {
  const whole = build();
  script(whole);
  whole.run({ until: sec(1) });
  const reasons = whole.drops().map((d) => d.reason);
  t.deepEqual([...new Set(reasons)].sort(), ["VNET_NSG_DENY", "VNET_ROUTE_NONE"]);
  for (const at of [0, 1.5, 13, 29, 31, 49, 55, 65, 75, 85]) {
    const net = build();
    script(net);
    net.run({ until: ms(at) });
    const later = openSnapshot(net.snapshot());
    later.run({ until: sec(1) });
    t.deepEqual(later.counters(), whole.counters(), `${at} ms`);
    t.deepEqual(later.drops(), whole.drops(), `${at} ms`);
    t.deepEqual(later.diagnose.routes("far"), whole.diagnose.routes("far"));
    end(t, later);
  }
  end(t, whole);
});
