// A snapshot taken at any moment and restored, in this process or another, goes on to the same bytes as no
// interruption:
// with frames waiting for ARP, on links, in reassembly and in the fabric; with NAT state, late nodes and
// streams.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";
import test from "ava";
import { defineTopology, openSnapshot, type Topology } from "../../src/emulator/define.ts";
import { SnapshotError } from "../../src/emulator/errors.ts";
import type { Net } from "../../src/emulator/net.ts";
import { CNI_MODES, type CniMode } from "../../src/emulator/spec.ts";
import { mbps, ms, sec, us } from "../../src/emulator/units.ts";
import { cluster, clusterTopology, end, web } from "./kit.ts";

const dir = mkdtempSync(join(tmpdir(), "vnetem-snapshot-"));
test.after.always(() => rmSync(dir, { recursive: true }));
const CHILD = fileURLToPath(new URL("./snapshot-child.js", import.meta.url));

/** A bit of everything that takes time. */
function busy(cni: CniMode): Topology {
  return defineTopology({ seed: 11, frames: 512 }, (t) => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"], delay: us(300) });
    const subnet = vnet.subnet("nodes", "10.224.0.0/20");
    const kubeProxy = { syncDelay: ms(7), mode: "iptables" } as const;
    const aks = t.cluster("aks", { subnet, cni, kubeProxy, maxPods: 12 });
    aks.nodes(3);
    aks.deployment("web", { replicas: 4, udpEcho: 8080 });
    aks.deployment("sink", { replicas: 3, udpSink: 9000 });
    aks.service("web", { port: 80, targetPort: 8080, protocol: "UDP" });
    aks.service("sink", { port: 90, targetPort: 9000, protocol: "UDP" });
    aks.service("empty", { port: 80, protocol: "UDP" });
    aks.pod("client");
    t.vm("vm", { subnet: vnet.subnet("vms", "10.225.0.0/24"), udpEcho: 7 });
  });
}

/** What happens in it, all of it scheduled at the start. */
function script(net: Net): void {
  net.tap();
  net.at(0).impair("n0/eth0", { delay: ms(4), jitter: ms(3), loss: 0.05, duplicate: 0.05, corrupt: 0.02 });
  net.at(0).impair("n1/eth0", { rate: mbps(5), limitPackets: 40, delay: ms(1) });
  net.at(ms(20)).impair("client/eth0", { faults: [{ action: "drop", skip: 2, count: 3 }] });
  for (let i = 0; i < 30; i++) {
    net.at(us(700 * i)).udp("client", "web:80", `hello ${i}`, i % 3 === 0 ? { sourcePort: 4000 } : {});
    if (i % 4 === 0) net.at(us(700 * i + 1)).udp("vm", `n${i % 3}:9`, 20);
    if (i % 5 === 0) net.at(us(700 * i + 2)).ping("client", "vm", { size: 3000 });
    if (i % 6 === 0) net.at(us(700 * i + 3)).udp("client", "empty:80", "x");
  }
  net.traffic({ from: "client", to: "sink:90", flows: 5, rate: 4000, packets: 120 });
  net.at(ms(3)).churn("web", ms(4), 5);
  net.at(ms(6)).scale("sink", 5);
  net.at(ms(9)).failPod("sink-1");
  net.at(ms(12)).replacePod("sink-0");
  net.at(ms(13)).udp("web-3", "10.224.9.9:9", "nobody there");
}

const END = ms(60);

for (const cni of CNI_MODES) {
  test(`${cni}: interrupted at any of many moments, the rest is the same`, (t) => {
    const whole = busy(cni).build();
    script(whole);
    whole.run({ until: END });
    const wanted = whole.pcapng();
    t.true(wanted.length > 10_000);
    const held: number[] = [];
    for (const at of [0, us(1), us(301), ms(3), ms(5), ms(8.5), ms(12), ms(13.2), ms(20), ms(40)]) {
      const net = busy(cni).build();
      script(net);
      net.run({ until: at });
      held.push(net.walk.k.skb.live);
      const later = openSnapshot(net.snapshot());
      later.run({ until: END });
      t.deepEqual(later.counters(), whole.counters(), `${at} ns`);
      t.true(Buffer.from(wanted).equals(later.pcapng()), `another capture when interrupted at ${at} ns`);
      t.deepEqual(later.drops(), whole.drops());
      t.deepEqual(later.podInfos(), whole.podInfos());
      end(t, later);
    }
    t.true(Math.max(...held) > 3, "frames were under way");
    end(t, whole);
  });
}

test("another process goes on to the same bytes", (t) => {
  for (const cni of ["azure-bridge", "azure-overlay"] as const) {
    const whole = busy(cni).build();
    script(whole);
    whole.run({ until: ms(6.5) });
    const [state, pcapng] = [join(dir, `${cni}.vnetem`), join(dir, `${cni}.pcapng`)];
    writeFileSync(state, whole.snapshot());
    whole.run({ until: END });
    const child = spawnSync(process.execPath, [CHILD, state, String(END), pcapng], { encoding: "utf8" });
    t.is(child.status, 0, child.stderr);
    t.deepEqual(JSON.parse(child.stdout), whole.counters());
    t.true(readFileSync(pcapng).equals(whole.pcapng()));
    end(t, whole);
  }
});

test("frames that wait: for ARP, on a link, for a transmitter, for other fragments, in the fabric", (t) => {
  const moments: [string, (net: Net) => void, number][] = [
    ["ARP", (net) => void net.soon.udp("client", "web-1:8080", "x"), ms(1)],
    ["link", (net) => void net.soon.udp("client", "web-1:8080", "x"), ms(35)],
    [
      "transmitter",
      (net) => {
        net.impair("client/eth0", { rate: 100_000 });
        for (let i = 0; i < 5; i++) net.soon.udp("client", "web-0:8080", 1000);
      },
      ms(100),
    ],
    [
      "reassembly",
      (net) => {
        net.impair("client/eth0", { faults: [{ action: "drop", match: { protocol: 1 }, skip: 1 }] });
        net.soon.ping("client", "web-0", { size: 4000 });
      },
      ms(5),
    ],
  ];
  for (const [what, begin, at] of moments) {
    const make = (): Net => {
      const net = cluster(web(2), { cni: "kubenet" });
      net.tap();
      net.impair("n0/eth0", { delay: ms(30) });
      begin(net);
      net.run({ until: at });
      return net;
    };
    const whole = make();
    t.true(whole.walk.k.skb.live > 0, `a frame waits: ${what}`);
    const later = openSnapshot(make().snapshot());
    t.is(later.walk.k.skb.live, whole.walk.k.skb.live);
    end(t, whole);
    end(t, later);
    t.true(Buffer.from(whole.pcapng()).equals(later.pcapng()), what);
  }
});

test("handles, lines, numbers and names go on where they stopped", (t) => {
  const topology = clusterTopology(web(2));
  const net = topology.build();
  net.log("before");
  const traffic = net.traffic({ from: "client", to: "web-1:8080", rate: 1000, packets: 20 });
  net.at(ms(5)).call(() => net.log("called"));
  net.run({ until: ms(10) });
  const later = topology.restore(net.snapshot());
  t.deepEqual(later.lines, ["before", "called"]);
  t.is(later.now, ms(10));
  const sent = later.soon.udp("client", "web:80", "x");
  later.soon.scale("web", 3);
  later.run({ until: ms(50) });
  t.is(sent.text, "x");
  t.is(later.trafficReport(traffic.row).received, 20);
  t.deepEqual(
    later.podInfos("web").map((p) => p.name),
    ["web-0", "web-1", "web-2"],
  );
  // The one that was saved is not touched.
  t.is(net.now, ms(10));
  end(t, later);
  end(t, net);
});

test("a snapshot of a snapshot is the same, byte for byte", (t) => {
  const net = busy("kubenet").build();
  script(net);
  net.run({ until: ms(8) });
  const once = gunzipSync(net.snapshot());
  const twice = gunzipSync(openSnapshot(net.snapshot()).snapshot());
  t.true(once.equals(twice));
  end(t, net);
});

test("a call() still to come cannot be saved; one that was made can", (t) => {
  const net = cluster(web(1));
  net.at(0).call(() => {});
  t.throws(() => net.snapshot(), { instanceOf: SnapshotError, message: /a call\(\) still to come/ });
  net.run({ for: 0 });
  t.notThrows(() => net.snapshot());
  end(t, net);
});

test("anything else is refused in one line", (t) => {
  const topology = clusterTopology(web(1));
  const good = topology.build().snapshot();
  const refusal = (bytes: Uint8Array): string => {
    const error = t.throws(() => openSnapshot(bytes), { instanceOf: SnapshotError });
    t.false(error?.message.includes("\n"));
    return error?.message ?? "";
  };
  t.is(refusal(new Uint8Array(0)), "not a vnetem snapshot");
  t.is(refusal(new TextEncoder().encode("garbage")), "not a vnetem snapshot");
  t.is(refusal(good.slice(0, good.length / 2)), "not a vnetem snapshot");
  t.is(refusal(gzipSync("garbage")), "not a vnetem snapshot");
  t.is(refusal(gzipSync(Buffer.from([0x81, 0xa1, 0x61, 1]))), "not a vnetem snapshot");
  const flipped = gunzipSync(good);
  for (let at = 100; at < flipped.length; at += Math.floor(flipped.length / 60)) {
    const damaged = Buffer.from(flipped);
    damaged[at]! ^= 0xff;
    try {
      openSnapshot(gzipSync(damaged, { level: 1 }));
    } catch (error) {
      // Damage inside a number goes unnoticed; damage to the form must not.
      t.true(error instanceof SnapshotError, String((error as Error).stack));
    }
  }
  const other = clusterTopology(web(2));
  t.throws(() => other.restore(good), {
    instanceOf: SnapshotError,
    message: "the snapshot was taken from another topology or seed",
  });
  t.throws(() => clusterTopology(web(1), {}, 2, 8).restore(good), { instanceOf: SnapshotError });
  t.notThrows(() => topology.restore(good));
});

test("a snapshot holds what was built, so it opens without the topology", (t) => {
  const net = cluster(web(3));
  const opened = openSnapshot(net.snapshot());
  t.deepEqual(opened.spec, net.spec);
  const sent = opened.soon.udp("client", "web:80", "x");
  opened.run({ for: sec(1) });
  t.is(sent.deliveredTo, "web-0");
  end(t, opened);
});
