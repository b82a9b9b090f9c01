// An on-premises data centre behind two ExpressRoute circuits and a VPN tunnel as backup. The gateways are in
// a hub; the cluster is in a spoke that uses them by its peering. The circuits are cut one after the other,
// then the tunnel: routes are exchanged anew each time, and the round trip tells which way packets go.

import { defineTopology, expect, ms, type Net, sec } from "vnetem";

export default defineTopology({ seed: 7 }, (t) => {
  const hub = t.vnet("hub", { addressSpace: ["10.0.0.0/16"] });
  hub.subnet("GatewaySubnet", "10.0.255.0/27");
  hub.gateway("er", "ExpressRoute").gateway("vpn", "Vpn");
  const apps = t.vnet("apps", { addressSpace: ["10.1.0.0/16"] });
  hub.peer(apps, { allowGatewayTransit: true });
  apps.peer(hub, { useRemoteGateways: true });

  const dc = t.site("dc", { addressSpace: ["192.168.0.0/16"] });
  t.connection("circuit-1", "er", { site: dc, delay: ms(2) });
  t.connection("circuit-2", "er", { site: dc, delay: ms(3) });
  t.connection("tunnel", "vpn", { site: dc, delay: ms(20) });
  t.vm("ledger", { subnet: dc.subnet("servers", "192.168.1.0/24"), udpEcho: 5432 });

  const aks = t.cluster("aks", { subnet: apps.subnet("nodes", "10.1.0.0/24"), serviceCidr: "10.100.0.0/16" });
  aks.nodes(1);
  aks.pod("client");
});

export function run(net: Net) {
  const ask = (time: number) => net.at(time).udp("client", "ledger:5432", "balance");

  const first = ask(ms(1));
  net.at(ms(100)).connection("circuit-1", false);
  const second = ask(ms(101));
  net.at(ms(200)).connection("circuit-2", false);
  const tunnel = ask(ms(201));
  // 1,400 bytes of IP are what the tunnel carries.
  const large = net.at(ms(300)).udp("client", "ledger:5432", 1400);
  net.at(ms(400)).connection("tunnel", false);
  const none = ask(ms(401));
  net.run({ until: sec(1) });

  expect(first).toArriveAt("ledger");
  expect(tunnel).toArriveAt("ledger");
  expect(large).toBeDropped("VNET_TUNNEL_MTU");
  expect(none).toBeDropped("VNET_ROUTE_NONE");

  const say = (what: string, { roundTrip, dropReason, droppedAt }: typeof first) =>
    net.log(
      `${what.padEnd(24)} ${roundTrip === null ? `${dropReason} at ${droppedAt}` : `${roundTrip / 1e6} ms`}`,
    );
  say("two circuits, one tunnel", first);
  say("circuit-1 cut", second);
  say("circuit-2 cut", tunnel);
  say("1,428 bytes in the tunnel", large);
  say("the tunnel cut", none);
}
