// A pod asks for its own Service and is sent to itself: the frame would have to leave by the bridge port it
// came in by, which a bridge refuses unless the port is in hairpin mode.

import { ask, cluster, ECHO, incident, UDP } from "./incident.ts";

const { topology, run } = incident({
  title: "A pod cannot reach itself through its Service",
  reference: "#13375, #20475, #22717, #61593",
  why: "br_netfilter rewrites the address inside the bridge, and the bridge will not send a frame back",
  network(t, isFixed) {
    const aks = cluster(t, 1, { cni: "kubenet", hairpin: isFixed });
    aks.pod("web", ECHO).service("web", UDP);
  },
  play: (net) => ask(net, "web", "web:80"),
  broken: "silence",
  fixed: "web",
});

export default topology;
export { run };
