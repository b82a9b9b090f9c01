// route_localnet=1, which NodePorts on 127.0.0.1 need, lets a pod on the node send packets to 127.0.0.1:
// they reach programs that listen for the node alone. KUBE-FIREWALL drops them; the broken variant has the
// sysctl and not the rule.

import { ms } from "vnetem";
import { cluster, frame, incident, udpDatagram } from "./incident.ts";

const { topology, run } = incident({
  title: "Services on localhost are open to neighbours",
  reference: "CVE-2020-8558, #92315, #90259",
  why: "a packet to 127/8 from elsewhere is no martian any more; only a rule keeps it out",
  network(t, isFixed) {
    const aks = cluster(t, 0, { kubeProxy: { mode: isFixed ? "iptables" : "nftables" } });
    aks.node("n0", { sysctls: { "net.ipv4.conf.all.route_localnet": 1 } });
    aks.pod("agent", { hostNetwork: true, udpSink: 9999 }).pod("neighbour");
  },
  play(net) {
    const ip = { src: net.pod("neighbour").ip, dst: "127.0.0.1", protocol: 17 };
    net.soon.sendFrame("neighbour/eth0", frame(net, "neighbour/eth0", ip, udpDatagram(4000, 9999)));
    net.run({ for: ms(50) });
    return `the agent received ${net.pod("agent").received}`;
  },
  broken: "the agent received 1",
  fixed: "the agent received 0",
});

export default topology;
export { run };
