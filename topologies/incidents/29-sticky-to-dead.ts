// Session affinity, and a client that tries again and again: each attempt renews its record, so it stays
// with the endpoint that does not answer until readiness takes that one away.

import { sec } from "vnetem";
import { ask, cluster, ECHO, incident, UDP } from "./incident.ts";

const { topology, run } = incident({
  title: "Stuck to an endpoint that is not there",
  reference: "#110302",
  why: "the record is renewed by every new connection, answered or not",
  network(t) {
    const aks = cluster(t, 2);
    aks.deployment("web", { replicas: 2, ...ECHO }).pod("client", { labels: {} });
    aks.service("web", { ...UDP, sessionAffinity: "ClientIP", sessionAffinityTimeout: sec(10) });
  },
  play(net, isFixed) {
    const seen = [ask(net, "client", "web:80")];
    net.soon.failPod("web-0");
    for (let i = 0; i < 6; i++) {
      net.run({ for: sec(5) });
      if (isFixed && i === 2) net.soon.ready("web-0", false);
      seen.push(ask(net, "client", "web:80"));
    }
    return seen.map((s) => (s === "EHOSTUNREACH" ? "silence" : s)).join(", ");
  },
  broken: "web-0, silence, silence, silence, silence, silence, silence",
  fixed: "web-0, silence, silence, web-1, web-1, web-1, web-1",
});

export default topology;
export { run };
