// A connection of the node has a source port that is some Service's NodePort. In the ipvs mode the NodePort
// is a virtual service of the node's address, and IPVS schedules whatever SYN or datagram comes to it without
// asking conntrack: the answer goes to a pod of the Service. A port that MASQUERADE chose does no harm, as
// conntrack translates the answer back before IPVS sees it (test/emulator/ipvs.test.ts).

import { ms, type Net } from "vnetem";
import { ask, cluster, ECHO, incident, NODES, UDP } from "./incident.ts";

/** A program of n0 asks the server from this port, over both protocols. */
function fromPort(net: Net, port: number): string {
  const c = net.tcp("n0").connect("server:8080", { port });
  c.send("hello");
  net.run({ for: ms(3500) });
  const seen = c.text === "hello" ? "answered" : (c.error ?? "no connection");
  c.reset();
  net.run({ for: ms(50) });
  return `TCP ${seen}, UDP ${ask(net, "n0", "server:8080", port)}`;
}

const { topology, run } = incident({
  title: "A source port that is a NodePort",
  reference: "#139276, cilium/cilium#23604",
  why: "IPVS takes the answer for a request; ip_local_reserved_ports keeps the range out of reach",
  network(t) {
    const aks = cluster(t, 2, { kubeProxy: { mode: "ipvs" } });
    aks.pod("web", { node: "n1", ...ECHO });
    const ports = [
      { ...UDP, nodePort: 30_080 },
      { ...UDP, name: "tcp", protocol: "TCP", nodePort: 30_080 } as const,
    ];
    aks.service("web", { type: "NodePort", ports });
    t.vm("server", { subnet: NODES, ...ECHO });
  },
  play: (net, isFixed) => fromPort(net, isFixed ? 40_000 : 30_080),
  broken: "TCP no connection, UDP silence",
  fixed: "TCP answered, UDP server",
});

export default topology;
export { run };
