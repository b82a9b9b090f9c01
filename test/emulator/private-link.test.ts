// Private endpoints, Private Link services and service endpoints, azure.md 4.4 (P40 to P45, P47) with 2.2 to
// 2.4, R12 to R14 and N22, on frames between real sockets.

import test from "ava";
import {
  defineTopology,
  ms,
  type Net,
  openSnapshot,
  type PrivateEndpointOptions,
  type SubnetOptions,
  sec,
  type TopologyBuilder,
} from "../../src/index.ts";
import { end, problemsOf } from "./kit.ts";

const ENDPOINT = "10.1.1.9";

interface Setting {
  /** Of the client's subnet and of the endpoint's. */
  client?: SubnetOptions;
  endpoint?: SubnetOptions;
  state?: PrivateEndpointOptions["state"];
  more?: (t: TopologyBuilder) => void;
}

/**
 * A storage account outside all VNets, an endpoint for it in VNet app; a peered VNet, and one peered with
 * that alone.
 */
function storage({ client = {}, endpoint = {}, state = "Approved", more = () => {} }: Setting = {}) {
  return defineTopology({ seed: 7, frames: 512 }, (t) => {
    more(t);
    const azure = t.site("azure", { addressSpace: ["20.60.0.0/16"] });
    t.vm("account", {
      ...{ subnet: azure.subnet("blob", "20.60.1.0/24"), address: "20.60.1.10" },
      ...{ tcpEcho: 443, udpEcho: 443 },
    });
    const app = t.vnet("app", { addressSpace: ["10.1.0.0/16"] });
    const near = t.vnet("near", { addressSpace: ["10.2.0.0/16"] });
    const far = t.vnet("far", { addressSpace: ["10.3.0.0/16"] });
    app.peer(near);
    near.peer(app, { allowForwardedTraffic: true });
    near.peer(far);
    far.peer(near);
    t.vm("client", { subnet: app.subnet("vms", "10.1.0.0/24", client) });
    t.vm("nva", {
      ...{ subnet: app.subnet("nva", "10.1.2.0/24"), ipForwarding: true },
      sysctls: { "net.ipv4.ip_forward": 1 },
    });
    t.vm("neighbour", { subnet: near.subnet("vms", "10.2.0.0/24") });
    t.vm("stranger", { subnet: far.subnet("vms", "10.3.0.0/24") });
    const subnet = app.subnet("endpoints", "10.1.1.0/24", endpoint);
    t.privateEndpoint("pe", { subnet, target: "account", address: ENDPOINT, state });
  });
}

/** A datagram to the endpoint and its answer. */
function ask(net: Net, from: string, to = `${ENDPOINT}:443`) {
  const sent = net.soon.udp(from, to, "hello");
  net.run({ for: ms(20) });
  return sent;
}

test("P40 an endpoint is reached from its VNet and from peers, over TCP too; not over two peerings", (t) => {
  const net = storage().build();
  for (const from of ["client", "neighbour", "nva"]) {
    const sent = ask(net, from);
    t.is(sent.text, "hello", from);
    t.is(sent.reply?.from, ENDPOINT);
    t.is(sent.deliveredTo, "account");
  }
  t.is(ask(net, "stranger").dropReason, "VNET_ROUTE_NONE");
  const c = net.soon.connect("client", `${ENDPOINT}:443`);
  net.at(net.now + ms(1)).send(c, 100_000);
  net.run({ for: sec(2) });
  t.is(c.receivedBytes, 100_000);
  c.close();
  net.run({ for: sec(120) });
  t.is(net.walk.vnet.endpoints.names.length, 1);
  end(t, net);
});

test("A8.56 Pending passes nothing, Approved passes; Rejected and Disconnected pass nothing", (t) => {
  const net = storage({ state: "Pending" }).build();
  const answered: Record<string, string | null> = {};
  for (const state of ["Pending", "Approved", "Rejected", "Approved", "Disconnected"] as const) {
    net.soon.privateEndpoint("pe", state);
    const sent = ask(net, "client");
    answered[state] = sent.text;
    t.is(sent.dropReason, state === "Approved" ? null : "VNET_ENDPOINT_STATE");
    if (state !== "Approved") t.is(sent.droppedAt, "pe/eth0");
    const { connectionStatus } = net.diagnose.connect("client", `${ENDPOINT}:443`, { protocol: "udp" });
    t.is(connectionStatus, state === "Approved" ? "Reachable" : "Unreachable");
  }
  t.deepEqual(answered, { Pending: null, Approved: "hello", Rejected: null, Disconnected: null });
  t.throws(() => net.soon.privateEndpoint("pf", "Approved"), { message: /did you mean "pe"/ });
  end(t, net);
});

test("P41 the target cannot begin a connection with the client", (t) => {
  const net = storage().build();
  t.is(ask(net, "client").text, "hello");
  t.is(ask(net, "account", "10.1.0.4:9").dropReason, "VNET_ROUTE_NONE");
  end(t, net);
});

test("P43 ICMP and fragments do not pass", (t) => {
  const net = storage().build();
  const ping = net.soon.ping("client", ENDPOINT);
  const large = net.soon.udp("client", `${ENDPOINT}:443`, 3000);
  net.run({ for: ms(20) });
  t.is(ping.dropReason, "VNET_LINK_PROTOCOL");
  t.is(large.dropReason, "VNET_LINK_PROTOCOL");
  end(t, net);
});

test("P45 after five idle minutes an answer belongs to nobody, and the client opens the way again", (t) => {
  const net = storage().build();
  const server = net.tcp("account").listen(8443);
  const c = net.soon.connect("client", `${ENDPOINT}:8443`);
  net.run({ for: sec(299) });
  const [peer] = server.connections;
  net.soon.send(peer!, "in time");
  net.run({ for: sec(1) });
  t.is(c.text, "in time");
  // The client's acknowledgment was the last thing that used the record.
  net.run({ for: sec(301) });
  net.soon.send(peer!, "late");
  net.run({ for: ms(10) });
  t.is(c.text, "in time");
  t.is(net.drops()[0]?.reason, "VNET_ROUTE_NONE");
  net.soon.send(c, "again");
  net.run({ for: sec(10) });
  t.is(peer?.text, "again");
  t.is(c.text, "in timelate");
  for (const each of [c, peer!]) each.close();
  net.run({ for: sec(200) });
  end(t, net);
});

const appliance = (prefix: string) => (d: TopologyBuilder) =>
  d.routeTable("rt", [{ prefix, nextHop: "VirtualAppliance", address: "10.1.2.4" }]);

for (const [policies, prefix, diverted] of [
  ["Disabled", "10.1.0.0/16", false],
  ["Disabled", "10.1.1.0/24", false],
  ["Disabled", "10.1.1.9/32", true],
  ["NetworkSecurityGroupEnabled", "10.1.0.0/16", false],
  ["RouteTableEnabled", "10.1.0.0/16", true],
  ["Enabled", "10.1.1.0/24", true],
  ["RouteTableEnabled", "10.0.0.0/8", false],
  ["RouteTableEnabled", "0.0.0.0/0", false],
] as const) {
  test(`A8.32 R12 policies ${policies}: a route ${prefix} ${diverted ? "diverts" : "does not"}`, (t) => {
    const net = storage({
      ...{ client: { routeTable: "rt" }, endpoint: { privateEndpointNetworkPolicies: policies } },
      more: appliance(prefix),
    }).build();
    const { nextHopType } = net.diagnose.nextHop("client", ENDPOINT);
    t.is(nextHopType, diverted ? "VirtualAppliance" : "InterfaceEndpoint");
    const route = net.diagnose.routes("client").value.find((r) => r.nextHopType === "InterfaceEndpoint");
    t.deepEqual([route?.state, route?.addressPrefix], [diverted ? "Invalid" : "Active", ["10.1.1.9/32"]]);
    // Either way it arrives, with one hop more; R14: the answer goes straight to the client.
    const sent = ask(net, "client");
    t.is(sent.text, "hello");
    const nic = net.walk.k.dev.nic[net.hosts.host("nva").dev] as number;
    // The request, and what the fabric answers its ARP request with.
    t.is(net.walk.vnet.nics.received[nic], diverted ? 2 : 0);
    t.is(net.diagnose.connect("client", `${ENDPOINT}:443`).connectionStatus, "Reachable");
    t.is(net.diagnose.nextHop("neighbour", ENDPOINT).nextHopType, "InterfaceEndpoint");
    end(t, net);
  });
}

test("R12 routes and policies that change move the /32 and back", (t) => {
  const net = storage({ client: { routeTable: "rt" }, more: appliance("10.9.0.0/16") }).build();
  const { vnet } = net.walk;
  const next = () => net.diagnose.nextHop("client", ENDPOINT).nextHopType;
  const table = vnet.subnets.table[vnet.nics.subnet[net.walk.k.dev.nic[net.hosts.host("client").dev]!]!]!;
  t.is(next(), "InterfaceEndpoint");
  vnet.setRoute(table, 0x0a010000, 16, 3, 0x0a010204);
  t.is(next(), "InterfaceEndpoint");
  t.is(ask(net, "client").text, "hello");
  vnet.removeRoute(table, 0x0a010000, 16);
  t.is(next(), "InterfaceEndpoint");
  end(t, net);
});

const deny = (more: object) => (d: TopologyBuilder) =>
  d.nsg("n", [{ name: "no", priority: 100, direction: "Inbound", access: "Deny", protocol: "Udp", ...more }]);

test("R12 N22 the subnet's NSG applies where its policies say so, without looking at source ports", (t) => {
  for (const [policies, rule, passes] of [
    ["Disabled", {}, true],
    ["RouteTableEnabled", {}, true],
    ["NetworkSecurityGroupEnabled", {}, false],
    ["Enabled", { sourcePorts: "1" }, false],
    ["Enabled", { destinationPorts: "444" }, true],
    ["Enabled", { source: "10.2.0.0/16" }, true],
  ] as const) {
    const net = storage({
      ...{ endpoint: { nsg: "n", privateEndpointNetworkPolicies: policies }, more: deny(rule) },
    }).build();
    const sent = ask(net, "client");
    const where = JSON.stringify([policies, rule]);
    t.is(sent.text, passes ? "hello" : null, where);
    t.is(sent.dropReason, passes ? null : "VNET_NSG_DENY", where);
    const asked = net.diagnose.connect("client", `${ENDPOINT}:443`, { protocol: "udp" });
    t.is(asked.connectionStatus, passes ? "Reachable" : "Unreachable", where);
    end(t, net);
  }
});

test("P1 a peering that goes takes the /32 along, one that comes brings it", (t) => {
  const net = storage().build();
  t.is(ask(net, "neighbour").text, "hello");
  net.soon.unpeer("near", "app");
  t.is(ask(net, "neighbour").dropReason, "VNET_ROUTE_NONE");
  net.soon.unpeer("app", "near");
  net.soon.peer("near", "app");
  net.soon.peer("app", "near");
  t.is(ask(net, "neighbour").text, "hello");
  end(t, net);
});

test("clients of VNets with the same addresses are told apart at one target", (t) => {
  const net = defineTopology({ seed: 7, frames: 512 }, (d) => {
    const azure = d.site("azure", { addressSpace: ["20.60.0.0/16"] });
    d.vm("account", { subnet: azure.subnet("blob", "20.60.1.0/24"), udpEcho: 443, tcpEcho: 443 });
    for (const name of ["x", "y"]) {
      const vnet = d.vnet(name, { addressSpace: ["10.1.0.0/16"] });
      d.vm(`client-${name}`, { subnet: vnet.subnet("s", "10.1.0.0/24") });
      d.privateEndpoint(`pe-${name}`, { subnet: vnet.subnet("e", "10.1.1.0/24"), target: "account" });
    }
  }).build();
  const asked = ["x", "y", "x"].map((name, i) =>
    net.soon.udp(`client-${name}`, "10.1.1.4:443", `${name}${i}`, { sourcePort: 4000 }),
  );
  net.run({ for: ms(20) });
  t.deepEqual(
    asked.map((a) => a.received.map((r) => new TextDecoder().decode(r.payload))),
    [["x0"], ["y1"], ["x2"]],
  );
  t.deepEqual(net.drops(), []);
  end(t, net);
});

/** A provider behind a Private Link service and two consumers. */
function provider(proxyProtocol: boolean, natIps: number | string[] = 2) {
  return defineTopology({ seed: 7, frames: 1024 }, (t) => {
    const own = t.vnet("provider", { addressSpace: ["10.1.0.0/16"] });
    t.vm("backend", { subnet: own.subnet("app", "10.1.0.0/24"), address: "10.1.0.4", udpEcho: 53 });
    const target = "10.1.0.4";
    t.privateLinkService("pls", { subnet: own.subnet("nat", "10.1.9.0/24"), target, natIps, proxyProtocol });
    for (const name of ["x", "y"]) {
      const vnet = t.vnet(name, { addressSpace: ["10.1.0.0/16"] });
      t.vm(`client-${name}`, { subnet: vnet.subnet("s", "10.1.0.0/24") });
      t.privateEndpoint(`pe-${name}`, { subnet: vnet.subnet("e", "10.1.1.0/24"), target: "pls" });
    }
  });
}

test("A8.57 the target of a Private Link service sees NAT addresses; no header unasked", (t) => {
  const net = provider(false).build();
  const server = net.tcp("backend").listen(80);
  const clients = ["x", "y", "x"].map((name) => net.soon.connect(`client-${name}`, "10.1.1.4:80"));
  net.run({ for: ms(10) });
  for (const [i, c] of clients.entries()) net.soon.send(c, `from ${i}`);
  net.run({ for: ms(10) });
  t.deepEqual(
    server.connections.map((c) => c.text),
    ["from 0", "from 1", "from 2"],
  );
  t.deepEqual(
    server.connections.map((c) => c.remote),
    ["10.1.9.4:1024", "10.1.9.5:1024", "10.1.9.4:1025"],
  );
  const sent = net.soon.udp("client-x", "10.1.1.4:53", "echo");
  net.run({ for: ms(10) });
  t.is(sent.text, "echo");
  // P41: a NAT address is no way to a client.
  t.is(ask(net, "backend", "10.1.9.4:1024").dropReason, "VNET_LINK_NO_CONNECTION");
  const ping = net.soon.ping("backend", "10.1.9.4");
  net.run({ for: ms(10) });
  t.is(ping.dropReason, "VNET_LINK_PROTOCOL");
  for (const c of [...clients, ...server.connections]) c.close();
  net.run({ for: sec(200) });
  end(t, net);
});

/** The header as the PROXY protocol's own text has it, with the TLV of P44. */
const header = (client: number[], asked: number[], sport: number, dport: number, linkId: number) =>
  Buffer.from([
    ...Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1"),
    ...[0x21, 0x11, 0, 20, ...client, ...asked],
    ...[sport >> 8, sport & 255, dport >> 8, dport & 255],
    ...[0xee, 0, 5, 1, linkId & 255, (linkId >> 8) & 255, (linkId >> 16) & 255, linkId >>> 24],
  ]);

test("A8.57 with PROXY v2 the client's address and the LinkID come before its first byte", (t) => {
  const net = provider(true).build();
  const server = net.tcp("backend").listen(80);
  const clients = ["x", "y"].map((name) => net.soon.connect(`client-${name}`, "10.1.1.4:80"));
  // The server hears of the client before that has sent anything.
  net.run({ for: ms(10) });
  t.deepEqual(
    server.connections.map((c) => c.receivedBytes),
    [36, 36],
  );
  for (const [i, c] of clients.entries()) net.soon.send(c, `from ${i}`);
  net.run({ for: ms(10) });
  for (const [i, c] of server.connections.entries()) {
    const port = Number(clients[i]?.local.split(":")[1]);
    const linkId = net.walk.vnet.endpoints.linkId(i);
    const wanted = header([10, 1, 0, 4], [10, 1, 1, 4], port, 80, linkId);
    t.deepEqual(Buffer.from(c.received), Buffer.concat([wanted, Buffer.from(`from ${i}`)]));
    net.soon.send(c, `answer ${i}`);
  }
  net.run({ for: ms(100) });
  t.deepEqual(
    clients.map((c) => c.text),
    ["answer 0", "answer 1"],
  );
  for (const c of [...clients, ...server.connections]) c.close();
  net.run({ for: sec(200) });
  t.deepEqual(net.drops(), []);
  end(t, net);
});

for (const loss of [0.05, 0.2]) {
  test(`the header and the stream survive ${loss * 100} % loss both ways`, (t) => {
    for (let seed = 1; seed <= 6; seed++) {
      const net = provider(true).build({ seed });
      for (const name of ["client-x", "backend"]) net.impair(`${name}/eth0`, { loss, delay: ms(5) });
      const server = net.tcp("backend").listen(80);
      const c = net.soon.connect("client-x", "10.1.1.4:80");
      const bytes = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 7 + (i >> 8)) & 255);
      net.at(ms(1)).send(c, bytes);
      for (let i = 0; i < 20 && (server.connections[0]?.receivedBytes ?? 0) < 200_036; i++)
        net.run({ for: sec(100) });
      const [got] = server.connections;
      t.is(got?.receivedBytes, 200_036, `seed ${seed}`);
      t.true(Buffer.from(got!.received.subarray(36)).equals(bytes));
      net.soon.send(got!, bytes);
      for (let i = 0; i < 20 && c.receivedBytes < 200_000; i++) net.run({ for: sec(100) });
      t.true(Buffer.from(c.received).equals(bytes), `seed ${seed}`);
      c.close();
      got!.close();
      net.run({ for: sec(400) });
      end(t, net);
    }
  });
}

test("a snapshot holds the connections of Private Link in the middle of a stream", (t) => {
  const net = provider(true).build();
  net.tcp("backend").listen(80);
  const c = net.soon.connect("client-x", "10.1.1.4:80");
  net.at(ms(1)).send(c, 5000);
  net.run({ until: ms(1) });
  const other = openSnapshot(net.snapshot());
  const results = [net, other].map((each) => {
    each.schedule(ms(5), { kind: "tcp-send", connection: 0, payload: Buffer.from("more") });
    each.run({ until: ms(300) });
    const data = each.script.tcp.connections.at(-1)!.received;
    return Buffer.concat(data).toString("hex");
  });
  t.is(results[0], results[1]);
  t.is(results[0]?.length, (36 + 5000 + 4) * 2);
  c.close();
  net.run({ for: sec(400) });
});

/** A subnet with a service endpoint beside one without; the account's prefix is the tag's. */
function serviceEndpoint(more: (t: TopologyBuilder) => void = () => {}, subnet: SubnetOptions = {}) {
  return defineTopology({ seed: 7, frames: 512 }, (t) => {
    more(t);
    t.serviceTag("Storage", ["20.60.0.0/16"]);
    const azure = t.internet("azure", { addressSpace: ["20.60.0.0/16"] });
    t.vm("account", { subnet: azure.subnet("blob", "20.60.1.0/24"), udpEcho: 443, tcpEcho: 443 });
    const app = t.vnet("app", { addressSpace: ["10.1.0.0/16"] });
    t.vm("with", {
      subnet: app.subnet("with", "10.1.0.0/24", { serviceEndpoints: ["Microsoft.Storage"], ...subnet }),
    });
    t.vm("without", { subnet: app.subnet("without", "10.1.1.0/24") });
    t.vm("nva", { subnet: app.subnet("nva", "10.1.2.0/24"), ipForwarding: true });
  });
}

test("A8.34 P47 a subnet with a service endpoint is seen with its private address", (t) => {
  const net = serviceEndpoint().build();
  const server = net.tcp("account").listen(8443);
  const c = net.soon.connect("with", "20.60.1.4:8443");
  t.is(ask(net, "with", "20.60.1.4:443").text, "hello");
  t.is(server.connections[0]?.remote.split(":")[0], "10.1.0.4");
  // Others come from a public address.
  t.is(ask(net, "without", "20.60.1.4:443").text, "hello");
  const other = net.soon.connect("without", "20.60.1.4:8443");
  net.run({ for: ms(10) });
  t.false((server.connections[1]?.remote ?? "10.").startsWith("10."), server.connections[1]?.remote ?? "");
  t.is(net.diagnose.nextHop("with", "20.60.1.4").nextHopType, "VirtualNetworkServiceEndpoint");
  t.is(net.diagnose.nextHop("without", "20.60.1.4").nextHopType, "Internet");
  t.is(net.diagnose.connect("with", "20.60.1.4:443").connectionStatus, "Reachable");
  const ping = net.soon.ping("with", "20.60.1.4");
  net.run({ for: ms(10) });
  t.is(ping.dropReason, "VNET_LINK_PROTOCOL");
  t.is(net.diagnose.connect("with", "20.60.1.4", { protocol: "icmp" }).connectionStatus, "Unreachable");
  t.is(ask(net, "with", "20.60.1.99:443").dropReason, "VNET_NO_SUCH_ADDRESS");
  for (const each of [c, other, ...server.connections]) each.close();
  net.run({ for: sec(200) });
  end(t, net);
});

test("2.4.3 a route table does not override a service endpoint, however long its prefix", (t) => {
  for (const prefix of ["0.0.0.0/0", "20.60.0.0/16", "20.60.1.4/32"]) {
    const net = serviceEndpoint(appliance(prefix), { routeTable: "rt" }).build();
    t.is(net.diagnose.nextHop("with", "20.60.1.4").nextHopType, "VirtualNetworkServiceEndpoint", prefix);
    t.is(ask(net, "with", "20.60.1.4:443").text, "hello", prefix);
    end(t, net);
  }
});

test("P40 an on-premises host reaches an endpoint in the gateway's VNet and in one that uses it", (t) => {
  const net = defineTopology({ seed: 7, frames: 512 }, (d) => {
    const azure = d.site("azure", { addressSpace: ["20.60.0.0/16"] });
    d.vm("account", { subnet: azure.subnet("blob", "20.60.1.0/24"), udpEcho: 443 });
    const hub = d.vnet("hub", { addressSpace: ["10.0.0.0/16"] });
    hub.subnet("GatewaySubnet", "10.0.255.0/27");
    hub.gateway("er", "ExpressRoute");
    const spoke = d.vnet("spoke", { addressSpace: ["10.1.0.0/16"] });
    hub.peer(spoke, { allowGatewayTransit: true });
    spoke.peer(hub, { useRemoteGateways: true });
    const dc = d.site("dc", { addressSpace: ["192.168.0.0/16"] });
    d.connection("circuit", "er", { site: dc, delay: ms(2) });
    d.vm("desk", { subnet: dc.subnet("s", "192.168.1.0/24") });
    for (const [name, vnet, n] of [
      ["one", hub, 0],
      ["two", spoke, 1],
    ] as const) {
      d.privateEndpoint(name, { subnet: vnet.subnet("e", `10.${n}.7.0/24`), target: "account" });
    }
  }).build();
  for (const addr of ["10.0.7.4", "10.1.7.4"]) {
    t.is(ask(net, "desk", `${addr}:443`).text, "hello", addr);
    t.is(net.diagnose.connect("desk", `${addr}:443`, { protocol: "udp" }).connectionStatus, "Reachable");
  }
  end(t, net);
});

const POLICIES = "Disabled, NetworkSecurityGroupEnabled, RouteTableEnabled, Enabled";
const SERVICES = [
  ...["AzureActiveDirectory", "AzureCosmosDB", "CognitiveServices", "ContainerRegistry", "EventHub"],
  ...["KeyVault", "ServiceBus", "Sql", "Storage", "Web"],
]
  .map((name) => `Microsoft.${name}`)
  .join(", ");

test("bad endpoints are all reported with their paths", (t) => {
  const found = problemsOf((d) => {
    const azure = d.site("azure", { addressSpace: ["20.60.0.0/16"] });
    const blob = azure.subnet("blob", "20.60.1.0/24", { serviceEndpoints: ["Microsoft.Sql"] });
    d.vm("account", { subnet: blob });
    const app = d.vnet("app", { addressSpace: ["10.1.0.0/16"] });
    const s = app.subnet("s", "10.1.0.0/24", {
      ...{
        serviceEndpoints: ["Microsoft.Storage", "Storage"],
        privateEndpointNetworkPolicies: "On" as "Enabled",
      },
    });
    d.vm("inside", { subnet: s });
    d.privateEndpoint("a", { subnet: s, target: "inside", state: "Open" as "Approved" });
    d.privateEndpoint("b", { subnet: blob, target: "acount", dns: { zone: "x.example", name: "b" } });
    d.privateEndpoint("c", { subnet: s, target: "account", address: "10.1.0.1" });
    d.privateEndpoint("inside", { subnet: s, target: "account" });
    d.privateLinkService("p", { subnet: s, target: "10.9.0.4", natIps: 9 });
    d.privateLinkService("q", { subnet: s, target: "10.9.0.4", natIps: ["10.1.0.9", "10.1.0.9"] });
  });
  t.deepEqual(found, [
    "privateEndpoint.inside: the name is taken by vm.inside",
    "vnet.azure.subnet.blob.serviceEndpoints[0]: the prefixes of service tag Sql are not described",
    "vnet.azure.subnet.blob: only subnets of a VNet have endpoints",
    `vnet.app.subnet.s.privateEndpointNetworkPolicies: "On" is none of ${POLICIES}`,
    "vnet.app.subnet.s.serviceEndpoints[0]: the prefixes of service tag Storage are not described",
    `vnet.app.subnet.s.serviceEndpoints[1]: "Storage" is none of ${SERVICES}`,
    "privateLinkService.p.natIps: a Private Link service has 1 to 8 NAT addresses (P43)",
    "privateLinkService.q.natIps[1]: 10.1.0.9 is in use",
    "privateLinkService.q.target: 10.9.0.4 lies in no subnet of the same VNet",
    'privateEndpoint.a.state: "Open" is none of Pending, Approved, Rejected, Disconnected',
    "privateEndpoint.a.target: inside is in a VNet: put a Private Link service in front of it",
    'privateEndpoint.b.target: there is no Private Link service or VM acount; did you mean "account"?',
    "privateEndpoint.b.subnet: azure/blob is no subnet of a VNet",
    "privateEndpoint.b.dns.zone: there is no private DNS zone x.example",
    "privateEndpoint.c.address: 10.1.0.1 is reserved by Azure in subnet s",
  ]);
});
