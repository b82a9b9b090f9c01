// Node programs in pods: sockets as node:net has them, and Node's own HTTP on top, unmodified.

import http from "node:http";
import test from "ava";
import { defineTopology, ms, type Net, SnapshotError, sec } from "../../src/index.ts";

const build = (): Net =>
  defineTopology({ seed: 7 }, (t) => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    const aks = t.cluster("aks", { subnet: vnet.subnet("nodes", "10.224.0.0/16") });
    aks.nodes(2);
    aks.deployment("web", { replicas: 2 });
    aks.service("web", { port: 80, targetPort: 8080 });
    aks.pod("client");
  }).build();

test("a server and a client: connection, data, half-open end, close", async (t) => {
  const net = build();
  const sockets = net.walk.sock.tcp.ids.live;
  const said: string[] = [];
  const server = net.node("web-0").createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("data", (chunk: Buffer) => said.push(`server got ${chunk.toString()}`));
    socket.on("end", () => socket.end("bye"));
  });
  server.listen(8080);
  const client = net.node("client").connect({ host: "web-0", port: 8080, allowHalfOpen: true });
  client.on("connect", () => client.end("hello"));
  client.on("data", (chunk: Buffer) => said.push(`client got ${chunk.toString()}`));
  client.on("close", () => said.push("client closed"));
  await net.settle({ until: sec(1) });
  t.deepEqual(said, ["server got hello", "client got bye", "client closed"]);
  server.close();
  await net.settle();
  t.is(net.walk.k.skb.live, 0);
  t.is(net.walk.sock.tcp.ids.live, sockets);
});

test("refused, and a pod that is not there: errors have code, syscall, address and port", async (t) => {
  const net = build();
  const errors: unknown[] = [];
  const one = net.node("client").connect({ host: "web-0", port: 1 });
  one.on("error", (e: NodeJS.ErrnoException & { address?: string; port?: number }) =>
    errors.push([e.code, e.syscall, e.address, e.port]),
  );
  await net.settle({ until: sec(1) });
  t.deepEqual(errors, [["ECONNREFUSED", "connect", net.pod("web-0").ip, 1]]);
});

test("10 MB through a Service arrive whole, with back-pressure", async (t) => {
  const net = build();
  let received = 0;
  let wrong = 0;
  for (const pod of ["web-0", "web-1"]) {
    net
      .node(pod)
      .createServer({}, (socket) => {
        socket.on("data", (chunk: Buffer) => {
          for (const byte of chunk) if (byte !== (received++ * 7) % 251) wrong++;
        });
      })
      .listen(8080);
  }
  const client = net.node("client").connect({ host: "web", port: 80 });
  const total = 10_000_000;
  let sent = 0;
  const more = (): void => {
    while (sent < total) {
      const chunk = Buffer.alloc(100_000);
      for (let i = 0; i < chunk.length; i++) chunk[i] = (sent++ * 7) % 251;
      if (!client.write(chunk)) return void client.once("drain", more);
    }
    client.end();
  };
  client.on("connect", more);
  await net.settle({ until: sec(60) });
  t.is(received, total);
  t.is(wrong, 0);
});

async function requests(net: Net, count: number): Promise<string[]> {
  for (const pod of ["web-0", "web-1"]) {
    const server = http.createServer((request, response) => {
      response.setHeader("x-pod", pod);
      response.setHeader("date", "now");
      response.end(`hello ${request.url} from ${pod}`);
    });
    net.node(pod).serve(server, 8080);
  }
  const answers: string[] = [];
  const { createConnection } = net.node("client");
  for (let i = 0; i < count; i++) {
    const options = { host: "web", port: 80, path: `/${i}`, createConnection };
    const request = http.request(options as unknown as http.RequestOptions, (response) => {
      let body = "";
      response.on("data", (chunk) => {
        body += chunk;
      });
      response.on("end", () => answers.push(`${response.statusCode} ${body}`));
    });
    request.end();
    await net.settle({ until: net.now + ms(50) });
  }
  return answers;
}

test("http.createServer and http.request run in pods; the Service takes turns", async (t) => {
  t.deepEqual(await requests(build(), 4), [
    "200 hello /0 from web-0",
    "200 hello /1 from web-1",
    "200 hello /2 from web-0",
    "200 hello /3 from web-1",
  ]);
});

test("the same programs give the same capture, run after run", async (t) => {
  const capture = async (): Promise<string> => {
    const net = build();
    net.tap();
    await requests(net, 3);
    return Buffer.from(net.pcapng()).toString("base64");
  };
  t.is(await capture(), await capture());
});

test("a timeout counts virtual time; open sockets cannot be saved", async (t) => {
  const net = build();
  net.node("web-0").createServer().listen(8080);
  const client = net.node("client").connect({ host: "web-0", port: 8080 });
  let at = 0;
  client.setTimeout(5000, () => {
    at = net.now;
    client.destroy();
  });
  t.throws(() => net.snapshot(), { instanceOf: SnapshotError });
  await net.settle({ until: sec(10) });
  t.is(at, sec(5));
});
