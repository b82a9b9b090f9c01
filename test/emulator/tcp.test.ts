// TCP as scripts see it: connections through Services, what they see when pods go, timelines and snapshots.

import { createHash } from "node:crypto";
import test from "ava";
import { defineTopology, ms, sec, type Topology } from "../../src/index.ts";

const topology = (cni: "azure-bridge" | "azure-transparent" | "kubenet" = "azure-transparent"): Topology =>
  defineTopology({ seed: 7 }, (t) => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    const subnet = vnet.subnet("nodes", "10.224.0.0/16");
    const aks = t.cluster("aks", { subnet, cni });
    aks.nodes(2);
    aks.deployment("web", { replicas: 2, tcpEcho: 8080, tcpSink: 9000 });
    aks.service("web", {
      ports: [
        { port: 80, targetPort: 8080, name: "echo" },
        { port: 90, targetPort: 9000, name: "sink" },
      ],
    });
    aks.pod("client");
    aks.pod("bare", { node: "n0" });
  });

for (const cni of ["azure-bridge", "azure-transparent", "kubenet"] as const) {
  test(`${cni}: a request through a Service comes back, and both ends close`, (t) => {
    const net = topology(cni).build();
    const { tcp } = net.walk.sock;
    const sockets = tcp.ids.live;
    const c = net.at(ms(1)).connect("client", "web:80");
    net.at(ms(2)).send(c, "hello");
    net.at(ms(3)).close(c);
    net.run({ until: ms(50) });
    t.is(c.text, "hello");
    t.deepEqual(
      c.seen.map((s) => s.what),
      ["connected", "data", "closed"],
    );
    t.is(c.error, null);
    t.is(c.state, "CLOSED");
    net.run();
    t.is(net.walk.k.skb.live, 0);
    t.is(tcp.ids.live, sockets, "the listeners are left");
  });
}

test("connections take turns over the backends", (t) => {
  const net = topology().build();
  const all = Array.from({ length: 4 }, () => net.tcp("client").connect("web:80"));
  net.run({ for: ms(10) });
  t.true(all.every((c) => c.state === "ESTABLISHED"));
  t.deepEqual(net.deliveries()[0]?.pods, { "web-0": 2, "web-1": 2 });
});

test("a server of the script: accepts, answers, sees the end", (t) => {
  const net = topology().build();
  const server = net.tcp("bare").listen(8080);
  const c = net.tcp("client").connect("bare:8080");
  net.run({ for: ms(5) });
  const [s] = server.connections;
  t.is(s!.state, "ESTABLISHED");
  c.send("ping");
  net.run({ for: ms(1) });
  t.is(s!.text, "ping");
  s!.send("pong");
  c.end();
  net.run({ for: ms(1) });
  t.is(c.text, "pong");
  t.is(s!.endedAt, net.now - ms(1));
  t.is(s!.state, "CLOSE_WAIT");
  s!.close();
  net.run({ for: ms(1) });
  t.is(c.state, "CLOSED");
});

test("a closed port refuses, at once", (t) => {
  const net = topology().build();
  const c = net.tcp("client").connect("bare:1");
  net.run({ for: ms(5) });
  t.is(c.error, "ECONNREFUSED");
  t.is(c.connectedAt, null);
});

test("a Service without endpoints refuses, at once", (t) => {
  const net = topology().build();
  net.at(0).scale("web", 0);
  const c = net.at(ms(1)).connect("client", "web:80");
  net.run({ until: ms(10) });
  t.is(c.error, "ECONNREFUSED");
});

test("a backend that is removed says goodbye; one that dies leaves the client to its time-outs", (t) => {
  const net = topology().build();
  const gone = net.at(ms(1)).connect("client", "web-0:8080");
  const dead = net.at(ms(1)).connect("client", "web-1:8080");
  net.at(ms(5)).removePod("web-0");
  net.at(ms(5)).failPod("web-1");
  net.at(ms(6)).send(dead, "anybody?");
  net.run({ until: ms(100) });
  t.is(gone.endedAt, ms(5));
  t.is(dead.endedAt, null);
  t.is(dead.state, "ESTABLISHED");
  net.run({ until: sec(2000) });
  t.is(dead.error === "ETIMEDOUT" || dead.error === "EHOSTUNREACH", true, String(dead.error));
  t.true(dead.errorAt! > sec(900), String(dead.errorAt));
});

test("errors of calls: EADDRINUSE, a port that is none, a name nobody has", (t) => {
  const net = topology().build();
  t.is(net.tcp("bare").listen(8080).error, null);
  t.is(net.tcp("bare").listen(8080).error, "EADDRINUSE");
  t.throws(() => net.tcp("bare").listen(0), { message: /listen\.port/ });
  t.throws(() => net.tcp("nobody").listen(1), { message: /no pod, node or VM is named "nobody"/ });
  t.throws(() => net.tcp("client").connect("webb:80"), { message: /did you mean "web"/ });
  t.throws(() => net.tcp("client").connect("web:80", { congestion: "bbr" as "reno" }), { message: /cubic/ });
});

test("a program that does not read: the window closes, and the rest comes when it reads", (t) => {
  const net = topology().build();
  const server = net.tcp("bare").listen(8080, { reading: false });
  const c = net.tcp("client").connect("bare:8080");
  c.send(400_000);
  net.run({ for: sec(3) });
  const [s] = server.connections;
  t.is(s!.receivedBytes, 0);
  t.true(c.sentBytes < 400_000);
  s!.read();
  net.run({ for: sec(10) });
  s!.read();
  net.run({ for: sec(10) });
  while (s!.receivedBytes < 400_000) {
    const before = s!.receivedBytes;
    s!.read();
    net.run({ for: sec(20) });
    if (s!.receivedBytes === before) break;
  }
  t.is(s!.receivedBytes, 400_000);
});

test("a snapshot in the middle of a transfer goes on to the same bytes at the same times", (t) => {
  const play = (upTo: number | null): string => {
    const top = topology();
    let net = top.build();
    const data = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 31 + (i >> 8)) & 255);
    net.at(0).impair("client/eth0", { delay: ms(5), loss: 0.02 });
    const c = net.at(ms(1)).connect("client", "web:80");
    net.at(ms(2)).send(c, data);
    net.at(ms(3)).end(c);
    if (upTo !== null) {
      net.run({ until: upTo });
      net = top.restore(net.snapshot());
    }
    net.run({ until: sec(30) });
    const seen = net.script.tcp.connections[c.number]!;
    const hash = createHash("sha256").update(Buffer.concat(seen.received)).digest("hex");
    t.is(hash, createHash("sha256").update(data).digest("hex"));
    return JSON.stringify(seen.seen);
  };
  const whole = play(null);
  for (const at of [ms(1), ms(20), ms(60), ms(150)]) t.is(play(at), whole, `snapshot at ${at}`);
});

test("explain shows a SYN's way and its answer", (t) => {
  const net = topology().build();
  const sockets = net.walk.sock.tcp.ids.live;
  const text = net.explain("client", "web:80", { protocol: "tcp" });
  t.is(text.verdict, "delivered");
  t.is(text.endpoint?.pod, "web-0");
  t.true(text.replies.length >= 1);
  net.run();
  t.is(net.walk.sock.tcp.ids.live, sockets, "the probe's sockets are gone");
});

test("connect() gives even ports in turn, whatever others connect to elsewhere", (t) => {
  const net = topology().build();
  const ports: number[] = [];
  for (let i = 0; i < 4; i++) {
    const c = net.tcp("client").connect("web:80");
    ports.push(Number(c.local.split(":")[1]));
    net.tcp("bare").connect("web:90");
  }
  const [first] = ports;
  t.deepEqual(ports, [first, first! + 2, first! + 4, first! + 6]);
  t.is(first! % 2, 0);
});
