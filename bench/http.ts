// `http`: requests per second of a Node http server in a pod, asked by a client in another pod through a
// Service, beside the same server and client over loopback, in turns in one process. Both sides run on one
// thread in both cases; connections are kept.

import http from "node:http";
import type { AddressInfo } from "node:net";
import { defineTopology } from "../src/emulator/define.ts";
import type { Net } from "../src/emulator/net.ts";
import { machine, round, type Spread, spreadOf } from "./result.ts";

/** Requests under way at a time, each on its own connection. */
const CONNECTIONS = 32;
/** Requests of a slice, and of those nobody counts before the first. */
const SLICE = 2_000;
const WARM = 10_000;
const BODY = "hello, world\n".repeat(10);

export interface HttpSide {
  requestsPerSecond: number;
  /** Of the slices, nanoseconds per request. */
  spread: Spread;
}

export interface HttpResult extends HttpSide {
  scenario: "http";
  connections: number;
  requests: number;
  /** Answers that were not what the server says. */
  wrong: number;
  loopback: HttpSide;
  /** Requests per second in the emulation divided by those over loopback. */
  ratio: number;
  node: string;
  cpu: string;
}

export async function measureHttp(
  { seconds }: { seconds: number },
  slice = SLICE,
  warm = WARM,
): Promise<HttpResult> {
  const emulated = new Asker(await inPods());
  const loopback = new Asker(await overLoopback());
  const sides = [emulated, loopback];
  for (const side of sides) await side.ask(warm);
  for (const side of sides) side.times.length = 0;
  const end = performance.now() + seconds * 1e3;
  do for (const side of sides) await side.ask(slice);
  while (performance.now() < end);
  for (const side of sides) side.close();
  const found = emulated.result();
  const other = loopback.result();
  return {
    scenario: "http",
    connections: CONNECTIONS,
    requests: emulated.times.length * slice,
    wrong: emulated.wrong + loopback.wrong,
    ...found,
    loopback: other,
    ratio: round(found.requestsPerSecond / other.requestsPerSecond, 3),
    ...machine(),
  };
}

/** Where the server is, and what lets the two work until the answers are there. */
interface Place {
  options: http.RequestOptions;
  agent: http.Agent;
  until: (done: Promise<void>) => Promise<void>;
  close: () => void;
}

const createServer = (): http.Server => http.createServer((_request, response) => response.end(BODY));

async function overLoopback(): Promise<Place> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const close = (): void => {
    agent.destroy();
    server.close();
  };
  return { options: { host: "127.0.0.1", port }, agent, until: (done) => done, close };
}

async function inPods(): Promise<Place> {
  const net = topology().build();
  net.node("web-0").serve(createServer(), 8080);
  const { createConnection } = net.node("client");
  const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  Object.assign(agent, { createConnection });
  const until = async (done: Promise<void>): Promise<void> => {
    await net.settle({ until: net.now + 1e6 });
    await done;
  };
  return { options: { host: "web", port: 80 }, agent, until, close: () => agent.destroy() };
}

function topology(): { build: () => Net } {
  return defineTopology({ seed: 1 }, (t) => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    const aks = t.cluster("aks", { subnet: vnet.subnet("nodes", "10.224.0.0/16"), cni: "azure-bridge" });
    aks.nodes(2);
    aks.deployment("web", { replicas: 1, node: "n1" });
    aks.service("web", { port: 80, targetPort: 8080 });
    aks.pod("client", { node: "n0" });
  });
}

class Asker {
  wrong = 0;
  readonly times: number[] = [];
  private readonly place: Place;

  constructor(place: Place) {
    this.place = place;
  }

  /** So many requests, CONNECTIONS at a time. */
  async ask(requests: number): Promise<void> {
    const from = performance.now();
    let left = requests;
    const done = Promise.all(
      Array.from({ length: CONNECTIONS }, async () => {
        while (left-- > 0) if ((await this.get()) !== BODY) this.wrong++;
      }),
    );
    await this.place.until(done.then(() => {}));
    this.times.push(((performance.now() - from) * 1e6) / requests);
  }

  close(): void {
    this.place.close();
  }

  result(): HttpSide {
    const spread = spreadOf(this.times);
    return { requestsPerSecond: Math.round(1e9 / spread.medianNs), spread };
  }

  private get(): Promise<string> {
    const { options, agent } = this.place;
    return new Promise((resolve, reject) => {
      const request = http.get({ ...options, agent }, (response) => {
        let text = "";
        response.setEncoding("latin1");
        response.on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("end", () => resolve(text));
      });
      request.on("error", reject);
    });
  }
}
