// A program of the node connects to a ClusterIP in the ipvs mode. The address is the node's own, so the
// connection comes from the ClusterIP itself, and without masquerading the pod's node keeps the answer: the
// address is that node's own as well. Here a cluster CIDR that covers the Services passes them off as pods.

import { ask, cluster, ECHO, incident, UDP } from "./incident.ts";

const { topology, run } = incident({
  title: "A node cannot reach ClusterIPs",
  reference: "#65158",
  why: "the source is the VIP on kube-ipvs0; it is masqueraded only where it is not taken for a pod's",
  network(t, isFixed) {
    const clusterCidr = isFixed ? "10.244.0.0/16" : "10.0.0.0/8";
    const aks = cluster(t, 2, { cni: "kubenet", kubeProxy: { mode: "ipvs", clusterCidr } });
    aks.pod("web", { node: "n1", ...ECHO }).pod("client", { node: "n0", labels: {} });
    aks.service("web", UDP);
  },
  play: (net) => `a pod: ${ask(net, "client", "web:80")}, its node: ${ask(net, "n0", "web:80")}`,
  broken: "a pod: web, its node: silence",
  fixed: "a pod: web, its node: web",
});

export default topology;
export { run };
