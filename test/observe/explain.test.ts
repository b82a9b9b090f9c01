// explain(): the way there and back, the rule that decided at each stage, and what became of the packet.

import test from "ava";
import { NoteKind } from "../../src/node/notes.ts";
import { answersTo, type Explanation, explain, type Path, type Step } from "../../src/observe/explain.ts";
import { explainText } from "../../src/observe/explain-text.ts";
import { Recorder, readRecording } from "../../src/observe/recording.ts";
import { pingOpen } from "../../src/socket/open.ts";
import { transmitFrame } from "../../src/socket/packet.ts";
import { pingSend } from "../../src/socket/ping.ts";
import { SocketKind } from "../../src/socket/sockets.ts";
import { tcpFrame } from "../../src/wire/build.ts";
import { TCP_SYN } from "../../src/wire/tcp.ts";
import { type Cluster, cluster, ip, type Pod } from "./kit.ts";

const pods = { clusterCidr: { network: ip("10.224.0.0"), prefix: 16 } };

/** Sends a datagram once everybody knows everybody's MAC address. */
function ask(c: Cluster, from: Pod, to: string, port: number, data: string | number = "hello"): Explanation {
  c.observe();
  const packet = c.udp(from, to, port, data);
  c.run(10);
  return explain(c.k.notes, c.names, packet);
}

function warmUp(c: Cluster): void {
  for (const pod of c.web) c.udp(c.client, pod.ip, 8080);
  c.udp(c.client, "10.224.0.1", 1);
  for (let i = 0; i < 3; i++) c.udp(c.client, "10.0.0.10", 80);
  c.run(10);
  c.k.notes.clear();
}

const steps = (p: Path): Step[] => p.hops.flatMap((hop) => hop.steps);
const places = (p: Path): string[] => p.hops.map((hop) => `${hop.kind} ${hop.name}`);
const said = (p: Path): string[] => steps(p).flatMap((s) => s.decisions.map((d) => d.text));

test("a Service on another node: places, rule, endpoint and rewrites, there and back", (t) => {
  const c = cluster(pods);
  warmUp(c);
  ask(c, c.client, "10.0.0.10", 80);
  const e = ask(c, c.client, "10.0.0.10", 80);
  t.is(e.verdict, "delivered");
  t.like(e.endpoint, {
    service: "default/web:80",
    address: "10.224.0.31:8080",
    pod: "web-1",
    number: 2,
    of: 3,
  });
  t.is(e.endpoint?.revision, c.table.revision);
  const path = ["pod client", "node n0", "fabric fabric", "node n1", "pod web-1"];
  t.deepEqual(places(e.request), path);
  t.deepEqual(places(e.replies[0]!), path.toReversed());
  t.is(e.request.at, "web-1");
  t.is(e.replies.length, 1);
  t.like(e.replies[0], { title: "UDP reply", verdict: "delivered", at: "client" });

  for (const hop of e.request.hops.filter((one) => one.kind === "node")) {
    t.is(hop.steps[0]?.fn, "netif_receive_skb");
    t.is(hop.steps.at(-1)?.fn, "dev_hard_start_xmit");
  }
  const first = steps(e.request)[0]?.packet ?? "";
  t.regex(
    first,
    /^IP 10\.224\.0\.20\.\d+ > 10\.0\.0\.10\.80: UDP, length 5, ttl 64$/,
    "no MAC addresses yet",
  );

  const [dnat] = steps(e.request).filter((s) => s.decisions.some((d) => d.kind === "dnat"));
  t.like(dnat, { fn: "nf_hook PRE_ROUTING", device: "azure0" });
  t.like(dnat?.decisions[0], { kind: "conntrack" });
  t.regex(dnat?.decisions[0]?.text ?? "", /^conntrack NEW, new entry \d+$/);
  t.like(dnat?.decisions.at(-1), { from: "10.0.0.10:80", to: "10.224.0.31:8080", endpoint: 2 });
  t.deepEqual(dnat?.rewrites, [{ field: "destination", from: "10.0.0.10:80", to: "10.224.0.31:8080" }]);
  t.regex(dnat?.packet ?? "", /^IP 10\.224\.0\.20\.\d+ > 10\.224\.0\.31\.8080: UDP, length 5, ttl 64$/);

  const there = said(e.request);
  t.true(there.includes("route default via 10.224.0.1 dev eth0"));
  t.true(there.includes("route 10.224.0.0/16 dev azure0 proto kernel scope link src 10.224.0.4"));
  t.true(there.includes("VNET route 10.224.0.0/12 VnetLocal (system)"));
  t.true(there.some((text) => text.startsWith("ebtables E1 (nat POSTROUTING, snat): source MAC := ")));
  t.true(
    there.includes("ebtables E6 (nat PREROUTING, dnat): destination MAC := the pod's 02:00:00:00:00:1f"),
  );
  t.true(there.includes("bridge azure0: to port azvweb-1"));
  t.is(there.at(-1), "delivered to a UDP socket");
  const back = said(e.replies[0]!);
  const undone = "SNAT 10.224.0.31:8080 -> 10.0.0.10:80 by conntrack (reply of service default/web:80)";
  t.true(back.includes(undone));
  t.true(back.some((text) => /^conntrack ESTABLISHED \(reply direction\), entry \d+$/.test(text)));

  const fabric = e.request.hops[2]?.steps.at(-1);
  t.deepEqual(
    fabric?.rewrites.map((r) => r.field),
    ["source MAC", "destination MAC"],
  );
  t.deepEqual(JSON.parse(JSON.stringify(e)), e, "plain data");
  c.end(t);
});

test("the text: a headline, the endpoint, a line per stage, the packet where it changed", (t) => {
  const c = cluster(pods);
  warmUp(c);
  const e = ask(c, c.client, "10.0.0.10", 80);
  const text = explainText(e, "client -> web:80 udp");
  const lines = text.split("\n");
  t.is(lines[0], "client -> web:80 udp: delivered to web-0, answered: UDP reply delivered to client");
  t.regex(
    lines[1] ?? "",
    /^service default\/web:80: endpoint 1 of 3, 10\.224\.0\.30:8080 \(web-0\), revision 4$/,
  );
  t.is(lines[2], "");
  t.regex(lines[3] ?? "", /^request \(packet \d+\): delivered to web-0$/);
  t.is(lines[4], "  pod client");
  t.regex(
    text,
    /\n {4}nf_hook PRE_ROUTING {14}azure0 {5}conntrack NEW, new entry \d+\n {48}DNAT 10\.0\.0\.10:80 -> /,
  );
  t.regex(text, /\n {6}= IP 10\.224\.0\.20\.\d+ > 10\.224\.0\.30\.8080: UDP, length 5, ttl 64\n/);
  t.is(text.match(/KUBE-SERVICES/g)?.length, 1, "what the DNAT says is not said twice");
  t.true(text.endsWith("delivered to a UDP socket\n"));
  c.end(t);
});

test("a Service without endpoints names the REJECT, and its ICMP error finds the client", (t) => {
  const c = cluster(pods);
  warmUp(c);
  c.service("default/none", "10.0.0.11", 80, []);
  const e = ask(c, c.client, "10.0.0.11", 80);
  t.is(e.verdict, "dropped");
  t.is(e.reason, "SERVICE_REJECT");
  t.is(e.endpoint, undefined);
  t.is(e.request.at, "n0");
  const there = said(e.request);
  t.regex(
    there.at(-3) ?? "",
    /^REJECT by KUBE-SERVICES: service default\/none:80 has no endpoints \(revision 5\)$/,
  );
  t.is(there.at(-2), "answered: ICMP port unreachable (3/3)");
  t.is(there.at(-1), "dropped: SERVICE_REJECT (the Service has no endpoint anywhere: REJECT)");
  t.like(e.replies[0], { title: "ICMP port unreachable (3/3)", verdict: "delivered", at: "client" });
  const text = explainText(e, "client -> none:80 udp");
  t.true(
    text.startsWith("client -> none:80 udp: dropped at n0: SERVICE_REJECT (the Service has no endpoint"),
  );
  c.end(t);
});

test("a pod that reaches itself through its Service is masqueraded and un-masqueraded", (t) => {
  const c = cluster(pods);
  warmUp(c);
  const e = ask(c, c.web[0], "10.0.0.10", 80);
  t.is(e.verdict, "delivered");
  t.is(e.endpoint?.pod, "web-0");
  const there = said(e.request).find((text) => text.startsWith("SNAT")) ?? "";
  const how = "by KUBE-POSTROUTING MASQUERADE \\(service default/web:80\\)$";
  t.regex(there, new RegExp(`^SNAT 10\\.224\\.0\\.30:\\d+ -> 10\\.224\\.0\\.4:\\d+ ${how}`));
  const back = said(e.replies[0]!).find((text) => text.startsWith("DNAT")) ?? "";
  t.regex(
    back,
    /^DNAT 10\.224\.0\.4:\d+ -> 10\.224\.0\.30:\d+ by conntrack \(back to who was masqueraded\)$/,
  );
  c.end(t);
});

test("an answer that is lost is not hidden behind a delivered request", (t) => {
  const c = cluster(pods);
  warmUp(c);
  const { fib } = c.walk.ip;
  fib.remove(c.web[1].ns, ip("10.224.0.0"), 16, c.web[1].eth0, 0);
  fib.remove(c.web[1].ns, 0, 0, c.web[1].eth0, 0);
  const e = ask(c, c.client, c.web[1].ip, 8080);
  t.is(e.verdict, "answer dropped");
  t.is(e.reason, "IP_OUTNOROUTES");
  t.is(e.request.verdict, "delivered");
  t.is(e.replies[0]?.at, "web-1");
  t.regex(
    explainText(e, "q"),
    /^q: delivered to web-1, but its answer was dropped: IP_OUTNOROUTES \(no route for/,
  );
  c.end(t);
});

test("a SYN to a closed port is refused, not delivered", (t) => {
  const c = cluster(pods);
  warmUp(c);
  c.observe();
  const macs = { srcMac: "02:00:00:00:00:14", dstMac: "12:34:56:78:9a:bc" };
  const to = { src: c.client.ip, dst: c.web[1].ip, sport: 40000, dport: 8080, flags: TCP_SYN };
  transmitFrame(c.k, c.client.eth0, tcpFrame({ ...macs, ...to }));
  const packet = c.k.packets;
  c.run(10);
  const e = explain(c.k.notes, c.names, packet);
  t.like(e, { verdict: "dropped", reason: "NO_SOCKET" });
  t.is(e.request.at, "web-1");
  t.is(e.replies[0]?.title, "TCP reset");
  c.end(t);
});

test("ping: the echo reply is the answer", (t) => {
  const c = cluster(pods);
  warmUp(c);
  c.observe();
  const sock = pingOpen(c.walk.sock, c.client.ns, { kind: SocketKind.SCRIPT });
  const packet = pingSend(c.walk.sock, sock, ip(c.web[1].ip), { seq: 1 });
  c.run(10);
  const e = explain(c.k.notes, c.names, packet);
  t.is(e.verdict, "delivered");
  t.deepEqual(
    e.replies.map((p) => `${p.title} ${p.at}`),
    ["ICMP reply client"],
  );
  c.end(t);
});

test("a packet that waits for ARP says so, and what it came to", (t) => {
  const c = cluster(pods);
  c.observe();
  const packet = c.udp(c.client, "10.0.0.10", 80);
  const first = explain(c.k.notes, c.names, packet);
  t.true(said(first.request).includes("no MAC address yet: the packet waits for ARP"));
  // Nobody answers ARP for an address beyond a bridge that is cut off from the fabric.
  c.k.setUp(c.nodes[0].eth0, false);
  const lost = c.udp(c.client, "10.224.0.77", 9);
  t.is(explain(c.k.notes, c.names, lost).verdict, "under way");
  t.regex(explainText(explain(c.k.notes, c.names, lost), "q"), /^q: still under way\n/);
  c.run(5000);
  const e = explain(c.k.notes, c.names, lost);
  t.is(e.verdict, "dropped");
  t.is(e.reason, "NEIGH_FAILED");
  t.is(e.replies[0]?.title, "ICMP host unreachable (3/1)");
  const text = explainText(e, "q");
  t.true(text.includes("\n  pod client, 3 s later\n    icmp_send "));
  t.true(
    text.startsWith("q: dropped at client: NEIGH_FAILED (nobody answered ARP for the next hop), answered: "),
  );
  c.end(t);
});

test("copies of a flooded frame are named once, not followed", (t) => {
  const c = cluster(pods);
  warmUp(c);
  c.pod(c.nodes[1], "other", "10.224.0.33");
  const { fdb } = c.walk.link;
  fdb.removeAddress(c.nodes[1].bridge, 0x0200, 0x1f);
  c.k.setUp(c.nodes[1].eth0, true);
  // Without hairpin on eth0 the flooded frame does not go back to the fabric.
  c.walk.link.bridges.setPortFlag(c.nodes[1].eth0, "HAIRPIN", false);
  const e = ask(c, c.client, c.web[1].ip, 8080);
  t.is(e.verdict, "delivered");
  t.deepEqual(e.request.ignoredBy.toSorted(), ["other", "web-2"]);
  t.true(said(e.request).includes("bridge azure0: flooded to every port that may have it"));
  t.false(places(e.request).includes("pod other"));
  t.regex(explainText(e, "q"), /\n {2}copies ignored by /);
  c.end(t);
});

test("fragments and their reassembly keep the packet's number", (t) => {
  const c = cluster(pods);
  warmUp(c);
  const e = ask(c, c.client, c.web[1].ip, 8080, 3000);
  t.is(e.verdict, "delivered");
  const there = said(e.request);
  t.true(there.includes("fragmented: 3 pieces of at most 1500 bytes"));
  t.true(there.includes("reassembled to 3028 bytes"));
  c.end(t);
});

test("a recording explains as well as the run it was made of", (t) => {
  const c = cluster(pods);
  warmUp(c);
  c.observe();
  const packet = c.udp(c.client, "10.0.0.10", 80);
  c.run(10);
  const parts: Uint8Array[] = [];
  new Recorder(7, c.names, (bytes) => parts.push(bytes)).write(c.k.notes);
  const recording = readRecording(Buffer.concat(parts));
  const [live, later] = [
    explain(c.k.notes, c.names, packet),
    explain(recording.notes, recording.names, packet),
  ];
  // Routes and owners of addresses are not recorded.
  t.is(later.endpoint?.pod, undefined);
  t.is(later.endpoint?.revision, live.endpoint?.revision);
  t.is(later.endpoint?.of, 3);
  t.like(later.endpoint, { service: "default/web:80", address: live.endpoint!.address });
  t.deepEqual(places(later.request), places(live.request));
  t.deepEqual(
    steps(later.request).map((s) => [s.fn, s.device, s.packet, s.rewrites]),
    steps(live.request).map((s) => [s.fn, s.device, s.packet, s.rewrites]),
  );
  t.is(later.verdict, live.verdict);
  c.end(t);
});

test("answers to answers belong to it, other traffic does not", (t) => {
  const c = cluster(pods);
  warmUp(c);
  c.observe();
  const packet = c.udp(c.client, "10.0.0.10", 80);
  c.udp(c.web[2], "10.0.0.10", 80);
  c.run(10);
  const [reply, ...more] = answersTo(c.k.notes, packet);
  t.deepEqual(more, []);
  const { notes } = c.k;
  const made = notes.kind.findIndex((kind, i) => kind === NoteKind.REPLY && notes.b[i] === reply);
  t.is(notes.packet[made], packet);
  c.end(t);
});
