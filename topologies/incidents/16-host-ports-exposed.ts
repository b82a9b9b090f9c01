// In the ipvs mode ClusterIPs are addresses of every node, so what listens on all addresses of a node answers
// on every ClusterIP, too: an agent's port that no NetworkPolicy and no firewall of the node's own address
// thought of.

import { ask, cluster, ECHO, incident, UDP } from "./incident.ts";

const { topology, run } = incident({
  title: "Host ports behind every ClusterIP",
  reference: "#72236",
  why: "kube-ipvs0 makes the VIP local; KUBE-IPVS-FILTER (1.27) refuses what is no port of the Service",
  network(t, isFixed) {
    const aks = cluster(t, 2, { kubeProxy: { mode: "ipvs", ipvs: { accessFilter: isFixed } } });
    aks.pod("agent", { node: "n0", hostNetwork: true, udpEcho: 9100, labels: {} });
    aks.pod("web", { node: "n1", ...ECHO }).pod("client", { node: "n0", labels: {} });
    aks.service("web", UDP);
  },
  play: (net) => `web:80 ${ask(net, "client", "web:80")}, web:9100 ${ask(net, "client", "web:9100")}`,
  broken: "web:80 web, web:9100 n0",
  fixed: "web:80 web, web:9100 ECONNREFUSED",
});

export default topology;
export { run };
