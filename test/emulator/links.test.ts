// Links and settings changed while the emulation runs: impairments that begin and end at their time, links
// that go down, sysctls, the forwarding flag; and raw frames.

import test from "ava";
import { mbps, ms, sec, us } from "../../src/emulator/units.ts";
import { arpFrame, icmpEchoFrame } from "../../src/wire/build.ts";
import { cluster, clusterTopology, end, web } from "./kit.ts";

test("a delay holds from its time to its end, in one direction", (t) => {
  const net = cluster(web(2));
  const warm = net.at(0).ping("client", "web-1");
  const slow = net.at(ms(10)).impair("n0/eth0", { delay: ms(5) });
  const early = net.at(ms(9)).ping("client", "web-1");
  const inside = net.at(ms(10)).ping("client", "web-1");
  net.at(ms(30)).heal(slow);
  const after = net.at(ms(31)).ping("client", "web-1");
  net.run({ until: ms(50) });
  t.deepEqual(
    [warm, early, inside, after].map((p) => p.roundTrip),
    [0, 0, ms(5), 0],
  );
  end(t, net);
});

test("ending an impairment lets go what it holds, at once and in order", (t) => {
  const net = cluster(web(2));
  net.soon.ping("client", "web-1");
  net.run({ for: ms(1) });
  const slow = net.impair("n0/eth0", { delay: sec(1) });
  const held = [1, 2, 3].map((i) => net.at(ms(1 + i)).udp("client", "web-1:8080", `${i}`));
  net.run({ until: ms(10) });
  t.is(net.walk.k.skb.live, 3);
  slow.remove();
  net.run({ for: 0 });
  t.deepEqual(
    held.map((s) => s.roundTrip),
    [ms(8), ms(7), ms(6)],
  );
  slow.remove();
  end(t, net);
});

test("an impairment healed before it began never begins", (t) => {
  const net = cluster(web(2));
  const late = net.at(ms(10)).impair("n0/eth0", { cut: true });
  late.remove();
  const ping = net.at(ms(11)).ping("client", "web-1");
  net.run({ until: ms(20) });
  t.not(ping.reply, null);
  end(t, net);
});

test("cut, counted drops, loss and rate each end packets with their own reason", (t) => {
  const net = cluster(web(2));
  net.soon.ping("client", "web-1");
  net.run({ for: ms(1) });
  const cut = net.impair("n0/eth0", { cut: true });
  const lost = net.soon.udp("client", "web-1:8080", "x");
  net.run({ for: ms(1) });
  t.deepEqual([lost.dropReason, lost.droppedAt], ["NETEM_CUT", "n0/eth0"]);
  cut.remove();
  const twice = net.impair("n0/eth0", { faults: [{ match: { protocol: 17 }, action: "drop", count: 2 }] });
  const three = [1, 2, 3].map((i) => net.at(net.now + ms(i)).udp("client", "web-1:8080", "x"));
  net.run({ for: ms(10) });
  t.deepEqual(
    three.map((s) => s.dropReason),
    ["NETEM_SCRIPTED", "NETEM_SCRIPTED", null],
  );
  twice.remove();
  const slow = net.impair("n0/eth0", { rate: mbps(1), limitPackets: 1 });
  const burst = [1, 2, 3].map(() => net.soon.udp("client", "web-1:8080", 100));
  net.run({ for: ms(10) });
  // 142 bytes take 1.136 ms each; one is sent, one waits, none more.
  t.deepEqual(
    burst.map((s) => s.roundTrip ?? s.dropReason),
    [us(1136), us(2272), "QDISC_OVERLIMIT"],
  );
  slow.remove();
  net.impair("n0/eth0", { loss: 1 });
  const gone = net.soon.udp("client", "web-1:8080", "x");
  net.run({ for: ms(1) });
  t.is(gone.dropReason, "NETEM_LOSS");
  end(t, net);
});

test("a corrupted packet is delivered whole or not at all", (t) => {
  const net = cluster(web(2));
  net.soon.ping("client", "web-1");
  net.run({ for: ms(1) });
  net.impair("n0/eth0", { corrupt: 1 });
  const sent = Array.from({ length: 200 }, (_, i) =>
    net.at(ms(2 + i)).udp("client", "web-1:8080", "same bytes"),
  );
  net.run({ until: ms(300) });
  for (const s of sent) t.true(s.text === null || s.text === "same bytes");
  t.true(sent.filter((s) => s.reply === null).length > 150);
  // Conntrack verifies checksums before the pod would (nf_conntrack_checksum).
  t.true(net.drops().some((d) => d.reason === "CT_INVALID"));
  end(t, net);
});

test("traffic's report counts what the link does, per stream", (t) => {
  const net = cluster((aks) => {
    aks
      .pod("a", { node: "n0" })
      .pod("b", { node: "n1", udpSink: [9000, 9001] })
      .pod("c", { node: "n1" });
  });
  net.impair("n0/eth0", { delay: ms(4), jitter: ms(2), ordered: false, loss: 0.1, duplicate: 0.1 });
  const bad = net.traffic({ from: "a", to: "b:9000", rate: 10_000, packets: 5000, frameBytes: 200 });
  const good = net.traffic({ from: "c", to: "b:9001", rate: 5000, packets: 2000 });
  net.run({ until: sec(1) });
  const g = good.report();
  t.like(g, {
    sent: 2000,
    received: 2000,
    lost: 0,
    duplicated: 0,
    reordered: 0,
    corrupted: 0,
    misdelivered: 0,
  });
  t.deepEqual(g.latency, { min: 0, mean: 0, max: 0 });
  const b = bad.report();
  t.is(b.sent, 5000);
  t.is(b.lost, b.sent - b.received);
  t.true(b.lost > 400 && b.lost < 600, `${b.lost} lost`);
  t.true(b.duplicated > 350 && b.duplicated < 650, `${b.duplicated} duplicated`);
  t.true(b.reordered > 1000, `${b.reordered} reordered`);
  t.true(b.latency.min >= ms(2) && b.latency.max <= ms(14), "two to six, and the first waits for ARP");
  t.true(Math.abs(b.latency.mean - ms(4)) < ms(0.2));
  t.is(b.perPod.b, net.pod("b").received);
  end(t, net);
});

test("a link that goes down loses, and comes back", (t) => {
  const net = cluster(web(2));
  net.at(ms(10)).link("n1/eth0", false);
  net.at(ms(20)).link("n1/eth0", true);
  const pings = [5, 15, 25].map((at) => net.at(ms(at)).ping("client", "web-1"));
  net.run({ until: ms(30) });
  t.deepEqual(
    pings.map((p) => p.reply !== null),
    [true, false, true],
  );
  end(t, net);
});

test("sysctls act from their time on", (t) => {
  const net = cluster(web(2));
  net.at(ms(10)).sysctl("n0", "net.ipv4.ip_forward", 0);
  net.at(ms(20)).sysctl("n0", "net.ipv4.ip_forward", 1);
  net.at(ms(30)).sysctl("client", "net.ipv4.ip_default_ttl", 9);
  const sent = [5, 15, 25].map((at) => net.at(ms(at)).udp("client", "web-1:8080", "x"));
  const ping = net.at(ms(31)).ping("web-1", "client");
  net.run({ until: ms(40) });
  t.deepEqual(
    sent.map((s) => s.dropReason),
    [null, "IP_FORWARDING_DISABLED", null],
  );
  t.is(ping.reply?.ttl, 7);
  end(t, net);
});

test("the forwarding flag of a NIC (kubenet needs it)", (t) => {
  const net = cluster(web(2), { cni: "kubenet" });
  net.setIpForwarding("n1", false);
  const lost = net.soon.ping("client", "web-1");
  net.run({ for: ms(1) });
  t.is(lost.dropReason, "VNET_NOT_ADDRESSED");
  net.setIpForwarding("n1", true);
  const ping = net.soon.ping("client", "web-1");
  net.run({ for: ms(1) });
  t.not(ping.reply, null);
  end(t, net);
});

test("raw frames: sent by a program, and arriving from the wire", (t) => {
  const net = cluster(web(1));
  net.run({ until: us(1) });
  net.tap("client/eth0");
  const { ip } = net.pod("client");
  const who = arpFrame({ senderMac: "02:00:00:00:00:99", senderIp: "169.254.1.1", targetIp: ip });
  net.at(ms(1)).injectFrame("client/eth0", who);
  const echo = icmpEchoFrame({ src: ip, dst: ip, ident: 1, seq: 1 });
  net.at(ms(2)).sendFrame("client", echo);
  who.fill(0);
  net.run({ until: ms(5) });
  const { capture } = net.walk.k;
  const seen = Array.from({ length: capture.count }, (_, i) => {
    const b = capture.bytes.subarray(capture.start[i], capture.start[i]! + capture.len[i]!);
    const way = capture.direction[i] === 1 ? "in" : "out";
    return `${capture.time[i]! / 1e6} ${way} ${b[12]}.${b[13]} ${b[21]}`;
  });
  // The request, as it was when asked for, the answer, and the echo request.
  t.deepEqual(seen.slice(0, 3), ["1 in 8.6 1", "1 out 8.6 2", "2 out 8.0 0"]);
  end(t, net);
});

test("a device is named with its host, or stands for its eth0", (t) => {
  const net = cluster(web(1), { cni: "kubenet" });
  t.notThrows(() => net.impair("n0", { delay: 1 }).remove());
  t.notThrows(() => net.impair("n0/cbr0", { delay: 1 }).remove());
  t.throws(() => net.impair("n0/cbr1", { delay: 1 }), {
    message: 'no device of n0 is named "cbr1"; did you mean "cbr0"?',
  });
  t.throws(() => net.tap("n9/eth0"), { message: 'no pod, node or VM is named "n9"; did you mean "n0"?' });
  end(t, net);
});

test("an impairment of a pod's device goes with the pod; its place begins clean", (t) => {
  const net = clusterTopology(web(2), { maxPods: 2 }, 2).build();
  const bad = net.impair("web-1/eth0", { cut: true });
  const lost = net.soon.ping("client", "web-1");
  net.run({ for: ms(1) });
  t.is(lost.dropReason, null);
  t.is(lost.reply, null);
  net.soon.replacePod("web-1");
  const fine = net.at(ms(3)).ping("client", "web-2");
  net.run({ until: ms(5) });
  t.not(fine.reply, null);
  bad.remove();
  net.run({ for: ms(1) });
  end(t, net);
});
