// Recordings: what is written reads back, in pieces as in one; names follow rows that change hands;
// nothing is lost when notes and captured frames are drained while packets are under way.

import test from "ava";
import { unpackMultiple } from "msgpackr";
import { NOTE_BYTES, type Notes } from "../../src/node/notes.ts";
import { Drain, trimNotes } from "../../src/observe/drain.ts";
import { PcapngWriter, writePcapng } from "../../src/observe/pcapng.ts";
import { Recorder, type RecordingHeader, readRecording } from "../../src/observe/recording.ts";
import { STAGES } from "../../src/observe/stages.ts";
import { type Cluster, cluster } from "./kit.ts";
import { readPcapng } from "./read-pcapng.ts";

const COLUMNS = ["time", "packet", "kind", "ns", "dev", "a", "b", "c", "d", "e", "frameLen"] as const;

function rows(n: Notes): unknown[][] {
  return Array.from({ length: n.count }, (_, i) => [
    ...COLUMNS.map((column) => n[column][i]),
    Buffer.from(n.bytes.subarray(i * NOTE_BYTES, i * NOTE_BYTES + n.byteCount[i])).toString("hex"),
  ]);
}

/** Requests that are answered, rejected, fragmented and lost after three seconds. */
function traffic(c: Cluster, between: () => void = () => {}): void {
  c.service("default/none", "10.0.0.11", 80, []);
  for (let i = 0; i < 4; i++) {
    c.udp(c.client, "10.0.0.10", 80);
    between();
    c.run(0.5);
    c.udp(c.client, "10.0.0.11", 80);
    between();
  }
  c.udp(c.client, c.web[1].ip, 8080, 3000);
  between();
  c.k.setUp(c.nodes[0].eth0, false);
  c.udp(c.client, "10.224.0.77", 9);
  between();
  c.run(1500);
  between();
  c.run(4000);
}

test("every note reads back, with the names of its rows", (t) => {
  const c = cluster();
  c.observe();
  traffic(c);
  const parts: Uint8Array[] = [];
  new Recorder(7, c.names, (bytes) => parts.push(bytes)).write(c.k.notes);
  const bytes = Buffer.concat(parts);
  const { header, notes, names } = readRecording(bytes);
  t.is(header.seed, 7);
  t.is(header.version, 1);
  t.is(header.stages[STAGES.indexOf("HOOK_PRE_ROUTING")], "HOOK_PRE_ROUTING");
  t.is(header.reasons[130], "SERVICE_REJECT");
  t.is(header.kinds[2], "DNAT");
  t.true(notes.count > 500);
  t.deepEqual(rows(notes), rows(c.k.notes));
  for (let i = 0; i < notes.count; i++) {
    t.is(names.dev(notes.dev[i]), c.names.dev(notes.dev[i]));
    t.is(names.ns(notes.ns[i]), c.names.ns(notes.ns[i]));
    t.is(names.isNode(notes.ns[i]), c.names.isNode(notes.ns[i]));
  }
  t.deepEqual(names.service(c.nodes[0].ns, c.service0), c.names.service(c.nodes[0].ns, c.service0));
  t.is(names.dev(-1), "-");
  c.end(t);
});

test("values are plain msgpack: a header, names before their use, arrays of numbers", (t) => {
  const c = cluster();
  c.observe();
  c.udp(c.client, "10.0.0.10", 80);
  const parts: Uint8Array[] = [];
  new Recorder(7, c.names, (bytes) => parts.push(bytes), { frames: false }).write(c.k.notes);
  const values = unpackMultiple(Buffer.concat(parts)) as unknown[][];
  t.is((values[0] as unknown as RecordingHeader).format, "vnetem-recording");
  t.deepEqual(values[1], ["ns", c.client.ns, "client", false]);
  const note = values.find((v) => Array.isArray(v) && typeof v[0] === "number");
  t.is(note?.length, 10);
  t.is(readRecording(Buffer.concat(parts)).notes.frameLen[0], 0);
  c.end(t);
});

test("a row with another tenant gets its new name", (t) => {
  const c = cluster();
  c.observe();
  const parts: Uint8Array[] = [];
  const recorder = new Recorder(7, c.names, (bytes) => parts.push(bytes));
  const drain = new Drain(c.k, null, recorder);
  const first = c.pod(c.nodes[0], "first", "10.224.0.40");
  c.udp(first, "10.0.0.10", 80);
  c.run(1);
  drain.drain();
  c.k.removeNamespace(first.ns);
  const second = c.pod(c.nodes[0], "second", "10.224.0.41");
  t.is(second.ns, first.ns, "the row is used again");
  c.udp(second, "10.0.0.10", 80);
  c.run(1);
  drain.close();
  const values = unpackMultiple(Buffer.concat(parts)) as unknown[][];
  const named = values.filter((v) => v[0] === "ns" && v[1] === first.ns).map((v) => v[2]);
  t.deepEqual(named, ["first", "second"]);
  c.end(t);
});

test("draining between events changes neither the recording nor the capture", (t) => {
  const whole = cluster();
  whole.observe();
  whole.tap(whole.client.eth0, whole.client.host, whole.nodes[0].eth0, whole.web[1].eth0);
  traffic(whole);
  const once: Uint8Array[] = [];
  new Recorder(7, whole.names, (bytes) => once.push(bytes)).write(whole.k.notes);
  const capture = readPcapng(writePcapng(whole.k, whole.names));

  const c = cluster();
  c.observe();
  c.tap(c.client.eth0, c.client.host, c.nodes[0].eth0, c.web[1].eth0);
  const records: Uint8Array[] = [];
  const frames: Uint8Array[] = [];
  const recorder = new Recorder(7, c.names, (bytes) => records.push(bytes));
  const pcap = new PcapngWriter(c.k, c.names, (bytes) => frames.push(bytes));
  const drain = new Drain(c.k, pcap, recorder);
  let most = 0;
  traffic(c, () => {
    drain.drain();
    most = Math.max(most, c.k.notes.count);
  });
  drain.close();
  t.true(most < 40, `${most} notes stayed in memory`);
  t.is(c.k.notes.count, 0);
  t.is(c.k.capture.count, 0);
  t.is(c.k.capture.used, 0);
  t.deepEqual(rows(readRecording(Buffer.concat(records)).notes), rows(whole.k.notes));
  const drained = readPcapng(Buffer.concat(frames));
  t.deepEqual(drained.packets, capture.packets);
  t.deepEqual(drained.interfaces, capture.interfaces);
  const lost = drained.packets.filter((p) => p.comments.some((text) => text.startsWith("dropped: ")));
  t.true(lost.length > 3);
  whole.end(t);
  c.end(t);
});

/** Seen and DNATed, a frame waits at azure0 for an ARP reply that never comes; others pass meanwhile. */
function losing(between: (c: Cluster) => void): Cluster {
  const c = cluster();
  c.service("default/web2", "10.0.0.12", 80, [c.web[1]]);
  c.tap(c.client.eth0, c.client.host);
  c.udp(c.client, "10.224.0.1", 9);
  between(c);
  c.k.setUp(c.nodes[0].eth0, false);
  c.walk.ip.neigh.flushDevice(c.nodes[0].bridge, false);
  c.udp(c.client, "10.0.0.12", 80);
  for (let i = 0; i < 40; i++) {
    between(c);
    c.run(100);
    if (i % 8 === 0) c.udp(c.client, c.web[0].ip, 8080, 10 + i);
  }
  return c;
}

test("a drop three seconds after the last sight stands on that sight, however often it was drained", (t) => {
  const frames: Uint8Array[] = [];
  let drain: Drain | undefined;
  const c = losing((lab) => {
    const pcap = (): PcapngWriter => new PcapngWriter(lab.k, lab.names, (bytes) => frames.push(bytes));
    drain ??= new Drain(lab.k, pcap(), null);
    drain.drain();
  });
  drain?.close();
  const { packets } = readPcapng(Buffer.concat(frames));
  const [lost, ...more] = packets.filter((p) => p.comments.some((text) => text.includes("NEIGH_FAILED")));
  t.deepEqual(more, []);
  t.regex(lost?.comments[0] ?? "", /^DNAT 10\.0\.0\.12:80 -> 10\.224\.0\.31:8080 by KUBE-SERVICES /);
  t.is(lost?.comments.at(-1), "dropped: NEIGH_FAILED (nobody answered ARP for the next hop)");
  const undrained = losing(() => {});
  t.deepEqual(packets, readPcapng(writePcapng(undrained.k, undrained.names)).packets);
  c.end(t);
  undrained.end(t);
});

test("without a writer for it the capture stays, with its comments", (t) => {
  const plain = losing(() => {});
  const trimmed = losing((lab) => trimNotes(lab.k));
  const drained = losing((lab) => new Drain(lab.k, null, null).drain());
  const wanted = writePcapng(plain.k, plain.names);
  for (const c of [trimmed, drained]) {
    t.deepEqual(writePcapng(c.k, c.names), wanted);
    t.true(c.k.notes.count < plain.k.notes.count);
    c.end(t);
  }
  plain.end(t);
});

test("what is no recording is refused", (t) => {
  const refuse = (bytes: Uint8Array): string => t.throws(() => readRecording(bytes)).message;
  t.is(refuse(Uint8Array.of(0xc0)), "this is not a recording of vnetem");
  const c = cluster();
  const parts: Uint8Array[] = [];
  new Recorder(7, c.names, (bytes) => parts.push(bytes)).write(c.k.notes);
  const bytes = Buffer.concat(parts);
  t.is(refuse(Buffer.concat([bytes, Uint8Array.of(5)])), "this recording is damaged: a value is no array");
  bytes[bytes.indexOf("version") + "version".length] = 9;
  t.regex(refuse(bytes), /version 9; this program reads version 1/);
  c.end(t);
});

test("a tap that comes after notes were drained", (t) => {
  const c = cluster();
  c.observe();
  const parts: Uint8Array[] = [];
  const drain = new Drain(c.k, null, new Recorder(7, c.names, (bytes) => parts.push(bytes)));
  c.udp(c.client, "10.0.0.10", 80);
  drain.drain();
  t.is(c.k.notes.count, 0);
  c.tap(c.client.eth0);
  c.udp(c.client, "10.0.0.10", 80);
  c.run(1);
  const { packets } = readPcapng(writePcapng(c.k, c.names));
  t.true(packets.length >= 2);
  drain.close();
  c.end(t);
});
