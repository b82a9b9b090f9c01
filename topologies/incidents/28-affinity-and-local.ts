// Session affinity with externalTrafficPolicy Local: for years the chain of a node's own endpoints had no
// affinity rules. The broken variant is a Service without affinity, which is what clients saw.

import { ask, cluster, ECHO, incident, NODES, UDP } from "./incident.ts";

const { topology, run } = incident({
  title: "No affinity with policy Local",
  reference: "#55429, fixed by #55519",
  why: "the rules of session affinity stood in the chain of the whole cluster only",
  network(t, isFixed) {
    const aks = cluster(t, 1);
    aks.deployment("web", { replicas: 2, node: "n0", ...ECHO });
    const base = { ...UDP, type: "NodePort", nodePort: 30_080, externalTrafficPolicy: "Local" } as const;
    aks.service("web", { ...base, sessionAffinity: isFixed ? "ClientIP" : "None" });
    t.vm("client", { subnet: NODES });
  },
  play: (net) => Array.from({ length: 4 }, () => ask(net, "client", "n0:30080")).join(", "),
  broken: "web-0, web-1, web-0, web-1",
  fixed: "web-0, web-0, web-0, web-0",
});

export default topology;
export { run };
