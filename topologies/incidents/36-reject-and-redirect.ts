// A host outside the cluster asks a ClusterIP without endpoints through a node. The way in is the way out,
// so the node would also send a redirect: that uses up the sender's share of ICMP and is then discarded by
// NAT, and the refusal is held back.

import { dial, incident, TCP } from "./incident.ts";

const { topology, run } = incident({
  title: "The refusal that is never sent",
  reference: "seen on Linux 6.18",
  why: "redirect and refusal share one limit per destination; with send_redirects=0 the latter arrives",
  network(t, isFixed) {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    const route = { prefix: "10.0.0.0/16", nextHop: "VirtualAppliance", address: "10.224.0.4" };
    t.routeTable("services", [route]);
    const subnet = vnet.subnet("nodes", "10.224.0.0/16", { routeTable: "services" });
    const aks = t.cluster("aks", { subnet, cni: "azure-overlay" });
    aks.node("n0", { sysctls: { "net.ipv4.conf.all.send_redirects": isFixed ? 0 : 1 } });
    aks.service("web", TCP);
    t.vm("client", { subnet });
  },
  play(net, isFixed) {
    // Either of the two sysctls lets the node send them.
    if (isFixed) net.walk.k.setDevSysctl(net.hosts.device("n0/eth0"), "send_redirects", 0);
    net.soon.ipForwarding("n0", true);
    return dial(net, "client", "web:80");
  },
  broken: "no connection",
  fixed: "ECONNREFUSED",
});

export default topology;
export { run };
