// The last endpoint goes. New clients are refused; the client with an entry is not, as its packets bear the
// pod's address by the time the rule that refuses is asked.

import { ms } from "vnetem";
import { ask, cluster, ECHO, incident, UDP } from "./incident.ts";

const { topology, run } = incident({
  title: "UDP to a Service without endpoints",
  reference: "#139628, fixed by #139629",
  why: "REJECT looks for the Service's address, which the entry has rewritten already",
  network(t, isFixed) {
    const aks = cluster(t, 2, { kubeProxy: { conntrackCleanup: isFixed } });
    aks.deployment("web", ECHO).service("web", UDP).pod("client", { labels: {} });
  },
  play(net) {
    const before = ask(net, "client", "web:80", 4000);
    net.soon.removePod("web-0");
    net.run({ for: ms(10) });
    const same = ask(net, "client", "web:80", 4000);
    return `${before}, then ${same}; a new socket: ${ask(net, "client", "web:80")}`;
  },
  broken: "web-0, then silence; a new socket: ECONNREFUSED",
  fixed: "web-0, then ECONNREFUSED; a new socket: ECONNREFUSED",
});

export default topology;
export { run };
