// A and AAAA leave one UDP socket together. On two processors both miss conntrack, each gets a DNAT of its
// own, and the second to be confirmed clashes: it is lost, and the stub resolver asks again after five
// seconds. One processor cannot race with itself, so a scripted fault takes the second query here.

import { ms, sec } from "vnetem";
import { cluster, ECHO, incident, TCP } from "./incident.ts";

const { topology, run } = incident({
  title: "Names take five seconds",
  reference: "#56903, #62628, weaveworks/weave#3287",
  why: "the query that lost the race is sent again after the resolver's timeout, 5 s",
  network(t) {
    const aks = cluster(t, 2);
    aks.dns();
    aks.deployment("web", ECHO).service("web", TCP).pod("client");
  },
  play(net, isFixed) {
    if (!isFixed) {
      const match = { protocol: 17, destinationPort: 53 };
      net.impair("client/eth0", { faults: [{ match, action: "drop", skip: 1, count: 1 }] });
    }
    const found = net.at(ms(1)).lookup("client", "web.default.svc.cluster.local.");
    net.run({ until: sec(20) });
    const took = ((found.finishedAt ?? 0) - ms(1)) / sec(1);
    return `found after ${took} s, ${found.asked.length} queries`;
  },
  broken: "found after 5 s, 3 queries",
  fixed: "found after 0 s, 2 queries",
});

export default topology;
export { run };
