// A Service is deleted while a connection to it is in use. In the ipvs mode its address goes from kube-ipvs0
// at once, so what the client sends is no longer the node's business, and nobody tells the client.

import { ms } from "vnetem";
import { cluster, ECHO, incident, TCP } from "./incident.ts";

const { topology, run } = incident({
  title: "Connections of a deleted Service",
  reference: "#71894",
  why: "ipvs unbinds the VIP under them; in the other modes conntrack goes on translating",
  network(t, isFixed) {
    const aks = cluster(t, 2, { kubeProxy: { mode: isFixed ? "iptables" : "ipvs" } });
    aks.pod("web", { node: "n1", ...ECHO }).pod("client", { node: "n0", labels: {} });
    aks.service("web", TCP);
  },
  play(net) {
    const c = net.tcp("client").connect("web:80");
    c.send("before ");
    net.run({ for: ms(100) });
    net.soon.removeService("web");
    net.run({ for: ms(1) });
    c.send("after");
    net.run({ for: ms(2000) });
    const seen = `${c.text.trim()}, ${c.state}`;
    c.reset();
    net.run({ for: ms(50) });
    return seen;
  },
  broken: "before, ESTABLISHED",
  fixed: "before after, ESTABLISHED",
});

export default topology;
export { run };
