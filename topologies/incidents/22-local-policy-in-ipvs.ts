// externalTrafficPolicy Local in the ipvs mode, on a node without an endpoint: the NodePort leads to the
// others, without SNAT, so that pods may use it. A client from outside reaches one, whose answer takes the
// short way and comes from an address the client never asked.

import { ask, cluster, ECHO, incident, NODES, UDP } from "./incident.ts";

const { topology, run } = incident({
  title: "Local NodePorts that lead to other nodes",
  reference: "#66062, #97081",
  why: "DNAT to a remote pod, and the answer bypasses the node; an endpoint on every node asked cures it",
  network(t, isFixed) {
    const aks = cluster(t, 2, { cni: "kubenet", kubeProxy: { mode: "ipvs" } });
    aks.deployment("web", { replicas: 1, node: isFixed ? "n0" : "n1", ...ECHO });
    aks.service("web", { ...UDP, type: "NodePort", nodePort: 30_080, externalTrafficPolicy: "Local" });
    t.vm("client", { subnet: NODES });
  },
  play(net) {
    const seen = ask(net, "client", "n0:30080");
    return `n0's port: ${seen}; web heard ${net.podInfos("web")[0]?.received} datagram`;
  },
  broken: "n0's port: silence; web heard 1 datagram",
  fixed: "n0's port: web-0; web heard 1 datagram",
});

export default topology;
export { run };
