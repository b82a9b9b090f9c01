// A program on the node has a port of the NodePort range, and a Service gets the same number: from then on
// whoever asks the program is sent to the Service.

import { ask, cluster, ECHO, incident, NODES, UDP } from "./incident.ts";

const { topology, run } = incident({
  title: "A NodePort takes a program's port",
  reference: "#111682, #100643",
  why: "DNAT comes before any socket is looked up; the range belongs to kube-proxy (ip_local_reserved_ports)",
  network(t, isFixed) {
    const aks = cluster(t, 2);
    const port = isFixed ? 29_999 : 30_080;
    aks.pod("agent", { node: "n0", hostNetwork: true, udpEcho: port, labels: {} });
    aks.pod("web", { node: "n1", ...ECHO });
    aks.service("web", { ...UDP, type: "NodePort", nodePort: 30_080 });
    t.vm("client", { subnet: NODES });
  },
  play: (net, isFixed) =>
    `the agent's port answers from ${ask(net, "client", `n0:${isFixed ? 29_999 : 30_080}`)}`,
  broken: "the agent's port answers from web",
  fixed: "the agent's port answers from n0",
});

export default topology;
export { run };
