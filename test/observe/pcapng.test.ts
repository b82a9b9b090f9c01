// Captures as pcapng: every block read back by hand, and whole files by tshark with every checksum verified.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { tapDevice, writePcapng } from "../../src/observe/pcapng.ts";
import { transmitFrame } from "../../src/socket/packet.ts";
import { tcpFrame } from "../../src/wire/build.ts";
import { TCP_SYN } from "../../src/wire/tcp.ts";
import { type Cluster, cluster, ip } from "./kit.ts";
import { readPcapng } from "./read-pcapng.ts";

const pods = { clusterCidr: { network: ip("10.224.0.0"), prefix: 16 } };

/** Requests to a Service, one without endpoints, itself, in fragments, to nobody; a SYN to a closed port. */
function traffic(): Cluster {
  const c = cluster(pods);
  const [n0, n1] = c.nodes;
  c.tap(c.client.eth0, c.client.host, n0.bridge, n0.eth0, n1.eth0, ...c.web.map((pod) => pod.eth0));
  c.service("default/none", "10.0.0.11", 80, []);
  for (let i = 0; i < 3; i++) {
    c.udp(c.client, "10.0.0.10", 80);
    c.run(1.5);
  }
  c.udp(c.client, "10.0.0.11", 80);
  c.udp(c.web[0], "10.0.0.10", 80);
  c.udp(c.client, "10.224.0.31", 8080, 3000);
  c.udp(c.client, "10.224.0.99", 8080);
  // Past 2^32 nanoseconds, so that both halves of the timestamp matter.
  c.run(5000);
  const macs = { srcMac: "02:00:00:00:00:14", dstMac: "12:34:56:78:9a:bc" };
  const to = { src: c.client.ip, dst: c.web[1].ip, sport: 40000, dport: 8080, flags: TCP_SYN };
  transmitFrame(c.k, c.client.eth0, tcpFrame({ ...macs, ...to }));
  c.run(1);
  return c;
}

test("blocks: interfaces, nanoseconds, directions, whole frames, comments", (t) => {
  const c = traffic();
  const file = readPcapng(writePcapng(c.k, c.names));
  t.is(file.application, "vnetem");
  t.is(file.comment, "Virtual time: 1970-01-01 00:00:00 UTC is the start of the emulation.");
  t.deepEqual(
    file.interfaces.map((i) => `${i.name}: ${i.description}`),
    [
      "client/eth0: veth, the other end is n0/azvclient",
      "n0/azvclient: veth, the other end is client/eth0",
      "n0/azure0: bridge",
      "n0/eth0: NIC of a node in its VNet",
      "n1/eth0: NIC of a node in its VNet",
      "web-0/eth0: veth, the other end is n0/azvweb-0",
      "web-1/eth0: veth, the other end is n1/azvweb-1",
      "web-2/eth0: veth, the other end is n1/azvweb-2",
    ],
  );
  t.is(file.interfaces[0]?.mac, "02:00:00:00:00:14");
  t.true(file.interfaces.every((i) => i.tsresol === 9));
  const { capture } = c.k;
  t.is(file.packets.length, capture.count);
  for (const [r, packet] of file.packets.entries()) {
    t.is(packet.time, BigInt(capture.time[r]));
    t.is(packet.iface, capture.iface[r]);
    t.is(packet.direction, capture.direction[r]);
    const start = capture.start[r];
    t.deepEqual(packet.bytes, capture.bytes.slice(start, start + capture.len[r]));
  }
  c.end(t);
});

test("comments: what happened since the frame was seen before", (t) => {
  const c = traffic();
  const file = readPcapng(writePcapng(c.k, c.names));
  const said = new Map<string, string[]>();
  for (const p of file.packets) {
    for (const text of p.comments) {
      const name = file.interfaces[p.iface]?.name ?? "";
      said.set(text, [...(said.get(text) ?? []), name]);
    }
  }
  const service = "service default/web:80";
  // Seen coming in from the client before it was rewritten; said where it is seen next, and only there.
  const dnat = `DNAT 10.0.0.10:80 -> 10.224.0.31:8080 by KUBE-SERVICES (${service}, endpoint 2`;
  const [first] = [...said].filter(([text]) => text.startsWith(dnat));
  t.is(first?.[1].length, 1);
  t.regex(first?.[1][0] ?? "", /^n0\/(?:azure0|eth0)$/);
  t.regex(first?.[0] ?? "", /endpoint 2 of 3, revision 5\)$/);
  const back = `SNAT 10.224.0.31:8080 -> 10.0.0.10:80 by conntrack (reply of ${service})`;
  t.deepEqual(said.get(back), ["n0/azvclient"]);
  // Of a drop the last sight is the one before it.
  const reject = "REJECT by KUBE-SERVICES: service default/none:80 has no endpoints (revision 5)";
  t.deepEqual(said.get(reject), ["n0/azvclient"]);
  const drop = "dropped: SERVICE_REJECT (the Service has no endpoint anywhere: REJECT)";
  t.deepEqual(said.get(drop), ["n0/azvclient"]);
  t.deepEqual(said.get("dropped: VNET_NO_SUCH_ADDRESS (no NIC has this address)"), ["n0/eth0"]);
  t.deepEqual(said.get("dropped: NO_SOCKET (nothing listens there)"), ["web-1/eth0", "client/eth0"]);
  const masqueraded = [...said].filter(([text]) => text.includes("KUBE-POSTROUTING MASQUERADE"));
  t.regex(masqueraded[0]?.[0] ?? "", /^SNAT 10\.224\.0\.30:\d+ -> 10\.224\.0\.4:\d+ by /);
  const e6 = "ebtables E6 (nat PREROUTING, dnat): destination MAC := the pod's 02:00:00:00:00:1f";
  t.is(said.get(e6)?.[0], "web-1/eth0");
  t.true(said.has("reassembled to 3028 bytes"));
  t.true([...(said.get("fragmented: 3 pieces of at most 1500 bytes") ?? [])].length > 0);
  for (const p of file.packets) t.is(new Set(p.comments).size, p.comments.length, "no comment twice");
  c.end(t);
});

test("the same run gives the same bytes, and only the wanted interfaces", (t) => {
  const [one, two] = [traffic(), traffic()];
  t.deepEqual(writePcapng(one.k, one.names), writePcapng(two.k, two.names));
  const file = readPcapng(writePcapng(one.k, one.names, { interfaces: (name) => name.startsWith("n1/") }));
  t.deepEqual(
    file.interfaces.map((i) => i.name),
    ["n1/eth0"],
  );
  t.true(file.packets.length > 5);
  t.true(file.packets.every((p) => p.iface === 0));
  one.end(t);
  two.end(t);
});

test("a device that is gone, or whose row has another tenant, keeps its name only", (t) => {
  const c = cluster();
  const extra = c.pod(c.nodes[0], "extra", "10.224.0.40");
  c.tap(extra.eth0);
  c.udp(extra, "10.0.0.10", 80);
  c.k.removeNamespace(extra.ns);
  const [gone] = readPcapng(writePcapng(c.k, c.names)).interfaces;
  t.deepEqual([gone?.name, gone?.description, gone?.mac], ["extra/eth0", "", undefined]);
  const next = c.pod(c.nodes[0], "next", "10.224.0.41");
  t.true([next.eth0, next.host].includes(extra.eth0), "the row is used again");
  tapDevice(c.k, extra.eth0, "next/eth0");
  const names = readPcapng(writePcapng(c.k, c.names)).interfaces.map((i) => `${i.name} ${i.mac ?? "-"}`);
  t.is(names[0], "extra/eth0 -");
  t.regex(names[1] ?? "", /^next\/eth0 (02|aa):/);
  c.end(t);
});

function whyNoTshark(): string {
  try {
    execFileSync("tshark", ["--version"], { stdio: "pipe" });
    return "";
  } catch {
    return "tshark is not installed";
  }
}

const missing = whyNoTshark();
const withTshark = missing === "" || process.env.CI === "true" ? test : test.skip;
const suffix = missing === "" ? "" : ` (${missing})`;

withTshark(`tshark reads every packet: nothing malformed, every checksum good${suffix}`, (t) => {
  const c = traffic();
  const folder = mkdtempSync(join(tmpdir(), "vnetem-"));
  try {
    const path = join(folder, "all.pcapng");
    writeFileSync(path, writePcapng(c.k, c.names));
    const fields = [
      "frame.number",
      "frame.time_epoch",
      "frame.interface_name",
      "frame.packet_flags_direction",
    ];
    fields.push("ip.checksum.status", "udp.checksum.status", "tcp.checksum.status", "icmp.checksum.status");
    fields.push("_ws.malformed", "_ws.col.Protocol", "frame.comment");
    const checks = ["ip", "udp", "tcp"].flatMap((p) => ["-o", `${p}.check_checksum:TRUE`]);
    const args = ["-r", path, ...checks, "-T", "fields", "-E", "aggregator=;"];
    const wanted = fields.flatMap((f) => ["-e", f]);
    const out = execFileSync("tshark", [...args, ...wanted], { encoding: "utf8", stdio: "pipe" });
    const rows = out
      .trimEnd()
      .split("\n")
      .map((line) => line.split("\t"));
    t.is(rows.length, c.k.capture.count);
    const seen = new Set<string>();
    for (const [r, row] of rows.entries()) {
      const [number, time, iface, direction, ...statuses] = row;
      const [malformed, protocol] = [row[8], row[9]];
      t.is(number, String(r + 1));
      t.is(
        time,
        `${Math.floor(c.k.capture.time[r] / 1e9)}.${String(c.k.capture.time[r] % 1e9).padStart(9, "0")}`,
      );
      t.is(iface, c.k.capture.names[c.k.capture.iface[r]]);
      t.is(Number(direction), c.k.capture.direction[r]);
      t.is(malformed, "", `frame ${number}`);
      // 1 is good; 0 and 2 are bad and not verified. ICMP quotes packets, so it has several.
      const status = statuses.slice(0, 4).flatMap((s) => (s === "" ? [] : s.split(";")));
      t.true(
        status.every((s) => s === "1"),
        `frame ${number}: ${status.join()}`,
      );
      seen.add(protocol ?? "");
    }
    for (const protocol of ["ARP", "UDP", "TCP", "ICMP", "IPv4"]) t.true(seen.has(protocol), protocol);
    const comments = rows.map((row) => row[10] ?? "").join("\n");
    t.true(
      comments.includes("DNAT 10.0.0.10:80 -> 10.224.0.30:8080 by KUBE-SERVICES (service default/web:80"),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
  c.end(t);
});
