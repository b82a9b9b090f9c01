// Loss: time-outs, probes, recovery (RFC 6298, 5681, 6675, 8985, 6937), and ICMP errors as Linux treats them.

import test from "ava";
import { FULL_SERVER, SACK_SERVER, SERVER } from "./established.ts";
import { play } from "./timeline.ts";

/** Ten segments of 1000 bytes go out at 0.2. */
const segments = Array.from({ length: 10 }, (_, i) => {
  const seq = 1 + i * 1000;
  return `0.2 > ${i === 9 ? "P." : "."} ${seq}:${seq + 1000}(1000) ack 1`;
});
const TEN = ["0.2 write 10000", ...segments].join("\n");

test("RTO without SACK: 200 ms over the round trip, doubling", (t) => {
  play(
    t,
    `0.0 listen
     0.0 < S 0:0(0) win 65535 <mss 1000>
     0.0 > S. 0:0(0) ack 1
     0.1 < . 1:1(0) ack 1
     0.1 accept
     0.2 write 100
     0.2 > P. 1:101(100) ack 1
     0.5 > P. 1:101(100) ack 1
     1.1 > P. 1:101(100) ack 1
     2.3 > P. 1:101(100) ack 1
     2.4 < . 1:1(0) ack 101`,
  );
});

test("tail loss probe after two round trips and 200 ms, then the RTO (RFC 8985 7)", (t) => {
  play(
    t,
    `${SACK_SERVER}
     0.2 write 100
     0.2 > P. 1:101(100) ack 1
     0.5 > P. 1:101(100) ack 1
     0.6 < . 1:1(0) ack 101`,
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

test("three SACKed segments: the hole is sent again at once, the window is 0.7 of what it was", (t) => {
  play(
    t,
    `${SACK_SERVER}
     ${TEN}
     0.3 < . 1:1(0) ack 1 <sack 1001:2001>
     0.3 < . 1:1(0) ack 1 <sack 1001:3001>
     0.3 quiet
     0.3 < . 1:1(0) ack 1 <sack 1001:4001>
     0.3 > . 1:1001(1000) ack 1
     0.4 < . 1:1(0) ack 10001
     0.4 cwnd 7`,
  );
});

test("NewReno without SACK: the third duplicate, then one hole per partial ACK (RFC 6582)", (t) => {
  play(
    t,
    `0.0 listen
     0.0 < S 0:0(0) win 65535 <mss 1000>
     0.0 > S. 0:0(0) ack 1
     0.1 < . 1:1(0) ack 1
     0.1 accept
     ${TEN}
     0.3 < . 1:1(0) ack 1
     0.3 < . 1:1(0) ack 1
     0.3 quiet
     0.3 < . 1:1(0) ack 1
     0.3 > . 1:1001(1000) ack 1
     0.4 < . 1:1(0) ack 5001
     0.4 > . 5001:6001(1000) ack 1
     0.5 < . 1:1(0) ack 10001`,
    { options: { congestion: 1 } },
  );
});

test("two segments SACKed: reordering is waited for, a quarter of the round trip (RFC 8985 6.2)", (t) => {
  play(
    t,
    `${SACK_SERVER}
     0.2 write 3000
     0.2 > . 1:1001(1000) ack 1
     0.2 > . 1001:2001(1000) ack 1
     0.2 > P. 2001:3001(1000) ack 1
     0.3 < . 1:1(0) ack 1 <sack 1001:3001>
     0.327 > . 1:1001(1000) ack 1
     0.4 < . 1:1(0) ack 3001`,
  );
});

test("RTO: slow start from one segment, what was SACKed is not sent again", (t) => {
  play(
    t,
    `${SACK_SERVER}
     0.2 write 4000
     0.2 > . 1:1001(1000) ack 1
     0.2 > . 1001:2001(1000) ack 1
     0.2 > . 2001:3001(1000) ack 1
     0.2 > P. 3001:4001(1000) ack 1
     0.402 > P. 3001:4001(1000) ack 1
     0.702 > . 1:1001(1000) ack 1
     0.702 cwnd 1
     0.8 < . 1:1(0) ack 1001
     0.8 > . 1001:2001(1000) ack 1
     0.8 > . 2001:3001(1000) ack 1
     0.9 < . 1:1(0) ack 4001`,
  );
});

test("a time-out that was none is undone by the timestamp echo (RFC 3522)", (t) => {
  play(
    t,
    `${FULL_SERVER}
     0.2 write 100
     0.2 > P. 1:101(100) ack 1
     0.5 > P. 1:101(100) ack 1
     0.6 < . 1:1(0) ack 101 win 512 <nop,nop,TS val 1600 ecr 200>
     0.6 cwnd 10`,
  );
});

test("ICMP fragmentation needed: segments get smaller at once (RFC 1191)", (t) => {
  play(
    t,
    `${SERVER}
     0.2 write 1460
     0.2 > P. 1:1461(1460) ack 1
     0.3 < icmp 3/4 mtu 1000
     0.3 > . 1:961(960) ack 1
     0.3 > P. 961:1461(500) ack 1
     0.4 < . 1:1(0) ack 1461`,
  );
});

test("ICMP fragmentation needed about what was never sent teaches nothing (RFC 5927)", (t) => {
  play(
    t,
    `${SERVER}
     0.2 write 1460
     0.2 > P. 1:1461(1460) ack 1
     0.3 < icmp 3/4 mtu 1000 seq 100000
     0.3 quiet
     0.31 < . 1:1(0) ack 1461
     0.31 write 1460
     0.31 > P. 1461:2921(1460) ack 1
     0.32 < . 1:1(0) ack 2921`,
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

test("ICMP port unreachable in ESTABLISHED is soft: the error of the time-out, no earlier", (t) => {
  play(
    t,
    `${SERVER}
     0.2 write 100
     0.2 > P. 1:101(100) ack 1
     0.3 < icmp 3/3
     0.3 state ESTABLISHED
     0.3 error none
     0.35 < . 1:1(0) ack 101`,
  );
});

test("ICMP host unreachable undoes one back-off (RFC 6069)", (t) => {
  play(
    t,
    `0.0 listen
     0.0 < S 0:0(0) win 65535 <mss 1000>
     0.0 > S. 0:0(0) ack 1
     0.1 < . 1:1(0) ack 1
     0.1 accept
     0.2 write 100
     0.2 > P. 1:101(100) ack 1
     0.5 > P. 1:101(100) ack 1
     0.6 < icmp 3/1
     0.8 > P. 1:101(100) ack 1
     0.9 < . 1:1(0) ack 101`,
  );
});

test("RST in answer to a SYN: ECONNREFUSED", (t) => {
  play(
    t,
    `0.0 connect
     0.0 > S 0:0(0)
     0.1 < R. 0:0(0) ack 1
     0.1 state CLOSE
     0.1 error ECONNREFUSED`,
  );
});

test("RST without the right ACK does not stop connecting", (t) => {
  play(
    t,
    `0.0 connect
     0.0 > S 0:0(0)
     0.1 < R 0:0(0)
     0.1 < R. 0:0(0) ack 1000
     0.1 state SYN_SENT
     0.102 > S 0:0(0)`,
  );
});

test("a wrong ACK while connecting is reset, and the SYN goes again (RFC 9293 3.5.2, figure 8)", (t) => {
  play(
    t,
    `0.0 connect
     0.0 > S 0:0(0)
     0.1 < . 500:500(0) ack 1000
     0.1 > R 1000:1000(0)
     0.102 > S 0:0(0)
     0.2 < S. 0:0(0) ack 1
     0.2 > . 1:1(0) ack 1`,
  );
});

test("simultaneous open (RFC 9293 figure 7)", (t) => {
  play(
    t,
    `0.0 connect
     0.0 > S 0:0(0)
     0.1 < S 0:0(0) win 65535 <mss 1000>
     0.1 > S. 0:0(0) ack 1
     0.1 state SYN_RECV
     0.2 < S. 0:0(0) ack 1 win 65535 <mss 1000>
     0.2 state ESTABLISHED
     0.2 > . 1:1(0) ack 1`,
  );
});

test("TCP_USER_TIMEOUT ends the silence sooner (RFC 5482)", (t) => {
  play(
    t,
    `${SERVER}
     0.2 write 100
     0.2 > P. 1:101(100) ack 1
     0.400001 > P. 1:101(100) ack 1
     0.800003 > P. 1:101(100) ack 1
     1.600007 state CLOSE
     1.600007 error ETIMEDOUT`,
    { options: { userTimeout: 1e9 } },
  );
});

test("after idle the congestion window starts again from ten (RFC 5681 4.1)", (t) => {
  play(
    t,
    `${SACK_SERVER}
     ${TEN}
     0.3 < . 1:1(0) ack 10001
     0.3 cwnd 20
     60 write 10
     60 > P. 10001:10011(10) ack 1
     60 cwnd 10
     60.1 < . 1:1(0) ack 10011`,
  );
});
