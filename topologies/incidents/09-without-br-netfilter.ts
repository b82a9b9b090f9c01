// Client and backend hang on one bridge, and net.bridge.bridge-nf-call-iptables is 0. The request is routed
// and translated; the answer is bridged straight back, untranslated, from an address nobody asked.

import { ask, cluster, dial, ECHO, incident, TCP, UDP } from "./incident.ts";

const { topology, run } = incident({
  title: "A Service works across nodes and not on one",
  reference: "#20475",
  why: "the answer never meets netfilter: the client sees the pod's address in place of the Service's",
  network(t, isFixed) {
    const aks = cluster(t, 1, { cni: "kubenet", bridgeNetfilter: isFixed });
    aks.pod("web", ECHO).service("web", {
      ports: [
        { name: "u", ...UDP },
        { name: "t", ...TCP },
      ],
    });
    aks.pod("client", { labels: {} });
  },
  play: (net) => `UDP ${ask(net, "client", "web:80")}, TCP ${dial(net, "client", "web:80")}`,
  broken: "UDP silence, TCP no connection",
  fixed: "UDP web, TCP answered",
});

export default topology;
export { run };
