// A Linux bridge takes the lowest MAC of its ports. When a pod with a lower one comes or goes the bridge's
// own MAC changes, and whoever had it in an ARP cache sends to nobody. A MAC that was set stays.

import { ms, type Net } from "vnetem";
import { cluster, ECHO, incident } from "./incident.ts";

const { topology, run } = incident({
  title: "The bridge changes its MAC",
  reference: "flannel-io/flannel#1381",
  why: "br_stp_recalculate_bridge_id: the lowest MAC of the ports is the bridge's, unless one was set",
  network(t, isFixed) {
    // Every third NIC of Azure has a MAC that a veth can be below: 60:45:bd, that of n2.
    const aks = cluster(t, 3, { cni: "azure-bridge", podMacs: isFixed ? "high" : "low" });
    aks.deployment("web", { replicas: 0, node: "n2", ...ECHO });
  },
  play(net) {
    const before = bridgeMac(net);
    net.soon.scale("web", 8);
    net.run({ for: ms(50) });
    return bridgeMac(net) === before ? "the MAC stays" : "the MAC changes";
  },
  broken: "the MAC changes",
  fixed: "the MAC stays",
});

export default topology;
export { run };

function bridgeMac(net: Net): string {
  const { dev } = net.walk.k;
  const bridge = net.hosts.device("n2/azure0");
  return `${dev.macHi[bridge]}:${dev.macLo[bridge]}`;
}
