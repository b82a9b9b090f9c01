// A client keeps one UDP socket. Its conntrack entry goes on pointing at a pod that is gone, as long as the
// client sends more often than the entry lives. kube-proxy has to delete it.

import { ms } from "vnetem";
import { ask, cluster, ECHO, incident, UDP } from "./incident.ts";

const { topology, run } = incident({
  title: "UDP to a pod that is gone",
  reference: "#19029, #59368, #125467",
  why: "rules are read for the first packet of a flow only; the entry is kept alive by the client itself",
  network(t, isFixed) {
    const aks = cluster(t, 2, { kubeProxy: { conntrackCleanup: isFixed } });
    aks.deployment("web", { replicas: 2, ...ECHO }).service("web", UDP);
    aks.pod("client", { labels: {} });
  },
  play(net) {
    const before = ask(net, "client", "web:80", 4000);
    net.soon.removePod("web-0");
    net.run({ for: ms(10) });
    return [before, ask(net, "client", "web:80", 4000), ask(net, "client", "web:80", 4000)].join(", ");
  },
  broken: "web-0, silence, silence",
  fixed: "web-0, web-1, web-1",
});

export default topology;
export { run };
