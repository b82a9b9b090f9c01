// A mistake in a network security group and its diagnosis. The data subnet shall take database connections
// from the application's subnet only. The rule that allows them has priority 300, and 200 denies everything
// from the VNet: the lowest number is looked at first. `vnetem explain` names the rule that decided. Then the
// rule is put right, and wrong again under a live connection.

import { defineTopology, expect, ms, type Net, type SecurityRuleSpec, sec } from "vnetem";

const ALLOW: SecurityRuleSpec = {
  name: "allow-apps",
  priority: 300,
  direction: "Inbound",
  access: "Allow",
  protocol: "Udp",
  source: "10.1.0.0/24",
  destinationPorts: 5432,
};

export default defineTopology({ seed: 7 }, (t) => {
  t.nsg("data", [
    { name: "deny-vnet", priority: 200, direction: "Inbound", access: "Deny", source: "VirtualNetwork" },
    ALLOW,
  ]);
  const vnet = t.vnet("prod", { addressSpace: ["10.1.0.0/16"] });
  const aks = t.cluster("aks", { subnet: vnet.subnet("apps", "10.1.0.0/24"), serviceCidr: "10.100.0.0/16" });
  aks.nodes(1);
  aks.pod("client");
  t.vm("jump", { subnet: vnet.subnet("admin", "10.1.1.0/24") });
  t.vm("db", { subnet: vnet.subnet("data", "10.1.2.0/24", { nsg: "data" }), udpEcho: [5432, 22] });
});

export function run(net: Net) {
  const ask = (time: number, from: string, sourcePort: number) =>
    net.at(time).udp(from, "db:5432", "select 1", { sourcePort });

  const mistaken = ask(ms(1), "client", 40_001);
  net.at(ms(10)).securityRule("data", { ...ALLOW, priority: 100 });
  const right = ask(ms(11), "client", 40_001);
  const jump = ask(ms(12), "jump", 40_001);

  // Connections that are there outlive the rule that let them in; new ones do not.
  net.at(ms(20)).removeSecurityRule("data", "allow-apps");
  const live = ask(ms(21), "client", 40_001);
  const fresh = ask(ms(22), "client", 40_002);
  net.at(ms(30)).flushConnection("data", true);
  const flushed = ask(ms(31), "client", 40_001);
  net.run({ until: sec(1) });

  for (const allowed of [right, live]) expect(allowed).toArriveAt("db");
  for (const denied of [mistaken, jump, fresh, flushed]) expect(denied).toBeDropped("VNET_NSG_DENY");

  const say = (what: string, { text, dropReason, droppedAt }: typeof right) =>
    net.log(`${what.padEnd(44)} ${text === null ? `${dropReason} at ${droppedAt}` : `"${text}"`}`);
  say("client -> db, allow-apps behind deny-vnet", mistaken);
  say("allow-apps at priority 100", right);
  say("jump -> db", jump);
  say("allow-apps deleted: the live connection", live);
  say("allow-apps deleted: a new connection", fresh);
  say("flushConnection on: the live connection", flushed);
}
