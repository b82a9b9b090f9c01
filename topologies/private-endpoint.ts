// A pod reaches a storage account by its public name over a private endpoint. The resolver at 168.63.129.16
// follows the account's name into the private zone that is linked to the cluster's VNet; a VM of a VNet
// without the link gets the public address. Then the owner of the account rejects the connection.

import { defineTopology, expect, ms, type Net, sec } from "vnetem";

const ACCOUNT = "reports.blob.core.windows.net";
const ZONE = "privatelink.blob.core.windows.net";

export default defineTopology({ seed: 7 }, (t) => {
  const azure = t.site("azure-storage", { addressSpace: ["20.60.0.0/16"] });
  t.vm("reports", { subnet: azure.subnet("west", "20.60.1.0/24"), address: "20.60.1.10" });

  const prod = t.vnet("prod", { addressSpace: ["10.1.0.0/16"] });
  const hub = t.vnet("hub", { addressSpace: ["10.0.0.0/16"] });
  prod.peer(hub);
  hub.peer(prod);

  t.privateDnsZone(ZONE, { links: [prod] });
  t.privateEndpoint("pe-reports", {
    ...{ subnet: prod.subnet("endpoints", "10.1.9.0/24"), target: "reports" },
    dns: { zone: ZONE, name: "reports" },
  });
  t.dnsZone("blob.core.windows.net", {
    records: { reports: { CNAME: `reports.${ZONE}` }, "reports.privatelink": { A: ["20.60.1.10"] } },
  });

  t.vm("jump", { subnet: hub.subnet("jump", "10.0.1.0/24") });
  const aks = t.cluster("aks", { subnet: prod.subnet("nodes", "10.1.0.0/24"), serviceCidr: "10.100.0.0/16" });
  aks.nodes(1);
  aks.pod("client");
});

export function run(net: Net) {
  const server = net.tcp("reports").listen(443);
  const asked = net.at(ms(1)).resolve("client", ACCOUNT);
  const outside = net.at(ms(1)).resolve("jump", ACCOUNT);
  net.run({ until: ms(10) });

  const [address] = asked.addresses;
  const get = net.at(ms(20)).connect("client", `${address}:443`);
  net.at(ms(21)).send(get, "GET /june.csv");
  net.run({ until: ms(30) });
  const [accepted] = server.connections;
  accepted?.send("42 rows");
  net.run({ until: ms(40) });

  // A peered VNet has the route to the endpoint, but not the name.
  const peered = net.at(ms(50)).connect("jump", `${address}:443`);
  net.run({ until: ms(60) });
  net.at(ms(70)).privateEndpoint("pe-reports", "Rejected");
  const rejected = net.at(ms(71)).connect("client", `${address}:443`);
  net.run({ until: ms(100) });
  const why = net.diagnose.connect("client", `${address}:443`);
  rejected.reset();
  for (const c of [get, peered, ...server.connections]) c.reset();
  net.run({ until: sec(1) });

  expect(get.text).toBe("42 rows");
  expect(peered.connectedAt === null).toBe(false);
  expect(rejected.connectedAt).toBe(null);

  net.log(`client asks 168.63.129.16 for ${ACCOUNT}:`);
  for (const { name, type, data } of asked.answers) net.log(`  ${name} ${type} ${data}`);
  net.log(`jump, whose VNet has no link to the zone: ${outside.addresses.join(", ")}`);
  net.log(`client -> ${address}:443: "${get.text}"`);
  net.log(`the account saw "${accepted?.text}" from ${accepted?.remote}`);
  net.log(`jump -> ${address}:443 over the peering: ${peered.seen[0]?.what}`);
  const issue = why.hops.flatMap((hop) => hop.issues)[0];
  net.log(`rejected by the account's owner: ${why.connectionStatus}, ${issue?.context[0]?.reason}`);
}
