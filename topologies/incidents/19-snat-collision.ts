// Two connections are masqueraded at one instant on two processors and get one source port; the second to be
// confirmed fails (insert_failed) and its SYN is lost, so the client tries again after a second. --random-
// fully makes it rare. One processor cannot race with itself: a scripted fault takes the SYN here.

import { ms, sec } from "vnetem";
import { cluster, ECHO, incident, NODES } from "./incident.ts";

const { topology, run } = incident({
  title: "Some connections take one second, or three",
  reference: "weaveworks/weave#3287",
  why: "a lost SYN is sent again after 1 s, then 2 s later",
  network(t) {
    cluster(t, 1).pod("client");
    t.vm("outside", { subnet: NODES, ...ECHO });
  },
  play(net, isFixed) {
    const match = { protocol: 6, tcpSet: 0x02, tcpClear: 0x10 };
    if (!isFixed) net.impair("n0/eth0", { faults: [{ match, action: "drop", count: 1 }] });
    const c = net.at(ms(1)).connect("client", "outside:8080");
    net.run({ until: sec(10) });
    const took = Math.round(((c.connectedAt ?? 0) - ms(1)) / ms(100)) / 10;
    c.reset();
    return `connected after ${took} s`;
  },
  broken: "connected after 1 s",
  fixed: "connected after 0 s",
});

export default topology;
export { run };
