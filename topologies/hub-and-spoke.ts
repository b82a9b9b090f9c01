// Hub and spoke: two spokes that are peered with a hub only (peering is not transitive), and an appliance in
// the hub, an ordinary VM that forwards. Route tables of the spokes send everything through it, also what
// goes to the Internet (forced tunnelling). Then each thing that has to be right is made wrong.

import { defineTopology, expect, ms, type Net, sec } from "vnetem";

const NVA = "10.0.1.4";

export default defineTopology({ seed: 7 }, (t) => {
  // The second route is needed: the system route 10.0.0.0/8 None is more specific than the first.
  t.routeTable("via-hub", [
    { prefix: "0.0.0.0/0", nextHop: "VirtualAppliance", address: NVA },
    { prefix: "10.0.0.0/8", nextHop: "VirtualAppliance", address: NVA },
  ]);
  const hub = t.vnet("hub", { addressSpace: ["10.0.0.0/16"] });
  const apps = t.vnet("apps", { addressSpace: ["10.1.0.0/16"] });
  const data = t.vnet("data", { addressSpace: ["10.2.0.0/16"] });
  hub.peer(apps).peer(data);
  apps.peer(hub, { allowForwardedTraffic: true });
  data.peer(hub, { allowForwardedTraffic: true });

  const aks = t.cluster("aks", {
    subnet: apps.subnet("nodes", "10.1.0.0/24", { routeTable: "via-hub" }),
    serviceCidr: "10.100.0.0/16",
  });
  aks.nodes(1);
  aks.pod("client");
  t.vm("db", { subnet: data.subnet("servers", "10.2.0.0/24", { routeTable: "via-hub" }), udpEcho: 5432 });
  t.vm("nva", {
    subnet: hub.subnet("firewall", "10.0.1.0/24"),
    address: NVA,
    ipForwarding: true,
    sysctls: { "net.ipv4.ip_forward": 1 },
  });
});

export function run(net: Net) {
  const ask = (time: number) => net.at(time).udp("client", "db:5432", "select 1");

  const through = ask(ms(1));
  const internet = net.at(ms(2)).udp("client", "8.8.8.8:7", "anybody there?");

  net.at(ms(100)).peer("data", "hub", { allowForwardedTraffic: false });
  const notForwarded = ask(ms(101));
  net.at(ms(200)).peer("data", "hub", { allowForwardedTraffic: true });

  net.at(ms(201)).ipForwarding("nva", false);
  const notAddressed = ask(ms(202));
  net.at(ms(300)).ipForwarding("nva", true);

  net.at(ms(301)).unpeer("apps", "hub");
  const disconnected = ask(ms(302));
  net.run({ until: sec(1) });

  expect(through).toArriveAt("db");
  expect(through.text).toBe("select 1");
  expect(internet).toBeDropped("VNET_NO_INTERNET");
  expect(notForwarded).toBeDropped("VNET_NOT_FORWARDED");
  expect(notAddressed).toBeDropped("VNET_NOT_ADDRESSED");
  expect(disconnected).toBeDropped("VNET_NEXT_HOP_UNKNOWN");

  net.log(
    `client -> db through the hub: "${through.text}", its answer arrived with TTL ${through.reply?.ttl}`,
  );
  const say = (what: string, { dropReason, droppedAt }: typeof through) =>
    net.log(`${what}: ${dropReason} at ${droppedAt}`);
  say("client -> 8.8.8.8", internet);
  say("data does not allow forwarded traffic", notForwarded);
  say("the appliance's NIC does not forward", notAddressed);
  say("apps deleted its side of the peering", disconnected);
}
