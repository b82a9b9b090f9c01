// kubenet in promiscuous mode: the bridge passes every frame to the node as well. What is for others is
// dropped there, counted as OTHERHOST; a node that let it through would answer twice.

import type { Net } from "vnetem";
import { ask, cluster, ECHO, incident } from "./incident.ts";

const { topology, run } = incident({
  title: "Every frame twice",
  reference: "the mode is described in #23322",
  why: "a promiscuous bridge gives the node a copy of what passes between two of its pods",
  network(t, isFixed) {
    const aks = cluster(t, 1, { cni: "kubenet", promiscuousBridge: !isFixed });
    aks.pod("a").pod("b", ECHO);
  },
  play(net) {
    ask(net, "a", "b:8080");
    const before = copies(net);
    for (let i = 0; i < 10; i++) ask(net, "a", "b:8080");
    return `${copies(net) - before} copies of 10 requests and their answers at the node`;
  },
  broken: "20 copies of 10 requests and their answers at the node",
  fixed: "0 copies of 10 requests and their answers at the node",
});

export default topology;
export { run };

function copies(net: Net): number {
  return net.drops().reduce((sum, d) => sum + (d.reason === "OTHERHOST" ? d.packets : 0), 0);
}
