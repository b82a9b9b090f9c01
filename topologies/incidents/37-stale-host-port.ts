// A pod with a UDP host port is made anew and gets another address. The client's entry leads to the old one;
// host ports are the CNI plugin's, so kube-proxy does not clean up.

import { ms } from "vnetem";
import { ask, cluster, ECHO, incident, NODES } from "./incident.ts";

const { topology, run } = incident({
  title: "A host port leads to a pod that is gone",
  reference: "#66651, #59033",
  why: "portmap deletes the entries of the port when it adds a pod; before 0.8 it did not",
  network(t, isFixed) {
    const aks = cluster(t, 1, { hostPortCleanup: isFixed });
    const containerPorts = [{ containerPort: 8080, hostPort: 8081, protocol: "UDP" }] as const;
    aks.deployment("web", { node: "n0", containerPorts, ...ECHO });
    t.vm("client", { subnet: NODES });
  },
  play(net) {
    const before = ask(net, "client", "n0:8081", 4000);
    net.soon.replacePod("web-0");
    net.run({ for: ms(10) });
    return [before, ask(net, "client", "n0:8081", 4000), ask(net, "client", "n0:8081", 4000)].join(", ");
  },
  broken: "web-0, silence, silence",
  fixed: "web-0, web-1, web-1",
});

export default topology;
export { run };
