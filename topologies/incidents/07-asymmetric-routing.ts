// A node forwards one direction of a connection only: it sees the SYN-ACK and never the SYN. To its
// conntrack that is INVALID, and kube-proxy's rule drops it.

import { dial, ECHO, incident } from "./incident.ts";

const { topology, run } = incident({
  title: "Answers by another way are dropped",
  reference: "#94861, #120412",
  why: "the rule against INVALID (incident 6) also meets what is invalid only because half of it was seen",
  network(t, isFixed) {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    t.routeTable("back", [{ prefix: "10.226.0.0/24", nextHop: "VirtualAppliance", address: "10.224.0.4" }]);
    const nodes = vnet.subnet("nodes", "10.224.0.0/16");
    const kubeProxy = { dropInvalid: !isFixed };
    t.cluster("aks", { subnet: nodes, cni: "azure-transparent", kubeProxy }).nodes(1);
    t.vm("client", { subnet: vnet.subnet("clients", "10.226.0.0/24") });
    t.vm("server", { subnet: vnet.subnet("servers", "10.225.0.0/24", { routeTable: "back" }), ...ECHO });
  },
  play(net) {
    net.soon.ipForwarding("n0", true);
    return dial(net, "client", "server:8080");
  },
  broken: "no connection",
  fixed: "answered",
});

export default topology;
export { run };
