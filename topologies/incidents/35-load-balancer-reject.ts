// A load balancer's Service without endpoints: before kube-proxy had rules that refuse in INPUT and FORWARD,
// nothing answered at all. The broken variant has no rules.

import { cluster, dial, incident, TCP } from "./incident.ts";

const { topology, run } = incident({
  title: "Time-outs where a refusal is due",
  reference: "#48719, fixed by #74394",
  why: "without the rule the packet is routed on, to nobody",
  network(t) {
    const aks = cluster(t, 2);
    aks.pod("client", { labels: {} });
    aks.service("web", { ...TCP, type: "LoadBalancer", externalIPs: ["203.0.113.9"] });
  },
  play(net, isFixed) {
    if (!isFixed) for (const node of ["n0", "n1"]) net.soon.flushRules(node);
    return dial(net, "client", "203.0.113.9:80");
  },
  broken: "no connection",
  fixed: "ECONNREFUSED",
});

export default topology;
export { run };
