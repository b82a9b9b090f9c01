// A link with delay, jitter, loss, duplication and reordering between two nodes, and a scripted fault: the
// first two pings are eaten. Everything is drawn from the seed: run it twice and compare.

import { defineTopology, expect, mbps, ms, type Net, sec } from "vnetem";

export default defineTopology({ seed: 7 }, (t) => {
  const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
  const nodes = vnet.subnet("nodes", "10.224.0.0/16");
  const aks = t.cluster("aks", { subnet: nodes });
  aks.nodes(2);
  aks.pod("client", { node: "n0" });
  aks.pod("server", { node: "n1", udpSink: 9000 });
});

export function run(net: Net) {
  const lossy = net.impair("n0/eth0", {
    delay: ms(20),
    jitter: ms(5),
    rate: mbps(10),
    loss: 0.02,
    duplicate: 0.01,
  });
  const traffic = net.traffic({
    from: "client",
    to: "server:9000",
    rate: 1000,
    packets: 10_000,
    frameBytes: 512,
  });
  net.run({ until: sec(11) });
  const { sent, received, lost, duplicated, reordered, latency } = traffic.report();
  net.log(
    `sent ${sent}, received ${received}, lost ${lost}, duplicated ${duplicated}, reordered ${reordered}`,
  );
  const [min, mean, max] = [latency.min, latency.mean, latency.max].map((ns) => (ns / 1e6).toFixed(2));
  net.log(`latency ${min} / ${mean} / ${max} ms (min / mean / max)`);
  expect(lost).toBeAtLeast(100);
  expect(lost).toBeAtMost(300);
  lossy.remove();

  const first = { match: { protocol: 1 }, action: "drop", count: 2 } as const;
  net.impair("n0/eth0", { faults: [first] });
  const pings = [0, 1, 2].map((i) => net.at(sec(12) + ms(100 * i)).ping("client", "server"));
  net.run({ until: sec(13) });
  net.log(`pings: ${pings.map((p) => p.dropReason ?? "answered").join(", ")}`);
  expect(pings[1]).toBeDropped("NETEM_SCRIPTED");
  expect(pings[2]).toArrive();
}
