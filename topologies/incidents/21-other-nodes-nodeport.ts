// externalTrafficPolicy Local, and a pod that asks another node's NodePort. That node takes it for a pod's
// traffic and does not masquerade; the backend answers the client directly, who does not know it.

import { cluster, dial, ECHO, incident, TCP } from "./incident.ts";

const { topology, run } = incident({
  title: "A pod hangs at another node's NodePort",
  reference: "#74383",
  why: "with the ClusterCIDR detector the short way of pods holds on every node, also without a way back",
  network(t, isFixed) {
    const aks = cluster(t, 3, { cni: "azure-transparent" });
    aks.pod("web", { node: "n2", ...ECHO }).pod("client", { node: "n0", labels: {} });
    const externalTrafficPolicy = isFixed ? "Cluster" : "Local";
    aks.service("web", { ...TCP, type: "NodePort", nodePort: 30_080, externalTrafficPolicy });
  },
  play: (net) => dial(net, "client", "n1:30080"),
  broken: "no connection",
  fixed: "answered",
});

export default topology;
export { run };
