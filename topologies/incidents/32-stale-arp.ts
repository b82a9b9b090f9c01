// A pod's address is used again by another pod with another MAC. A neighbour on the bridge still has the old
// one in its ARP cache and sends to it, until it asks anew. Whoever comes should say so.

import { ms } from "vnetem";
import { ask, cluster, ECHO, incident } from "./incident.ts";

const { topology, run } = incident({
  title: "A new pod with an old address is not reached",
  reference: "containernetworking/plugins#756, #858",
  why: "an entry is believed for 15 to 45 s; an ARP request of the newcomer, or an announcement, mends it",
  network(t) {
    const aks = cluster(t, 1, { cni: "kubenet", maxPods: 250 });
    aks.pod("client").deployment("web", { replicas: 1, ...ECHO });
  },
  play(net, isFixed) {
    const { ip } = net.pod("web-0");
    const before = ask(net, "client", `${ip}:8080`);
    // host-local gives the next address each time: once round, and the first one comes again.
    net.soon.churn("web", 1000, 252);
    net.run({ for: ms(1) });
    const now = net.podInfos("web")[0];
    if (now?.ip !== ip) return `another address, ${now?.ip}`;
    if (isFixed) net.soon.ping(now.name, "client");
    net.run({ for: ms(10) });
    return `${before}, then ${ask(net, "client", `${ip}:8080`) === "silence" ? "silence" : "its successor"}`;
  },
  broken: "web-0, then silence",
  fixed: "web-0, then its successor",
});

export default topology;
export { run };
