// Real programs as a pod. Three web servers of Node answer behind a Service; `vnetem attach` gives the place
// of the pod `client` to a program of this machine, or to a TAP device:
//
//   vnetem attach topologies/attach-tap.ts --as pod/client -- curl -s http://10.0.0.11/
//   vnetem attach topologies/attach-tap.ts --tap vnetem0 --as pod/client --netns blue
//
// `vnetem run` needs no root: there the emulated client asks.

import http from "node:http";
import { defineTopology, ms, type Net } from "vnetem";

export default defineTopology({ seed: 7 }, (t) => {
  const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
  const nodes = vnet.subnet("nodes", "10.224.0.0/16");
  const aks = t.cluster("aks", { subnet: nodes, serviceCidr: "10.0.0.0/16" });
  aks.nodes(2);
  aks.deployment("web", { replicas: 3, udpEcho: 7, tcpEcho: 7 });
  aks.service("web", { port: 80, targetPort: 8080, clusterIP: "10.0.0.11" });
  aks.pod("client");
});

/** What runs in the pods, in both cases. */
export function start(net: Net) {
  for (const { name, ip } of net.podInfos("web")) {
    const server = http.createServer((request, response) => {
      response.sendDate = false;
      response.end(`${name} (${ip}) answers ${request.socket.remoteAddress}\n`);
    });
    net.node(name).serve(server, 8080);
  }
}

export async function run(net: Net) {
  start(net);
  const agent = new http.Agent();
  Object.assign(agent, { createConnection: net.node("client").createConnection });
  for (let i = 0; i < 6; i++) {
    http.get({ host: "web", port: 80, agent }, (response) => {
      response.setEncoding("utf8").on("data", (text: string) => net.log(text.trimEnd()));
    });
    await net.settle({ until: ms(10 * (i + 1)) });
  }
}
