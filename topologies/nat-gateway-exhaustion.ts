// A NAT gateway with one public address runs out: 50,000 connections from it to one destination are all there
// are. Two VMs open 60,000; a pod of the same subnet that comes later hears nothing, other destinations are
// reached, and the ports come back four minutes and 65 seconds after the last packet. A second address
// is the remedy.

import { defineTopology, expect, ms, type Net, sec } from "vnetem";

export default defineTopology({ seed: 7 }, (t) => {
  const internet = t.internet("internet", { addressSpace: ["198.51.100.0/24"], delay: ms(5) });
  const hosts = internet.subnet("hosts", "198.51.100.0/24");
  t.vm("api", { subnet: hosts, address: "198.51.100.10", udpSink: 8080, udpEcho: 7 });
  t.vm("other", { subnet: hosts, address: "198.51.100.11", udpEcho: 7 });

  t.publicIp("nat-ip", { address: "20.1.0.1" });
  t.natGateway("nat", { publicIps: ["nat-ip"] });
  const vnet = t.vnet("prod", { addressSpace: ["10.0.0.0/16"] });
  const subnet = vnet.subnet("nodes", "10.0.0.0/24", { natGateway: "nat" });
  t.vm("crawler-1", { subnet });
  t.vm("crawler-2", { subnet });
  const aks = t.cluster("aks", {
    subnet,
    serviceCidr: "10.1.0.0/16",
    outboundType: "userAssignedNATGateway",
  });
  aks.nodes(1);
  aks.pod("client");
});

export function run(net: Net) {
  // Each connection is one datagram from a port of its own.
  const crawl = (from: string, at: number) =>
    net.traffic({ from, to: "api:8080", flows: 30_000, packets: 30_000, rate: 100_000, at });
  const crawls = [crawl("crawler-1", ms(1)), crawl("crawler-2", ms(400))];
  net.run({ until: sec(1) });
  const late = net.soon.udp("client", "api:8080", "anybody there?");
  const elsewhere = net.soon.udp("client", "other:7", "hello");
  net.run({ until: sec(2) });
  const asked = net.diagnose.connect("client", "api:8080", { protocol: "udp" });
  const explained = net.explain("client", "api:8080").reason;
  const [issue] = asked.hops.flatMap((hop) => hop.issues);

  net.run({ until: sec(240 + 60) });
  const early = net.soon.udp("client", "api:8080", "still there?");
  net.run({ until: sec(240 + 70) });
  const again = net.soon.udp("client", "api:8080", "and now?");
  net.run({ for: sec(1) });

  expect(late).toBeDropped("VNET_SNAT_EXHAUSTED");
  expect(elsewhere).toArriveAt("other");
  expect(again).toArriveAt("api");
  const sent = crawls.reduce((sum, c) => sum + c.report().sent, 0);
  const received = crawls.reduce((sum, c) => sum + c.report().received, 0);
  net.log(`two crawlers: ${sent} connections to api:8080, ${received} arrived`);
  net.log(`client -> api:   ${late.dropReason} at ${late.droppedAt}`);
  net.log(`  diagnose connect: ${issue?.context[0]?.reason}; explain: ${explained}`);
  net.log(`client -> other: "${elsewhere.text}"`);
  net.log(`after 5 minutes: ${early.dropReason}; after 310 s it arrives at ${again.deliveredTo}`);
}
