// The connection table of a node is full: every new flow is dropped, on a network that works for old ones.

import { sec } from "vnetem";
import { ask, cluster, ECHO, incident, UDP } from "./incident.ts";

const { topology, run } = incident({
  title: "New connections fail, old ones work",
  reference: "#18604",
  why: "nf_conntrack_max: what has no entry and gets none is dropped",
  network(t, isFixed) {
    const aks = cluster(t, 1);
    aks.node("n1", isFixed ? {} : { sysctls: { "net.netfilter.nf_conntrack_max": 8 } });
    aks.pod("web", { node: "n0", ...ECHO }).service("web", UDP);
    aks.pod("client", { node: "n1", labels: {} });
  },
  play(net) {
    const old = Array.from({ length: 8 }, (_, i) => 4000 + i);
    // A flow that goes on for two seconds is assured: it is not dropped early for a new one.
    for (let round = 0; round < 3; round++) {
      for (const port of old) ask(net, "client", "web:80", port);
      net.run({ for: sec(2) });
    }
    const seen = [ask(net, "client", "web:80", 4000), ask(net, "client", "web:80", 5000)];
    return `old flow ${seen[0]}, new flow ${seen[1]}`;
  },
  broken: "old flow web, new flow silence",
  fixed: "old flow web, new flow web",
});

export default topology;
export { run };
