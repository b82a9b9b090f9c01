// Reassembly and cutting (net/ipv4/ip_fragment.c, ip_output.c): geometry, order, repeats, overlaps, time.

import test from "ava";
import { Random } from "../../src/core/random.ts";
import { udpOpen } from "../../src/socket/open.ts";
import { SocketKind } from "../../src/socket/sockets.ts";
import { udpFrame } from "../../src/wire/build.ts";
import { ipv4FillChecksum } from "../../src/wire/ipv4.ts";
import { datagram, HOST, Host, PEER, SECOND } from "./host-kit.ts";

const IP = 14;
const HEAD = 20;

interface Piece {
  offset: number;
  bytes: number;
  more: boolean;
}

/** One piece of the datagram in `frame`, as its sender would cut it. */
function piece(
  frame: Uint8Array,
  { offset, bytes, more }: Piece,
  odd: { df?: boolean; tos?: number } = {},
): Uint8Array {
  const out = new Uint8Array(IP + HEAD + bytes);
  out.set(frame.subarray(0, IP + HEAD));
  out.set(frame.subarray(IP + HEAD + offset, IP + HEAD + offset + bytes), IP + HEAD);
  const v = new DataView(out.buffer);
  v.setUint16(IP + 2, HEAD + bytes);
  v.setUint16(IP + 6, (odd.df === true ? 0x4000 : 0) | (more ? 0x2000 : 0) | (offset >> 3));
  if (odd.tos !== undefined) v.setUint8(IP + 1, odd.tos);
  ipv4FillChecksum(v, IP);
  return out;
}

/** Cut into pieces of `size` bytes of data. */
function cut(frame: Uint8Array, size: number, odd: { df?: boolean } = {}): Uint8Array[] {
  const total = frame.length - IP - HEAD;
  const pieces: Uint8Array[] = [];
  for (let offset = 0; offset < total; offset += size) {
    const bytes = Math.min(size, total - offset);
    pieces.push(piece(frame, { offset, bytes, more: offset + bytes < total }, odd));
  }
  return pieces;
}

/** A host that keeps the datagrams for port 9. */
function receiver(): { host: Host; got: () => number[] } {
  const host = new Host();
  const sock = udpOpen(host.walk.sock, host.ns, { kind: SocketKind.SCRIPT, port: 9 });
  host.neighbour("eth0", "10.0.0.9", PEER.eth0);
  return { host, got: () => [host.walk.sock.rxPackets[sock], host.walk.sock.rxBytes[sock]] };
}

const whole = (payload: number): Uint8Array => datagram("eth0", "10.0.0.9", "10.0.0.1", { payload, id: 7 });

test("a datagram is whole when its last missing piece comes, in whatever order, each piece once", (t) => {
  const orders = [
    [0, 1, 2],
    [2, 1, 0],
    [1, 2, 0],
    [2, 0, 1],
  ];
  for (const order of orders) {
    const { host, got } = receiver();
    const pieces = cut(whole(3000), 1480);
    for (const [n, i] of order.entries()) {
      t.is(got()[0], 0, `${order} after ${n}`);
      host.receive("eth0", pieces[i]);
    }
    t.deepEqual(got(), [1, 3000], `${order}`);
    t.is(host.k.skb.live, 0);
    host.end(t);
  }
});

test("pieces of different datagrams do not mix: by id, addresses and protocol", (t) => {
  const { host, got } = receiver();
  const one = cut(whole(2000), 1000);
  const other = cut(datagram("eth0", "10.0.0.9", "10.0.0.1", { payload: 2000, id: 8 }), 1000);
  const stranger = cut(datagram("eth0", "10.0.0.8", "10.0.0.1", { payload: 2000, id: 7 }), 1000);
  for (const p of [one[0], other[1], stranger[2], one[1], other[2], stranger[0]]) host.receive("eth0", p);
  t.is(got()[0], 0);
  for (const p of [one[2], other[0], stranger[1]]) host.receive("eth0", p);
  t.deepEqual(got(), [3, 6000]);
  host.end(t);
});

test("K3.7 a repeated piece is dropped alone; a piece that overlaps takes the datagram with it", (t) => {
  // The datagram is 0-999, 1000-1999, 2000-2999; the middle comes last.
  const rows: [what: string, odd: Piece, lost: boolean][] = [
    ["the same again", { offset: 0, bytes: 1000, more: true }, false],
    ["inside one that is there", { offset: 8, bytes: 16, more: true }, false],
    ["the last again", { offset: 2000, bytes: 1000, more: false }, false],
    ["from what is there into what is missing", { offset: 992, bytes: 16, more: true }, true],
    ["from what is missing into what is there", { offset: 1992, bytes: 16, more: true }, true],
    ["around all of it", { offset: 0, bytes: 1400, more: true }, true],
    ["beyond the end", { offset: 3000, bytes: 8, more: true }, true],
    ["an end before the end", { offset: 1000, bytes: 8, more: false }, true],
    ["an end after the end", { offset: 3000, bytes: 8, more: false }, true],
    ["no data at all", { offset: 1000, bytes: 0, more: true }, true],
  ];
  for (const [what, odd, lost] of rows) {
    const { host, got } = receiver();
    const frame = whole(2992);
    const [first, middle, last] = cut(frame, 1000);
    host.receive("eth0", first);
    host.receive("eth0", last);
    host.receive("eth0", piece(new Uint8Array([...frame, ...new Uint8Array(16)]), odd));
    t.deepEqual(host.drops().includes("DUP_FRAG"), !lost, `${what}: ${host.drops()}`);
    t.deepEqual(host.drops().includes("FRAG_OVERLAP"), lost, `${what}: ${host.drops()}`);
    host.receive("eth0", middle);
    t.is(got()[0], lost ? 0 : 1, what);
    host.end(t);
  }
});

test("K3.7 across two pieces: nothing new if they came in ascending order, an overlap if not", (t) => {
  for (const ascending of [true, false]) {
    const { host, got } = receiver();
    const frame = whole(2992);
    const [first, middle, last] = cut(frame, 1000);
    for (const p of ascending ? [first, middle] : [middle, first]) host.receive("eth0", p);
    host.receive("eth0", piece(frame, { offset: 992, bytes: 16, more: true }));
    t.deepEqual(host.drops()[0], ascending ? "DUP_FRAG" : "FRAG_OVERLAP");
    host.receive("eth0", last);
    t.is(got()[0], ascending ? 1 : 0);
    host.end(t);
  }
});

test("ip_frag_ecn_table: congestion marks add up, pieces that disagree about ECN are no datagram", (t) => {
  const rows: [number, number, number | null][] = [
    [0, 0, 0],
    [2, 2, 2],
    [1, 1, 1],
    [2, 3, 3],
    [1, 3, 3],
    [1, 2, 1],
    [0, 3, null],
    [0, 2, null],
  ];
  for (const [a, b, expected] of rows) {
    const host = new Host();
    host.set("net.ipv4.ip_forward", 1);
    host.walk.nf.enable(host.ns);
    host.neighbour("eth1", "10.1.0.9", PEER.eth1);
    const frame = datagram("eth0", "10.0.0.9", "10.1.0.9", { payload: 992, id: 7 });
    host.receive("eth0", piece(frame, { offset: 0, bytes: 504, more: true }, { tos: a }));
    const out = host.receive("eth0", piece(frame, { offset: 504, bytes: 496, more: false }, { tos: b }));
    if (expected === null) t.deepEqual(out, [], `${a} ${b}`);
    else if (a === b || expected === a) t.is(host.bytes(-1)[IP + 1] & 3, expected, `${a} ${b}`);
    // ORed into the first piece's field: capable and congested make congested.
    else t.is(host.bytes(-1)[IP + 1] & 3, a | 3, `${a} ${b}`);
    host.end(t);
  }
});

test("K3.7 ipfrag_time 30 s: an end host tells with 11/1 if it has the first piece", (t) => {
  for (const first of [true, false]) {
    const { host, got } = receiver();
    const pieces = cut(whole(2000), 1000);
    host.receive("eth0", pieces[first ? 0 : 1]);
    t.deepEqual(host.run(30 * SECOND - 1), []);
    const told = host.run(30 * SECOND);
    t.is(told.length, first ? 1 : 0);
    if (first) t.true(told[0]?.includes("ip reassembly time exceeded"), told[0]);
    for (const p of pieces.slice(first ? 1 : 0, first ? 3 : 1)) host.receive("eth0", p);
    t.is(got()[0], 0, "too late");
    host.end(t);
  }
});

test("the time counts from the first piece, and ipfrag_time sets it", (t) => {
  const { host, got } = receiver();
  host.set("net.ipv4.ipfrag_time", 5);
  const pieces = cut(whole(2000), 1000);
  host.receive("eth0", pieces[0]);
  host.run(4 * SECOND);
  host.receive("eth0", pieces[1]);
  host.run(5 * SECOND);
  host.receive("eth0", pieces[2]);
  t.is(got()[0], 0);
  t.is(host.k.skb.live, 1, "the last piece waits in a queue of its own");
  host.end(t);
});

test("ipfrag_high_thresh: what does not fit any more is dropped", (t) => {
  const { host, got } = receiver();
  host.set("net.ipv4.ipfrag_high_thresh", 2500);
  for (const p of cut(whole(4000), 1000)) host.receive("eth0", p);
  t.is(got()[0], 0);
  t.true(host.drops().includes("FRAG_NOMEM"));
  host.end(t);
});

/** Frame lengths minus Ethernet and IP headers of what left by eth1, and their offsets. */
function pieces(host: Host, from: number): string[] {
  const { capture } = host.k;
  const found: string[] = [];
  for (let i = from; i < capture.count; i++) {
    if (capture.names[capture.iface[i]] !== "eth1" || capture.direction[i] !== 2) continue;
    const b = host.bytes(i);
    const v = new DataView(b.buffer);
    const word = v.getUint16(IP + 6);
    const head = (b[IP] & 15) * 4;
    const marks = `${word & 0x2000 ? "+" : ""}${word & 0x4000 ? " DF" : ""}`;
    found.push(`${(word & 0x1fff) * 8}:${b.length - IP - head}${marks}`);
  }
  return found;
}

interface Cut {
  what: string;
  mtu: number;
  payload: number;
  /** Cut to this on the way in; 0: it comes whole. */
  size?: number;
  df?: boolean;
  tracked?: boolean;
  out: string[];
}

// 8 bytes of UDP header count as data.
const CUTS: Cut[] = [
  { what: "fits", mtu: 1400, payload: 1372, out: ["0:1380"] },
  { what: "one byte too long", mtu: 1400, payload: 1373, out: ["0:1376+", "1376:5"] },
  { what: "K3.7 1400 bytes through 1400", mtu: 1400, payload: 1400, out: ["0:1376+", "1376:32"] },
  {
    what: "an MTU that is a multiple of eight after the header",
    mtu: 1396,
    payload: 1452,
    out: ["0:1376+", "1376:84"],
  },
  {
    what: "K3.7 reassembled, pieces still fit: cut where they were",
    mtu: 1400,
    payload: 992,
    size: 400,
    tracked: true,
    out: ["0:400+", "400:400+", "800:200"],
  },
  {
    what: "K3.7 reassembled, pieces too long: at the MTU",
    mtu: 1400,
    payload: 2992,
    size: 1480,
    tracked: true,
    out: ["0:1376+", "1376:1376+", "2752:248"],
  },
  {
    what: "small pieces with DF keep it only where cut anew",
    mtu: 1400,
    payload: 992,
    size: 400,
    df: true,
    tracked: true,
    out: ["0:400+", "400:400+", "800:200"],
  },
  {
    what: "untracked pieces pass one by one",
    mtu: 1400,
    payload: 792,
    size: 400,
    out: ["0:400+", "400:400"],
  },
  {
    what: "untracked pieces too long are cut again, the last flag kept",
    mtu: 1400,
    payload: 1992,
    size: 1480,
    out: ["0:1376+", "1376:104+", "1480:520"],
  },
];

for (const row of CUTS) {
  test(`fragments on the way out: ${row.what}`, (t) => {
    const host = new Host();
    host.set("net.ipv4.ip_forward", 1);
    if (row.tracked === true) host.walk.nf.enable(host.ns);
    host.neighbour("eth1", "10.1.0.9", PEER.eth1);
    host.walk.link.setMtu(host.eth1, row.mtu);
    const frame = datagram("eth0", "10.0.0.9", "10.1.0.9", { payload: row.payload, id: 7 });
    const sent = row.size === undefined ? [frame] : cut(frame, row.size, { df: row.df === true });
    for (const p of sent) host.receive("eth0", p);
    t.deepEqual(pieces(host, 0), row.out);
    host.end(t);
  });
}

test("DF and too long: 3/4 with the MTU; a reassembled one only if its largest piece is too long", (t) => {
  const rows: [size: number, mtu: number, told: boolean][] = [
    [0, 1400, true],
    [1480, 1400, true],
    [1200, 1400, false],
  ];
  for (const [size, mtu, told] of rows) {
    const host = new Host();
    host.set("net.ipv4.ip_forward", 1);
    host.walk.nf.enable(host.ns);
    host.neighbour("eth0", "10.0.0.9", PEER.eth0);
    host.neighbour("eth1", "10.1.0.9", PEER.eth1);
    host.walk.link.setMtu(host.eth1, mtu);
    const payload = size === 0 ? 1400 : 2400;
    const frame = datagram("eth0", "10.0.0.9", "10.1.0.9", { payload, id: 7, df: size === 0 });
    const out = (size === 0 ? [frame] : cut(frame, size, { df: true })).flatMap((p) =>
      host.receive("eth0", p),
    );
    const errors = out.filter((line) => line.includes(`need to frag (mtu ${mtu})`));
    t.is(errors.length, told ? 1 : 0, `${size}`);
    t.is(pieces(host, 0).length > 0, !told);
    host.end(t);
  }
});

test("options with the copied flag are in every piece, others become no-operations after the first", (t) => {
  const host = new Host();
  host.set("net.ipv4.ip_forward", 1);
  host.neighbour("eth1", "10.1.0.9", PEER.eth1);
  host.walk.link.setMtu(host.eth1, 1000);
  const ipOptions = Uint8Array.of(0x94, 4, 0, 0, 0x44, 4, 5, 0);
  host.receive("eth0", datagram("eth0", "10.0.0.9", "10.1.0.9", { payload: 1200, ipOptions }));
  t.deepEqual(pieces(host, 0), ["0:968+", "968:240"]);
  const heads = [-2, -1].map((i) => [...host.bytes(i).subarray(IP + HEAD, IP + HEAD + 8)]);
  // A full timestamp option counts one more host that had no room (0x10).
  t.deepEqual(heads, [
    [0x94, 4, 0, 0, 0x44, 4, 5, 0x10],
    [0x94, 4, 0, 0, 1, 1, 1, 1],
  ]);
  host.end(t);
});

test("random datagrams, cut at random, shuffled, with repeats: every one arrives, byte for byte", (t) => {
  const random = new Random(3, "fragments");
  for (let round = 0; round < 300; round++) {
    const host = new Host();
    host.set("net.ipv4.ip_forward", 1);
    host.walk.nf.enable(host.ns);
    host.walk.link.setMtu(host.eth1, 9000);
    host.neighbour("eth1", "10.1.0.9", PEER.eth1);
    const payload = Uint8Array.from({ length: 8 + random.below(3000) }, () => random.below(256));
    const frame = udpFrame({
      srcMac: PEER.eth0,
      dstMac: HOST.eth0,
      src: "10.0.0.9",
      dst: "10.1.0.9",
      sport: 1,
      dport: 2,
      id: round,
      payload,
    });
    const total = frame.length - IP - HEAD;
    const list: Uint8Array[] = [];
    for (let offset = 0; offset < total; ) {
      const bytes = Math.min(total - offset, 8 * (1 + random.below(60)));
      list.push(piece(frame, { offset, bytes, more: offset + bytes < total }));
      offset += bytes;
    }
    if (list.length > 1 && random.below(2) === 0) list.push(list[random.below(list.length - 1)]);
    for (let i = list.length - 1; i > 0; i--) {
      const j = random.below(i + 1);
      [list[i], list[j]] = [list[j] as Uint8Array, list[i] as Uint8Array];
    }
    const from = host.k.capture.count;
    for (const p of list) host.receive("eth0", p);
    // Put together again at the other side, from the offsets the pieces carry.
    const data = new Uint8Array(total);
    let seen = 0;
    for (let i = from; i < host.k.capture.count; i++) {
      if (host.k.capture.names[host.k.capture.iface[i]] !== "eth1" || host.k.capture.direction[i] !== 2)
        continue;
      const b = host.bytes(i);
      const offset = (new DataView(b.buffer).getUint16(IP + 6) & 0x1fff) * 8;
      data.set(b.subarray(IP + HEAD), offset);
      seen += b.length - IP - HEAD;
    }
    t.is(seen, total);
    t.deepEqual(data, frame.slice(IP + HEAD));
    host.end(t);
  }
});
