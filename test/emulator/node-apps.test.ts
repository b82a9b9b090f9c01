// Programs people run, as they come from the registry, in pods: fastify, undici, ws, and node:http with an
// agent, through a Service, with names of the cluster.

import crypto from "node:crypto";
import http from "node:http";
import test from "ava";
import fastify from "fastify";
import { Agent, fetch, Pool } from "undici";
import type { RawData } from "ws";
import { defineTopology, ms, type Net, sec } from "../../src/index.ts";

// A WebSocket's key is random. Captures are alike where programs are.
crypto.randomBytes = ((size: number) => Buffer.alloc(size, 7)) as typeof crypto.randomBytes;
const { WebSocket, WebSocketServer } = await import("ws");

const build = (flowCache = true): Net =>
  defineTopology({ seed: 7 }, (t) => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    const aks = t.cluster("aks", { subnet: vnet.subnet("nodes", "10.224.0.0/16") });
    aks.nodes(2);
    aks.deployment("web", { replicas: 2 });
    aks.service("web", { port: 80, targetPort: 8080 });
    aks.service("each", { clusterIP: "None", selector: { app: "web" }, port: 80 });
    aks.service("elsewhere", { type: "ExternalName", externalName: "web.default.svc.cluster.local" });
    aks.pod("client");
  }).build({ flowCache });

/** fastify with a WebSocket beside it, in each backend. */
async function startServers(net: Net): Promise<void> {
  for (const pod of ["web-0", "web-1"]) {
    const app = fastify();
    app.addHook("onSend", async (_request, reply) => {
      reply.header("date", "-");
    });
    app.get("/hello/:name", async (request) => {
      const { name } = request.params as { name: string };
      return { hello: name, from: pod, peer: request.ip };
    });
    app.post("/echo", async (request) => ({ from: pod, bytes: JSON.stringify(request.body).length }));
    await app.ready();
    const sockets = new WebSocketServer({ server: app.server });
    sockets.on("connection", (socket) => {
      socket.on("message", (data: RawData) => socket.send(`${pod} heard ${data}`));
    });
    net.node(pod).serve(app.server, 8080);
  }
}

/** Runs both until what the program promised is there. */
async function settled<T>(net: Net, promise: Promise<T>): Promise<T> {
  let found = false;
  const done = promise.finally(() => {
    found = true;
  });
  while (!found) await net.settle({ until: net.now + ms(50) });
  return done;
}

interface Seen {
  answers: unknown[];
  /** With the virtual time of each. */
  said: string[];
}

async function exchange(net: Net): Promise<Seen> {
  await startServers(net);
  const client = net.node("client");
  const dispatcher = new Agent({ connect: client.connector });
  const answers: unknown[] = [];
  for (const name of ["web", "web.default", "web.default.svc.cluster.local", "elsewhere"]) {
    const response = await settled(net, fetch(`http://${name}/hello/${name}`, { dispatcher }));
    answers.push([response.status, await settled(net, response.json())]);
  }
  const body = JSON.stringify({ text: "x".repeat(300_000) });
  const headers = { "content-type": "application/json" };
  const post = await settled(net, fetch("http://web/echo", { method: "POST", body, headers, dispatcher }));
  answers.push([post.status, await settled(net, post.json())]);
  await settled(net, dispatcher.close());

  const said: string[] = [];
  const { createConnection } = client;
  const socket = new WebSocket("ws://web/", { createConnection, generateMask: (mask) => mask.fill(7) });
  socket.on("open", () => socket.send("hello"));
  socket.on("message", (data: RawData) => {
    said.push(`${net.now} ${data}`);
    if (said.length < 3) socket.send(`message ${said.length}`);
    else socket.close(1000, "enough");
  });
  socket.on("close", (code, why) => said.push(`${net.now} closed ${code} ${why}`));
  await net.settle({ until: net.now + sec(1) });
  return { answers, said };
}

test("fastify, fetch and a WebSocket, unmodified, through a Service", async (t) => {
  const net = build();
  const { answers, said } = await exchange(net);
  const peer = net.pod("client").ip;
  const get = (hello: string, from: string): unknown => [200, { hello, from, peer }];
  t.deepEqual(answers, [
    get("web", "web-0"),
    get("web.default", "web-1"),
    get("web.default.svc.cluster.local", "web-0"),
    get("elsewhere", "web-1"),
    // On the connection to "web" that undici kept.
    [200, { from: "web-0", bytes: body(300_000) }],
  ]);
  t.deepEqual(
    said.map((line) => line.replace(/^\d+ /, "")),
    ["web-0 heard hello", "web-0 heard message 1", "web-0 heard message 2", "closed 1000 enough"],
  );
  await net.settle();
  t.is(net.walk.k.skb.live, 0);
  // The two that listen.
  t.is(net.programs.open, 2);
});

const body = (length: number): number => JSON.stringify({ text: "x".repeat(length) }).length;

test("the capture is the same run after run", async (t) => {
  const capture = async (): Promise<Buffer> => {
    const net = build();
    net.tap();
    await exchange(net);
    return Buffer.from(net.pcapng());
  };
  const first = await capture();
  t.true(first.length > 300_000);
  t.true(first.equals(await capture()));
});

test("cache on and off give equal connections", async (t) => {
  const run = async (flowCache: boolean) => {
    const net = build(flowCache);
    const seen = await exchange(net);
    const { walked } = net.walk;
    return {
      walked,
      state: { seen, now: net.now, counters: net.counters(), conntrack: net.show("n0", "conntrack") },
    };
  };
  const on = await run(true);
  const off = await run(false);
  t.deepEqual(on.state, off.state);
  // The cache has carried them, most of the segments.
  t.true(on.walked < off.walked / 2, `${on.walked} and ${off.walked} frames walked`);
});

test("node:http with a keep-alive agent, and undici's Pool, on one host", async (t) => {
  const net = build();
  await startServers(net);
  const { createConnection, connector } = net.node("client");
  const agent = Object.assign(new http.Agent({ keepAlive: true, maxSockets: 1 }), { createConnection });
  const get = (path: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const request = http.get({ host: "web", port: 80, path, agent }, (response) => {
        let text = "";
        response.on("data", (chunk) => {
          text += chunk;
        });
        response.on("end", () => resolve(JSON.parse(text).from));
      });
      request.on("error", reject);
    });
  const kept = [await settled(net, get("/hello/a")), await settled(net, get("/hello/b"))];
  t.deepEqual(kept, ["web-0", "web-0"]);
  agent.destroy();
  const pool = new Pool("http://web", { connect: connector, connections: 2 });
  const all = Promise.all([1, 2].map((i) => pool.request({ path: `/hello/${i}`, method: "GET" })));
  const answers = await settled(net, all);
  const texts = await settled(net, Promise.all(answers.map((answer) => answer.body.json())));
  t.deepEqual(texts.map((text) => (text as { from: string }).from).sort(), ["web-0", "web-1"]);
  await settled(net, pool.close());
  await net.settle();
  t.is(net.walk.k.skb.live, 0);
  t.is(net.programs.open, 2);
});

test("names: Services, headless ones, pods, and what nobody has", async (t) => {
  const net = build();
  const { lookup } = net.node("client");
  const all = (name: string): Promise<unknown> =>
    new Promise((resolve) => {
      lookup(name, { all: true }, (error, found) => resolve(error?.code ?? found));
    });
  const ip = (name: string): unknown[] => [{ address: net.pod(name).ip, family: 4 }];
  t.deepEqual(await all("each"), [...ip("web-0"), ...ip("web-1")]);
  t.deepEqual(await all("web-1"), ip("web-1"));
  t.deepEqual(await all("10-1-2-3.default.pod.cluster.local"), [{ address: "10.1.2.3", family: 4 }]);
  t.deepEqual(await all("localhost"), [{ address: "127.0.0.1", family: 4 }]);
  t.deepEqual(await all("web.default.svc.cluster.local."), await all("web"));
  for (const name of ["web.other", "web.default.sv", "a.b.c.d", "nobody"]) t.is(await all(name), "ENOTFOUND");
});

test("fetch of a name nobody has, and of a port nobody listens on", async (t) => {
  const net = build();
  const dispatcher = new Agent({ connect: net.node("client").connector });
  const failed = async (url: string): Promise<unknown> => {
    const error = await t.throwsAsync(settled(net, fetch(url, { dispatcher })));
    const { code, syscall } = (error as Error).cause as NodeJS.ErrnoException;
    return [code, syscall];
  };
  t.deepEqual(await failed("http://nobody/"), ["ENOTFOUND", "getaddrinfo"]);
  t.deepEqual(await failed("http://web-0:81/"), ["ECONNREFUSED", "connect"]);
  await settled(net, dispatcher.close());
});
