// Real programs of this machine as pods, VMs and on-premises hosts of the emulation, through a TAP device in
// a network namespace of their own: ping, and curl to a Service.

import http from "node:http";
import { defineTopology } from "../../src/emulator/define.ts";
import type { Net } from "../../src/emulator/net.ts";
import type { CniMode } from "../../src/emulator/spec.ts";
import { ms } from "../../src/emulator/units.ts";
import { cluster } from "../emulator/kit.ts";
import { goLive, real, run } from "./kit.ts";

const MODES: readonly CniMode[] = [
  "azure-transparent",
  "azure-bridge",
  "azure-tunnel",
  "azure-overlay",
  "kubenet",
];

/** Web servers of Node in three pods behind a Service, and a pod whose place is taken. */
function webCluster(cni: CniMode): Net {
  const net = cluster(
    (aks) => {
      aks.deployment("web", { replicas: 3 });
      aks.service("web", { port: 80, targetPort: 8080, clusterIP: "10.0.0.11" });
      aks.pod("client", { node: "n0" });
    },
    { cni, serviceCidr: "10.0.0.0/16" },
  );
  for (const { name } of net.podInfos("web")) {
    const server = http.createServer((request, response) => {
      response.end(`${name} ${request.socket.remoteAddress}\n`);
    });
    net.node(name).serve(server, 8080);
  }
  return net;
}

for (const cni of MODES) {
  real(`curl to a Service in ${cni} is balanced round-robin over emulated pods`, ["curl"], async (t) => {
    const net = webCluster(cni);
    await goLive(t, net, async (live) => {
      const namespace = await live.namespace();
      const { counters } = await live.tap("eth0", "pod/client", namespace);
      const { ip } = net.pod("client");
      const answers: string[] = [];
      for (let i = 0; i < 7; i++) {
        const { stdout } = await run(namespace, "curl", "-sS", "-m", "60", "http://10.0.0.11/");
        answers.push(stdout);
      }
      const turn = ["web-0", "web-1", "web-2"];
      t.deepEqual(
        answers,
        answers.map((_, i) => `${turn[i % 3]} ${ip}\n`),
      );
      t.deepEqual([counters.refused, counters.lost], [0, 0]);
    });
  });
}

real(
  "ping from a pod reaches pods, nodes and a VM; an address nobody has is unreachable",
  ["ping"],
  async (t) => {
    const net = cluster((aks, topology) => {
      aks.deployment("web", { replicas: 2 });
      aks.pod("client", { node: "n0" });
      topology.vm("db", {
        subnet: topology.vnet("data", { addressSpace: ["10.9.0.0/16"] }).subnet("s", "10.9.1.0/24"),
      });
    });
    await goLive(t, net, async (live) => {
      const namespace = await live.namespace();
      await live.tap("eth0", "pod/client", namespace);
      const near = net.podInfos("web").map(({ ip }) => ip);
      for (const ip of near) {
        const { stdout, code } = await run(namespace, "ping", "-n", "-c", "3", "-i", "0.05", "-W", "60", ip);
        t.is(code, 0, stdout);
        t.regex(stdout, /3 packets transmitted, 3 received, 0% packet loss/);
      }
      // Two VNets that nobody peered.
      const away = await run(namespace, "ping", "-n", "-c", "1", "-W", "1", "10.9.1.4");
      t.is(away.code, 1, away.stdout);
    });
  },
);

real(
  "an on-premises host pings a VM through ExpressRoute; its large packets are cut to size",
  ["ping"],
  async (t) => {
    const net = defineTopology({ seed: 7, frames: 1024 }, (topology) => {
      const hub = topology.vnet("hub", { addressSpace: ["10.0.0.0/16"] });
      hub.subnet("GatewaySubnet", "10.0.255.0/27");
      hub.gateway("er", "ExpressRoute");
      const dc = topology.site("dc", { addressSpace: ["192.168.0.0/16"] });
      topology.connection("circuit", "er", { site: dc, delay: ms(2) });
      topology.vm("ledger", { subnet: dc.subnet("servers", "192.168.1.0/24") });
      topology.vm("db", { subnet: hub.subnet("data", "10.0.1.0/24") });
    }).build();
    await goLive(t, net, async (live) => {
      const namespace = await live.namespace();
      const { counters } = await live.tap("eth0", "vm/ledger", namespace);
      const ping = ["-n", "-c", "3", "-i", "0.05", "-W", "60"];
      const small = await run(namespace, "ping", ...ping, "10.0.1.4");
      t.regex(small.stdout, /3 received/, small.stderr);
      const large = await run(namespace, "ping", ...ping, "-s", "4000", "10.0.1.4");
      t.regex(large.stdout, /3 received/, large.stderr);
      // Three fragments for each.
      t.true(counters.in >= 12);
    });
  },
);

for (const cni of ["azure-transparent", "azure-bridge"] as const) {
  real(
    `a node of a cluster in ${cni} whose NIC is a real machine's reaches pods of others`,
    ["ping"],
    async (t) => {
      const net = cluster(
        (aks) => {
          aks.pod("web", { node: "n0" });
        },
        { cni },
      );
      await goLive(t, net, async (live) => {
        const namespace = await live.namespace();
        await live.tap("eth0", "node/n1", namespace);
        const { stdout } = await run(
          namespace,
          "ping",
          "-n",
          "-c",
          "3",
          "-i",
          "0.05",
          "-W",
          "60",
          net.pod("web").ip,
        );
        t.regex(stdout, /3 received/);
      });
    },
  );
}
