// What a pod reaches in an Azure network, and why not: each goal as its topology has it, and refused by one
// change. explain sends a frame, diagnose connect asks the tables; they say the same.

import test from "ava";
import type { Net } from "../../src/emulator/net.ts";
import { sec } from "../../src/emulator/units.ts";
import hubAndSpoke from "../../topologies/hub-and-spoke.ts";
import nsgMistake from "../../topologies/nsg-mistake.ts";
import onPremises from "../../topologies/on-premises.ts";
import internet from "../../topologies/pod-to-internet.ts";
import privateEndpoint from "../../topologies/private-endpoint.ts";
import quickstart from "../../topologies/quickstart.ts";

type Protocol = "udp" | "tcp";
type Changes = ReturnType<Net["at"]>;
interface Goal {
  title: string;
  topology: { build(): unknown };
  from: string;
  to: string;
  protocol: Protocol;
  /** Host and port of a server the topology starts only when it runs. */
  server?: [string, number];
  /** Made before it is asked; "" in place of a reason where it is reached all the same. */
  change?: (at: Changes) => unknown;
  reason: string;
}

const udp = { protocol: "udp" } as const;
const tcp = { protocol: "tcp" } as const;
const spoke = { topology: hubAndSpoke, from: "client", to: "db:5432", ...udp };
const site = { topology: onPremises, from: "client", to: "ledger:5432", ...udp };
const endpoint = {
  topology: privateEndpoint,
  from: "client",
  to: "10.1.9.4:443",
  ...tcp,
  server: ["reports", 443],
} satisfies Partial<Goal>;
const jump = {
  topology: privateEndpoint,
  from: "client",
  to: "jump:22",
  ...tcp,
  server: ["jump", 22],
} satisfies Partial<Goal>;

const GOALS: Goal[] = [
  {
    title: "a pod of the same VNet",
    topology: quickstart,
    from: "client",
    to: "web-0:8080",
    ...udp,
    reason: "",
  },
  {
    title: "a VM behind an NSG that denies",
    ...{ topology: nsgMistake, from: "client", to: "db:5432", ...udp, reason: "VNET_NSG_DENY" },
  },
  { title: "a VM of a peered VNet", ...jump, reason: "" },
  {
    title: "a VM of a VNet that was peered",
    ...{ ...jump, change: (at) => at.unpeer("prod", "hub"), reason: "VNET_ROUTE_NONE" },
  },
  { title: "a spoke through the hub's appliance", ...spoke, reason: "" },
  {
    title: "a spoke that takes no forwarded traffic",
    ...{ ...spoke, reason: "VNET_NOT_FORWARDED" },
    change: (at) => at.peer("data", "hub", { allowForwardedTraffic: false }),
  },
  {
    title: "a spoke behind an appliance without IP forwarding",
    ...{ ...spoke, change: (at) => at.ipForwarding("nva", false), reason: "VNET_NOT_ADDRESSED" },
  },
  { title: "on-premises over ExpressRoute", ...site, reason: "" },
  {
    title: "on-premises over VPN, both circuits cut",
    ...{ ...site, change: (at) => [1, 2].map((n) => at.connection(`circuit-${n}`, false)), reason: "" },
  },
  {
    title: "on-premises with every connection cut",
    ...{ ...site, reason: "VNET_ROUTE_NONE" },
    change: (at) => ["circuit-1", "circuit-2", "tunnel"].map((name) => at.connection(name, false)),
  },
  { title: "a private endpoint", ...endpoint, reason: "" },
  {
    title: "a private endpoint whose connection was rejected",
    ...{ ...endpoint, reason: "VNET_ENDPOINT_STATE" },
    change: (at) => at.privateEndpoint("pe-reports", "Rejected"),
  },
  { title: "the Internet", topology: internet, from: "client", to: "example:443", ...tcp, reason: "" },
  {
    title: "the Internet from a private subnet",
    ...{ topology: internet, from: "batch", to: "example:443", ...udp, reason: "VNET_NO_OUTBOUND" },
  },
];

for (const { title, topology, from, to, protocol, server, change, reason } of GOALS) {
  test(`${title}: explain and diagnose connect say ${reason === "" ? "reachable" : reason}`, (t) => {
    const net = topology.build() as Net;
    if (server !== undefined) net.tcp(server[0]).listen(server[1]);
    change?.(net.at(1));
    net.run({ until: 2 });
    const { request } = net.explain(from, to, { protocol });
    const asked = net.diagnose.connect(from, to, { protocol });
    t.is(request.reason ?? "", reason);
    t.is(asked.hops.flatMap((hop) => hop.issues)[0]?.context[0]?.reason ?? "", reason);
    t.is(asked.connectionStatus, reason === "" ? "Reachable" : "Unreachable");
    // explain lets five seconds pass.
    net.run({ until: sec(6) });
    t.is(net.walk.k.skb.live, 0);
  });
}
