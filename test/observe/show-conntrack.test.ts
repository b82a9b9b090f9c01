// `vnetem show … conntrack` against `conntrack -L` on Linux for the same packets (linux.txt). Linux lists
// entries in the order of a randomly seeded hash table, and the seconds left depend on how fast lab.sh
// ran.

import test from "ava";
import { udpOpen } from "../../src/socket/open.ts";
import { transmitFrame } from "../../src/socket/packet.ts";
import { SocketKind } from "../../src/socket/sockets.ts";
import { udpSend } from "../../src/socket/udp-send.ts";
import { tcpFrame, udpFrame } from "../../src/wire/build.ts";
import { TCP_ACK, TCP_FIN, TCP_SYN } from "../../src/wire/tcp.ts";
import { ip } from "./kit.ts";
import { Lab, linux } from "./linux.ts";

const A = "10.224.0.35";
const B = "10.224.0.36";

class Talk extends Lab {
  constructor() {
    super();
    this.walk.nf.enable(this.n0);
    this.upAll();
    this.addAddresses();
    udpOpen(this.walk.sock, this.b, { kind: SocketKind.ECHO, port: 8080 });
  }

  udp(from: number, port: number): void {
    const { sock } = this.walk;
    const row = udpOpen(sock, this.a, { kind: SocketKind.SCRIPT, port: from });
    udpSend(sock, row, ip(B), port, new Uint8Array(1));
    this.walk.drain();
  }

  /** Segments between two ends that have no address meanwhile, so that no reset answers them. */
  tcp(...segments: (readonly [side: "a" | "b", flags: number, seq: number, ack: number])[]): void {
    const ends = { a: this.peer(this.azva), b: this.peer(this.azvb) };
    this.k.removeAddress(ends.a, ip(A));
    this.k.removeAddress(ends.b, ip(B));
    for (const [side, flags, seq, ack] of segments) {
      const forth = { src: A, dst: B, sport: 40002, dport: 8080 };
      const back = { src: B, dst: A, sport: 8080, dport: 40002 };
      const macs = { srcMac: "02:00:00:00:0a:02", dstMac: "02:00:00:00:0b:02" };
      const ways = { a: { ...forth, ...macs }, b: { ...back, srcMac: macs.dstMac, dstMac: macs.srcMac } };
      transmitFrame(this.k, ends[side], tcpFrame({ ...ways[side], flags, seq, ack, window: 64240 }));
      this.walk.drain();
    }
    this.address(ends.a, A, 16);
    this.address(ends.b, B, 16);
  }

  other(): void {
    const frame = udpFrame({
      src: A,
      dst: B,
      srcMac: "02:00:00:00:0a:02",
      dstMac: "02:00:00:00:0b:02",
      sport: 0,
      dport: 0,
    });
    // Protocol 99, and the header checksum that goes with it: 82 more in the same word.
    frame[23] = 99;
    const sum = ((frame[24]! << 8) | frame[25]!) - (99 - 17);
    frame[24] = sum >> 8;
    frame[25] = sum & 0xff;
    transmitFrame(this.k, this.peer(this.azva), frame);
    this.walk.drain();
  }
}

/** Without the seconds left, in one order. */
const entries = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.replace(/^(\S+ +\d+) \d+/, "$1 -"))
    .sort();

test("UDP answered and not, TCP through its states, ICMP, other protocols", (t) => {
  const talk = new Talk();
  talk.udp(40000, 8080);
  talk.udp(40001, 9);
  talk.tcp(["a", TCP_SYN, 100, 0], ["b", TCP_SYN | TCP_ACK, 200, 101], ["a", TCP_ACK, 101, 201]);
  const first = linux("UDP answered and not, TCP established", "n0 conntrack -L");
  t.deepEqual(entries(talk.show(talk.n0, "conntrack")), entries(first));
  const fin = TCP_FIN | TCP_ACK;
  talk.tcp(["a", fin, 101, 201], ["b", fin, 201, 102], ["a", TCP_ACK, 102, 202]);
  talk.ping(B);
  talk.other();
  const second = linux("TCP closed, ICMP, protocol 99", "n0 conntrack -L").replace("id=7", "id=1");
  t.deepEqual(entries(talk.show(talk.n0, "conntrack")), entries(second.replace("id=7", "id=1")));
  talk.walk.run(60e9);
  t.is(talk.k.skb.live, 0);
});

test("in order of creation, with the seconds left, until they expire", (t) => {
  const talk = new Talk();
  talk.udp(40001, 9);
  talk.walk.run(10.5e9);
  talk.udp(40000, 8080);
  const tuples = (port: number, dport: number, mark: string): string =>
    `src=${A} dst=${B} sport=${port} dport=${dport}${mark} src=${B} dst=${A} sport=${dport} dport=${port}`;
  const wanted = [
    `udp      17 19 ${tuples(40001, 9, " [UNREPLIED]")} mark=0 use=1`,
    `udp      17 30 ${tuples(40000, 8080, "")} mark=0 use=1`,
  ];
  t.is(talk.show(talk.n0, "conntrack"), `${wanted.join("\n")}\n`);
  talk.walk.run(30.5e9);
  t.is(talk.show(talk.n0, "conntrack").match(/dport=9 /g), null);
  const [entry] = talk.json(talk.n0, "conntrack");
  t.like(entry, {
    protocol: "udp",
    protonum: 17,
    timeout: 10,
    original: { src: A, dst: B, sport: 40000, dport: 8080 },
    unreplied: false,
    assured: false,
    use: 1,
  });
  t.is(talk.show(talk.a, "conntrack"), "", "a pod tracks nothing");
  talk.walk.run(60e9);
  t.is(talk.k.skb.live, 0);
});
