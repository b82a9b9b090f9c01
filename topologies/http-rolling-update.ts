// A rolling update under HTTP: Node's own http servers in the backends, Node's own http client with keep-
// alive connections in another pod. Every backend is replaced, one each 100 ms, while requests go out. A
// request on a new connection finds a live backend every time. A kept connection dies with its backend: the
// server's pod is killed and says FIN, so the client's agent drops the idle connection and opens another.
// What was under way at that very moment would fail; between requests nothing is.

import http from "node:http";
import { defineTopology, expect, ms, type Net, sec } from "vnetem";

const REQUESTS = 60;

export default defineTopology({ seed: 7 }, (t) => {
  const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
  const nodes = vnet.subnet("nodes", "10.224.0.0/16");
  const aks = t.cluster("aks", { subnet: nodes, cni: "azure-transparent" });
  aks.nodes(3);
  aks.deployment("web", { replicas: 3 });
  aks.service("web", { port: 80, targetPort: 8080 });
  aks.pod("client");
});

export async function run(net: Net) {
  const serving = new Set<string>();
  const startServers = () => {
    for (const { name } of net.podInfos("web")) {
      if (serving.has(name)) continue;
      serving.add(name);
      const server = http.createServer((_request, response) => {
        response.setHeader("date", "-");
        response.end(name);
      });
      net.node(name).serve(server, 8080);
    }
  };
  startServers();
  net.at(ms(100)).churn("web", ms(100), 3);

  const agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
  const { createConnection } = net.node("client");
  Object.assign(agent, { createConnection });
  const answers: string[] = [];
  for (let i = 0; i < REQUESTS; i++) {
    await net.settle({ until: ms(10 * i) });
    startServers();
    const request = http.get({ host: "web", port: 80, agent }, (response) => {
      response.on("data", (chunk: Buffer) => answers.push(chunk.toString()));
    });
    request.on("error", (error: NodeJS.ErrnoException) => answers.push(error.code ?? "error"));
  }
  await net.settle({ until: sec(1) });
  agent.destroy();
  await net.settle({ until: sec(2) });

  const runs: string[] = [];
  for (const [i, name] of answers.entries()) if (name !== answers[i - 1]) runs.push(`${name} from #${i + 1}`);
  net.log(`${answers.length} requests over kept connections; answered by: ${runs.join(", ")}`);
  const connections = net.deliveries()[0]?.pods ?? {};
  net.log(`connections to the pods of now: ${JSON.stringify(connections)}`);
  expect(answers.length).toBe(REQUESTS);
  expect(answers.filter((a) => !a.startsWith("web-")).length).toBe(0);
}
