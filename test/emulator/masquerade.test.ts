// Whose address the world sees: IP-MASQ-AGENT as the modes of AKS configure it (azure.md 5.12).

import test from "ava";
import { type CniMode, defineTopology, ms, type Net, sec } from "../../src/index.ts";
import { seen } from "../ip/frames.ts";

function cluster(cni: CniMode): Net {
  return defineTopology({ seed: 7 }, (t) => {
    const vnet = t.vnet("v", { addressSpace: ["10.224.0.0/16", "10.230.0.0/16"] });
    const c = t.cluster("c", { subnet: vnet.subnet("s", "10.224.0.0/24"), cni });
    c.nodes(1);
    c.pod("client");
    t.vm("vm", { subnet: vnet.subnet("vms", "10.230.0.0/24"), udpEcho: 7 });
  }).build();
}

/** The source a datagram from the pod has on the node's NIC. */
function sourceAt(net: Net, to: string): string {
  const before = net.walk.k.capture.count;
  net.soon.udp("client", `${to}:7`, "hello");
  net.run({ for: sec(1) });
  const out = seen(net)
    .slice(before)
    .filter((f) => f.direction === "out" && f.line.includes(`> ${to}.7:`));
  return / (\d+\.\d+\.\d+\.\d+)\.\d+ > /.exec(out[0]?.line ?? "")?.[1] ?? "nothing left the node";
}

test("A8.84 A8.85 a pod's VNet address is kept in the VNet and to 169.254; others see the node's", (t) => {
  const net = cluster("azure-transparent");
  net.tap("n0/eth0");
  const [pod, node] = [net.pod("client").ip, "10.224.0.4"];
  t.is(sourceAt(net, "10.230.0.4"), pod, "another prefix of the VNet");
  t.is(sourceAt(net, "8.8.8.8"), node, "the Internet");
  t.is(sourceAt(net, "10.9.9.9"), node, "a private address outside: as a peered VNet would be");
  t.is(sourceAt(net, "169.254.169.254"), pod, "link-local");
});

test("A8.84 masqLinkLocal: 169.254 is masqueraded as well", (t) => {
  const net = cluster("azure-transparent");
  net.tap("n0/eth0");
  net.walk.nf.addMasqueradeRule(net.hosts.host("n0").ns, { nonMasqueradeCidrs: [] });
  t.is(sourceAt(net, "169.254.169.254"), "10.224.0.4");
});

test("A8.86 overlay: a VM of the VNet sees the node's address, and so does everyone outside", (t) => {
  const net = cluster("azure-overlay");
  net.tap("n0/eth0", "vm/eth0");
  t.is(sourceAt(net, "10.230.0.4"), "10.224.0.4");
  t.is(sourceAt(net, "8.8.8.8"), "10.224.0.4");
  const asked = net.at(net.now + ms(1)).udp("client", "vm:7", "hello");
  net.run({ for: sec(1) });
  t.is(asked.text, "hello", "and the answer finds the pod");
});
