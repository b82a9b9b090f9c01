// The questions of section 7 by name, with Network Watcher's field names, and what they refuse.

import test from "ava";
import { defineTopology, ms, type SecurityRuleSpec } from "../../src/index.ts";
import { prefixesOf } from "../../src/observe/effective.ts";
import { linesOf } from "./kit.ts";

const DENY: SecurityRuleSpec = {
  name: "no-db",
  priority: 200,
  direction: "Inbound",
  access: "Deny",
  protocol: "Tcp",
  source: "VirtualNetwork",
  destinationPorts: 5432,
};

/** Spoke a, hub with an appliance, spoke b; a database behind an NSG in b. */
function build() {
  return defineTopology({ seed: 7 }, (t) => {
    t.routeTable("via-hub", [{ prefix: "10.0.0.0/8", nextHop: "VirtualAppliance", address: "10.0.0.4" }]);
    t.nsg("data", [DENY]);
    t.nsg("open");
    const vnet = (n: number) => t.vnet(`v${n}`, { addressSpace: [`10.${n}.0.0/16`] });
    const [hub, a, b] = [vnet(0), vnet(1), vnet(2)];
    hub.peer(a).peer(b);
    for (const spoke of [a, b]) spoke.peer(hub, { allowForwardedTraffic: true });
    const forward = { "net.ipv4.ip_forward": 1 };
    t.vm("nva", { subnet: hub.subnet("s", "10.0.0.0/24"), ipForwarding: true, sysctls: forward });
    const apps = a.subnet("s", "10.1.0.0/24", { routeTable: "via-hub" });
    t.vm("app", { subnet: apps });
    const aks = t.cluster("aks", { subnet: apps, serviceCidr: "10.100.0.0/16" });
    aks.nodes(1);
    aks.pod("pod");
    aks.pod("other");
    t.vm("db", { subnet: b.subnet("s", "10.2.0.0/24", { routeTable: "via-hub", nsg: "data" }), nsg: "open" });
  }).build();
}

test("IP flow verify: access, rule and NSG; no rule name without rules", (t) => {
  const { diagnose } = build();
  const question = { direction: "Inbound", protocol: "tcp", remote: "app:40000" } as const;
  t.deepEqual(diagnose.ipFlow("db", { ...question, local: "5432" }), {
    access: "Deny",
    ruleName: "securityRules/no-db",
    networkSecurityGroup: "data",
  });
  t.deepEqual(diagnose.ipFlow("db", { ...question, local: "80" }), {
    access: "Allow",
    ruleName: "defaultSecurityRules/AllowVNetInBound",
    networkSecurityGroup: "open",
  });
  t.deepEqual(diagnose.ipFlow("app", { ...question, local: "80" }), { access: "Allow" });
  const out = { direction: "Outbound", protocol: "udp", local: "*" } as const;
  const dns = diagnose.ipFlow("db", { ...out, remote: "8.8.8.8:53" });
  t.is(dns.ruleName, "defaultSecurityRules/AllowInternetOutBound");
});

test("connect: hops with types, and the issue where it ends", (t) => {
  const { diagnose } = build();
  const udp = diagnose.connect("app", "db:5432", { protocol: "udp" });
  t.is(udp.connectionStatus, "Reachable");
  t.deepEqual(
    udp.hops.map((h) => `${h.id} ${h.type} ${h.address} ${h.resourceId} -> ${h.nextHopIds.join()}`),
    ["0 Source 10.1.0.35 app -> 1", "1 VirtualAppliance 10.0.0.4 nva -> 2", "2 VnetLocal 10.2.0.4 db -> "],
  );
  const tcp = diagnose.connect("app", "db:5432");
  t.is(tcp.connectionStatus, "Unreachable");
  t.deepEqual(tcp.hops[2]?.issues, [
    {
      origin: "Inbound",
      severity: "Error",
      type: "NetworkSecurityRule",
      context: [
        { reason: "VNET_NSG_DENY" },
        { host: "db" },
        { ruleName: "securityRules/no-db", networkSecurityGroup: "data" },
      ],
    },
  ]);
  const internet = diagnose.connect("nva", "8.8.8.8:443");
  t.is(internet.hops[1]?.type, "Internet");
  t.is(internet.hops[1]?.resourceId, "Internet");
});

test("connect: an appliance that does not forward, and a way back that is missing", (t) => {
  const net = build();
  net.at(ms(1)).sysctl("nva", "net.ipv4.ip_forward", 0);
  net.run({ until: ms(2) });
  const [, nva] = net.diagnose.connect("app", "db:80").hops;
  t.deepEqual(nva?.issues[0]?.context[0], { reason: "IP_FORWARDING_DISABLED" });
  t.is(nva?.issues[0]?.origin, "Local");
  net.at(ms(3)).sysctl("nva", "net.ipv4.ip_forward", 1);
  net.at(ms(3)).peer("v1", "v0", { allowForwardedTraffic: false });
  net.run({ until: ms(4) });
  const back = net.diagnose.connect("app", "db:80");
  t.is(back.connectionStatus, "Unreachable");
  const issues = back.hops.flatMap((h) => h.issues.map((i) => [h.resourceId, ...i.context]));
  t.deepEqual(issues, [
    [
      "nva",
      { reason: "VNET_NOT_FORWARDED" },
      { packet: "reply" },
      { host: "nva" },
      { route: "10.1.0.0/16 VnetPeering (System Route)" },
    ],
  ]);
});

test("connect speaks of pods as the fabric sees them", (t) => {
  const { diagnose } = build();
  // 10.2.0.0/16 is outside the pod's VNet: IP-MASQ-AGENT shows the node's address.
  t.is(diagnose.connect("pod", "db:80").hops[0]?.address, "10.1.0.4");
  t.is(diagnose.connect("pod", "app:80").hops[0]?.address, "10.1.0.5");
  const near = diagnose.connect("pod", "other:80");
  t.is(near.connectionStatus, "Reachable");
  t.is(near.hops.length, 1, "the fabric does not see it");
});

test("A8.95 next hop: type, address, and the route table or System Route", (t) => {
  const { diagnose } = build();
  t.deepEqual(diagnose.nextHop("app", "db"), {
    nextHopType: "VirtualAppliance",
    nextHopIpAddress: "10.0.0.4",
    routeTableId: "via-hub",
  });
  t.deepEqual(diagnose.nextHop("nva", "10.200.0.1"), { nextHopType: "None", routeTableId: "System Route" });
  t.deepEqual(diagnose.nextHop("nva", "db"), { nextHopType: "VnetPeering", routeTableId: "System Route" });
  t.deepEqual(diagnose.nextHop("app", "app"), { nextHopType: "VnetLocal", routeTableId: "System Route" });
});

test("A8.98 effective routes and rules with Azure's field names, refused for a stopped VM (R11)", (t) => {
  const net = build();
  t.deepEqual(net.diagnose.routes("app").value.at(-1), {
    source: "User",
    state: "Active",
    addressPrefix: ["10.0.0.0/8"],
    nextHopType: "VirtualAppliance",
    nextHopIpAddress: ["10.0.0.4"],
  });
  const { value } = net.diagnose.rules("db");
  t.deepEqual(
    value.map((g) => [g.networkSecurityGroup.id, g.association, g.effectiveSecurityRules.length]),
    [
      ["data", { subnet: { id: "v2/s" } }, 7],
      ["open", { networkInterface: { id: "db/eth0" } }, 6],
    ],
  );
  t.deepEqual(value[0]?.effectiveSecurityRules[0], {
    name: "securityRules/no-db",
    priority: 200,
    direction: "Inbound",
    access: "Deny",
    protocol: "Tcp",
    sourcePortRanges: ["0-65535"],
    destinationPortRanges: ["5432-5432"],
    sourceAddressPrefixes: ["VirtualNetwork"],
    destinationAddressPrefixes: ["*"],
    expandedSourceAddressPrefix: ["168.63.129.16/32", "10.2.0.0/16", "10.0.0.0/16", "10.0.0.0/8"],
    expandedDestinationAddressPrefix: [],
  });
  net.walk.vnet.setVmRunning(net.hosts.host("db").ns, false);
  const stopped = ["db: the VM is stopped: effective views are of running VMs (azure.md R11)"];
  t.deepEqual(
    linesOf(() => net.diagnose.routes("db")),
    stopped,
  );
  t.deepEqual(
    linesOf(() => net.diagnose.rules("db")),
    stopped,
  );
});

test("the matrix has every ordered pair, with what decided", (t) => {
  const { diagnose } = build();
  const cells = diagnose.matrix([], { port: 5432 });
  t.is(cells.length, 4 * 3);
  t.deepEqual(
    cells.find((c) => c.source === "app" && c.destination === "db"),
    {
      ...{ source: "app", destination: "db", access: "Unreachable", reason: "VNET_NSG_DENY", at: "db" },
      decidedBy: "securityRules/no-db of data",
    },
  );
  t.is(
    cells.find((c) => c.source === "app" && c.destination === "nva")?.decidedBy,
    "10.0.0.0/16 VnetPeering (System Route)",
  );
  t.is(diagnose.matrix(["pod", "other"], { protocol: "icmp" })[0]?.decidedBy, "same node");
});

test("questions that make no sense", (t) => {
  const { diagnose } = build();
  const flow = { direction: "Inbound", protocol: "tcp", local: "80", remote: "app:1" } as const;
  t.deepEqual(
    linesOf(() => diagnose.connect("app", "db")),
    ['to: "db" names no port, as "db:80" does'],
  );
  t.deepEqual(
    linesOf(() => diagnose.ipFlow("db", { ...flow, remote: "app" })),
    ['app: names no port, as "app:80" does'],
  );
  t.deepEqual(
    linesOf(() => diagnose.ipFlow("db", { ...flow, protocol: "icmp" as "tcp" })),
    ['protocol: "icmp" is neither tcp nor udp'],
  );
  t.deepEqual(
    linesOf(() => diagnose.ipFlow("db", { ...flow, direction: "Up" as "Inbound" })),
    ['direction: "Up" is neither Inbound nor Outbound'],
  );
  t.throws(() => diagnose.connect("ap", "db:80"), {
    message: 'no pod, node or VM is named "ap"; did you mean "app"?',
  });
});

test("ranges as prefixes", (t) => {
  t.deepEqual(prefixesOf({ first: 0, last: 0xffff_ffff }), ["0.0.0.0/0"]);
  t.deepEqual(prefixesOf({ first: 1, last: 6 }), ["0.0.0.1/32", "0.0.0.2/31", "0.0.0.4/31", "0.0.0.6/32"]);
  t.deepEqual(prefixesOf({ first: 0x8000_0000, last: 0xffff_ffff }), ["128.0.0.0/1"]);
});
