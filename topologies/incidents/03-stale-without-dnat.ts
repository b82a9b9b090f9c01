// The client sends while the node has no rule for the Service. The entry says "no translation", and is not
// asked again when the rule is there.

import { sec } from "vnetem";
import { ask, cluster, ECHO, incident, UDP } from "./incident.ts";

const { topology, run } = incident({
  title: "UDP that was sent before there was a rule",
  reference: "#48370",
  why: "an entry without translation stays one; kube-proxy's clean-up looks where replies would come from",
  network(t, isFixed) {
    const aks = cluster(t, 2, { kubeProxy: { conntrackCleanup: isFixed } });
    aks.deployment("web", ECHO).service("web", UDP).pod("client", { labels: {} });
  },
  play(net) {
    for (const node of ["n0", "n1"]) net.soon.flushRules(node);
    const before = ask(net, "client", "web:80", 4000);
    // The client goes on: every 5 s, so the entry never expires.
    for (let i = 0; i < 6; i++) {
      net.run({ for: sec(5) });
      ask(net, "client", "web:80", 4000);
    }
    const same = ask(net, "client", "web:80", 4000);
    return `${before}, then ${same}; a new socket: ${ask(net, "client", "web:80")}`;
  },
  broken: "silence, then silence; a new socket: web-0",
  fixed: "silence, then web-0; a new socket: web-0",
});

export default topology;
export { run };
