// externalTrafficPolicy Local on nodes that have no endpoint: connections from outside are dropped, so
// clients time out where a refusal would tell them. The health-check node port is how a load balancer should
// know.

import { cluster, dial, ECHO, incident, NODES, TCP } from "./incident.ts";

const { topology, run } = incident({
  title: "Time-outs at nodes without endpoints",
  reference: "#121371",
  why: "policy Local drops what it may not send elsewhere; the node's health check says 503",
  network(t) {
    const aks = cluster(t, 2);
    aks.pod("web", { node: "n0", ...ECHO });
    const type = "LoadBalancer";
    aks.service("web", { ...TCP, type, nodePort: 30_080, externalTrafficPolicy: "Local" });
    t.vm("client", { subnet: NODES });
  },
  play(net, isFixed) {
    const healthy = ["n0", "n1"].filter((n) => !isFixed || net.healthCheck("web", n)?.status === 200);
    return healthy.map((n) => `${n} ${dial(net, "client", `${n}:30080`)}`).join(", ");
  },
  broken: "n0 answered, n1 no connection",
  fixed: "n0 answered",
});

export default topology;
export { run };
