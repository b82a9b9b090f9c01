// The Service is made while its only pod is not ready, and a client is there already: its first datagrams
// are routed away, as nothing knows the address. The clean-up that runs when the Service comes is too early;
// the one that cures is the one after the pod gets ready.

import { ms } from "vnetem";
import { ask, cluster, ECHO, incident, UDP } from "./incident.ts";

const { topology, run } = incident({
  title: "UDP between unready and ready",
  reference: "#105657",
  why: "the entry was made before any rule; only a clean-up after the endpoint is there finds it",
  network(t, isFixed) {
    const aks = cluster(t, 2, { kubeProxy: { conntrackCleanup: isFixed } });
    aks.deployment("web", { ready: false, ...ECHO }).pod("client", { labels: {} });
  },
  play(net) {
    const vip = "10.0.0.50:80";
    const before = ask(net, "client", vip, 4000);
    net.soon.service("web", { ...UDP, clusterIP: "10.0.0.50" });
    net.soon.ready("web-0");
    net.run({ for: ms(10) });
    return [before, ask(net, "client", vip, 4000), ask(net, "client", vip, 4000)].join(", ");
  },
  broken: "silence, silence, silence",
  fixed: "silence, web-0, web-0",
});

export default topology;
export { run };
