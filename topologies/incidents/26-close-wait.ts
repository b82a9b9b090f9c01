// A connection from outside, masqueraded by a node, is half closed: the client has said all, the server
// thinks for a while. With the kernel's own time-out of 60 s the entry is gone when the answer comes.

import { ms, sec } from "vnetem";
import { cluster, incident, NODES, TCP } from "./incident.ts";

const { topology, run } = incident({
  title: "Half-closed connections die after a minute",
  reference: "#32551",
  why: "nf_conntrack_tcp_timeout_close_wait: 60 s in the kernel, 3,600 s as kube-proxy sets it",
  network(t, isFixed) {
    const aks = cluster(t, 2);
    aks.pod("web", { node: "n0" }).service("web", { ...TCP, type: "NodePort", nodePort: 30_080 });
    t.vm("client", { subnet: NODES });
    const seconds = isFixed ? 3600 : 60;
    aks.node("n2", { sysctls: { "net.netfilter.nf_conntrack_tcp_timeout_close_wait": seconds } });
  },
  play(net) {
    const server = net.tcp("web").listen(8080);
    const c = net.tcp("client").connect("n2:30080");
    c.send("question");
    c.end();
    net.run({ for: sec(90) });
    const accepted = server.connections[0];
    accepted?.send("answer");
    accepted?.close();
    net.run({ for: ms(500) });
    const seen = c.text === "" ? "nothing" : c.text;
    c.reset();
    return `after 90 s the client reads ${seen}`;
  },
  broken: "after 90 s the client reads nothing",
  fixed: "after 90 s the client reads answer",
});

export default topology;
export { run };
