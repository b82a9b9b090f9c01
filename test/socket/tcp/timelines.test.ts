// The timelines in scripts/, and those that last too long to be asked of a kernel (kernel.test.ts does that).

import test from "ava";
import { SACK_SERVER, SERVER } from "./established.ts";
import { CLOSING } from "./scripts/closing.ts";
import { DATA } from "./scripts/data.ts";
import { LOSS } from "./scripts/loss.ts";
import { OPENING } from "./scripts/opening.ts";
import { play } from "./timeline.ts";

for (const one of [...OPENING, ...CLOSING, ...DATA, ...LOSS]) {
  test(one.title, (t) => {
    play(t, one.script, one.setup);
  });
}

test("K5.2/listen-ack K5.2/listen-none ACK gives RST; FIN, nothing, SYN+FIN and RST silence", (t) => {
  play(
    t,
    `0.0 listen
     0.0 < . 5:5(0) ack 7777
     0.0 > R 7777:7777(0)
     0.0 < F 5:5(0)
     0.0 < - 5:5(0)
     0.0 < SF 5:5(0)
     0.0 < R 5:5(0)
     0.0 quiet`,
  );
});

test("K1.4/tcp-client ICMP 3/3 while connecting: ECONNREFUSED at once", (t) => {
  play(
    t,
    `0.0 connect
     0.0 > S 0:0(0)
     0.1 < icmp 3/3
     0.1 state CLOSE
     0.1 error ECONNREFUSED`,
  );
});

test("SYN retransmissions at 1, 2, 3, 4, 5, 7, 11, 19, 35, 67 s; ETIMEDOUT at 131 s (K 5.3)", (t) => {
  const again = [1, 2, 3, 4, 5, 7, 11, 19, 35, 67].map((s) => `${s}.0 > S 0:0(0)`);
  play(
    t,
    [
      "0.0 connect",
      "0.0 > S 0:0(0)",
      ...again,
      "130.9 state SYN_SENT",
      "131.0 state CLOSE",
      "131.0 error ETIMEDOUT",
    ].join("\n"),
  );
});

test("SYN-ACK retransmissions at 1, 3, 7, 15, 31 s, then given up (K 5.3)", (t) => {
  const again = [1, 3, 7, 15, 31].map((s) => `${s}.0 > S. 0:0(0) ack 1`);
  play(
    t,
    [
      "0.0 listen",
      "0.0 < S 0:0(0) win 65535",
      "0.0 > S. 0:0(0) ack 1",
      ...again,
      "62.9 quiet",
      "64 < . 1:1(0) ack 1",
      "64 > R 1:1(0)",
    ].join("\n"),
  );
});

test("an orphan's FIN goes 9 times more, the distances doubling (tcp_orphan_retries)", (t) => {
  const times: string[] = [];
  let at = 0.1;
  for (let i = 0, rto = 0.200001; i < 9; i++, rto *= 2) {
    at += rto;
    times.push(`${at.toFixed(6)} > F. 1:1(0) ack 1`);
  }
  play(
    t,
    [
      SERVER,
      "0.1 close",
      "0.1 > F. 1:1(0) ack 1",
      ...times,
      "300 quiet",
      "300 < . 1:1(0) ack 2",
      "300 > R 2:2(0)",
    ].join("\n"),
  );
});

test("initial congestion window: 10 segments (RFC 6928), then two per ACK", (t) => {
  const first = Array.from(
    { length: 10 },
    (_, i) => `0.2 > . ${1 + i * 1000}:${1001 + i * 1000}(1000) ack 1`,
  );
  play(
    t,
    `${SACK_SERVER}
     0.2 write 40000
     ${first.join("\n")}
     0.2 cwnd 10
     0.3 < . 1:1(0) ack 2001
     0.3 > . 10001:11001(1000) ack 1
     0.3 > . 11001:12001(1000) ack 1
     0.3 > . 12001:13001(1000) ack 1
     0.3 > . 13001:14001(1000) ack 1
     0.3 cwnd 12
     0.3 abort
     0.3 > R. 14001:14001(0) ack 1`,
  );
});

test("keepalive: after 7200 s, every 75 s, 9 times; then a reset and ETIMEDOUT (K 5.3)", (t) => {
  const probes = Array.from({ length: 9 }, (_, i) => `${7200 + 75 * i} > . 0:0(0) ack 1`);
  play(
    t,
    [SERVER, ...probes, "7875 > R. 1:1(0) ack 1", "7875 state CLOSE", "7875 error ETIMEDOUT"].join("\n"),
    { options: { keepAlive: true } },
  );
});

test("silence after data: the peer is given up after 15 doublings, about 924 s, ETIMEDOUT (K 5.3)", (t) => {
  const first = [
    0.5, 0.8, 1.4, 2.6, 5.0, 9.8, 19.4, 38.6, 77.0, 153.8, 273.8, 393.8, 513.8, 633.8, 753.8, 873.8,
  ];
  play(
    t,
    [
      SACK_SERVER,
      "0.2 write 100",
      "0.2 > P. 1:101(100) ack 1",
      ...first.map((s) => `${s} > P. 1:101(100) ack 1`),
      "993.7 state ESTABLISHED",
      "993.8 state CLOSE",
      "993.8 error ETIMEDOUT",
    ].join("\n"),
  );
});

for (const [code, error] of [
  ["3/0", "ENETUNREACH"],
  ["3/1", "EHOSTUNREACH"],
  ["3/13", "EHOSTUNREACH"],
  ["11/0", "EHOSTUNREACH"],
  ["12/0", "EPROTO"],
] as const) {
  test(`ICMP ${code} while connecting: ${error} at once (K 5.3)`, (t) => {
    play(
      t,
      `0.0 connect
       0.0 > S 0:0(0)
       0.1 < icmp ${code}
       0.1 state CLOSE
       0.1 error ${error}`,
    );
  });
}
