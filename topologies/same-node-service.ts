// A pod asks a Service whose only backend stands on the same bridge, and a backend asks its own Service: the
// four ways this works or breaks, by net.bridge.bridge-nf-call-iptables and the port's hairpin flag
// (kube-proxy.md 3.2).

import { defineTopology, expect, ms, type Net, sec, type TopologyBuilder } from "vnetem";

const CLUSTERS = [
  { name: "nf", bridgeNetfilter: true, hairpin: false },
  { name: "nf-hairpin", bridgeNetfilter: true, hairpin: true },
  { name: "plain", bridgeNetfilter: false, hairpin: false },
];

export default defineTopology({ seed: 7 }, (t: TopologyBuilder) => {
  const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
  for (const [i, { name, ...flags }] of CLUSTERS.entries()) {
    const subnet = vnet.subnet(name, `10.224.${i}.0/24`);
    const ranges = { podCidr: `10.${100 + i}.0.0/16`, serviceCidr: `10.${i}.0.0/16` };
    const cluster = t.cluster(name, { subnet, cni: "kubenet", ...ranges, ...flags });
    cluster.node(`${name}-node`);
    cluster.pod(`${name}-client`);
    cluster.pod(`${name}-server`, { udpEcho: 8080 });
    cluster.service(`${name}-server`, { port: 80, targetPort: 8080, protocol: "UDP" });
  }
});

export function run(net: Net) {
  const asked = CLUSTERS.map(({ name }) => ({
    name,
    other: net.at(ms(1)).udp(`${name}-client`, `${name}-server:80`, "from a neighbour"),
    itself: net.at(ms(1)).udp(`${name}-server`, `${name}-server:80`, "from myself"),
  }));
  net.run({ until: sec(4) });
  for (const { name, other, itself } of asked) {
    const from = (sent: typeof other): string => {
      if (sent.reply !== null) return "answered";
      return sent.dropReason ?? `delivered to ${sent.deliveredTo}, but the answer never matched`;
    };
    net.log(`${name.padEnd(10)} neighbour: ${from(other).padEnd(60)} itself: ${from(itself)}`);
  }
  const [nf, hairpin, plain] = asked;
  expect(nf.other).toArrive();
  expect(nf.itself).toBeDropped("BRIDGE_NO_EGRESS_PORT");
  expect(hairpin.itself).toArrive();
  expect(plain.other).toGetNoAnswer();
  expect(plain.itself).toArrive();
}
