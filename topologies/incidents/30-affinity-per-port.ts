// A Service with two ports and session affinity: each port keeps records of its own, so one client may get
// two pods, and what it uploads through one port is not there through the other.

import { ask, cluster, ECHO, incident, UDP } from "./incident.ts";

const { topology, run } = incident({
  title: "Another pod at the other port",
  reference: "#103000",
  why: "affinity is per service port: client address and port's rule, not client address and Service",
  network(t, isFixed) {
    const aks = cluster(t, 2);
    aks.deployment("web", { replicas: 2, ...ECHO });
    aks.pod("client", { node: "n0", labels: {} }).pod("other", { node: "n0", labels: {} });
    const ports = [
      { name: "a", ...UDP },
      { name: "b", ...UDP, port: 81 },
    ];
    aks.service("web", { ports: isFixed ? ports.slice(0, 1) : ports, sessionAffinity: "ClientIP" });
  },
  play(net, isFixed) {
    ask(net, "other", "web:80");
    const second = isFixed ? "web:80" : "web:81";
    return `${ask(net, "client", "web:80")}, then ${ask(net, "client", second)}`;
  },
  broken: "web-1, then web-0",
  fixed: "web-1, then web-1",
});

export default topology;
export { run };
