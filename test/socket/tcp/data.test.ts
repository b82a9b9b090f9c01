// Data both ways: segments, ACKs, windows, Nagle, probes (RFC 9293 3.8, RFC 1122 4.2.3, K 5.3).

import test from "ava";
import { FULL_SERVER, SACK_SERVER, SERVER } from "./established.ts";
import { play } from "./timeline.ts";

test("the first segments are acknowledged at once, later ones after 40 ms or every second", (t) => {
  play(
    t,
    `${SERVER}
     0.1 < P. 1:101(100) ack 1
     0.1 > . 1:1(0) ack 101
     0.1 read 100`,
  );
});

test("a request and its answer: the answer carries the ACK; then ACKs are delayed 40 ms", (t) => {
  play(
    t,
    `${SERVER}
     0.1 < P. 1:101(100) ack 1
     0.1 > . 1:1(0) ack 101
     0.1 read 100
     0.1 write 10
     0.1 > P. 1:11(10) ack 101
     0.11 < . 101:101(0) ack 11
     0.12 < P. 101:201(100) ack 11
     0.12 quiet
     +0.04 > . 11:11(0) ack 201`,
  );
});

test("a full segment is 1460 bytes on MTU 1500; the last of a write has PSH", (t) => {
  play(
    t,
    `${SERVER}
     0.1 write 3000
     0.1 > . 1:1461(1460) ack 1
     0.1 > . 1461:2921(1460) ack 1
     0.1 > P. 2921:3001(80) ack 1
     0.2 < . 1:1(0) ack 3001`,
  );
});

test("without an MSS option segments are 536 bytes (RFC 9293 3.7.1)", (t) => {
  play(
    t,
    `0.0 listen
     0.0 < S 0:0(0) win 65535
     0.0 > S. 0:0(0) ack 1
     0.0 < . 1:1(0) ack 1
     0.0 accept
     0.1 write 600
     0.1 > . 1:537(536) ack 1
     0.1 > P. 537:601(64) ack 1
     0.2 < . 1:1(0) ack 601`,
  );
});

test("timestamps take 12 bytes of every segment", (t) => {
  play(
    t,
    `${FULL_SERVER}
     0.2 write 1001
     0.2 > . 1:1001(1000) ack 1 <nop,nop,TS>
     0.2 > P. 1001:1002(1) ack 1 <nop,nop,TS>
     0.3 < . 1:1(0) ack 1002 win 512 <nop,nop,TS val 1300 ecr 200>`,
  );
});

test("Nagle: one small segment may be under way, the second waits for its ACK", (t) => {
  play(
    t,
    `${SERVER}
     0.1 write 10
     0.1 > P. 1:11(10) ack 1
     0.1 write 10
     0.1 write 10
     0.1 quiet
     0.2 < . 1:1(0) ack 11
     0.2 > P. 11:31(20) ack 1
     0.3 < . 1:1(0) ack 31`,
  );
});

test("TCP_NODELAY: every write goes at once", (t) => {
  play(
    t,
    `${SERVER}
     0.1 write 10
     0.1 > P. 1:11(10) ack 1
     0.1 write 10
     0.1 > P. 11:21(10) ack 1
     0.2 < . 1:1(0) ack 21`,
    { options: { noDelay: true } },
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

test("the peer's window limits what is under way", (t) => {
  play(
    t,
    `0.0 listen
     0.0 < S 0:0(0) win 3000 <mss 1000>
     0.0 > S. 0:0(0) ack 1
     0.0 < . 1:1(0) ack 1 win 3000
     0.0 accept
     0.1 write 5000
     0.1 > . 1:1001(1000) ack 1
     0.1 > . 1001:2001(1000) ack 1
     0.1 > . 2001:3001(1000) ack 1
     0.2 < . 1:1(0) ack 3001 win 2000
     0.2 > . 3001:4001(1000) ack 1
     0.2 > P. 4001:5001(1000) ack 1
     0.3 < . 1:1(0) ack 5001 win 3000`,
  );
});

test("zero window: probes at RTO, doubling; a window update lets the data go", (t) => {
  play(
    t,
    `0.0 listen
     0.0 < S 0:0(0) win 2000 <mss 1000>
     0.0 > S. 0:0(0) ack 1
     0.1 < . 1:1(0) ack 1 win 2000
     0.1 accept
     0.1 write 3000
     0.1 > . 1:1001(1000) ack 1
     0.1 > . 1001:2001(1000) ack 1
     0.2 < . 1:1(0) ack 2001 win 0
     0.5 > . 2000:2000(0) ack 1
     0.6 < . 1:1(0) ack 2001 win 0
     1.2 > . 2000:2000(0) ack 1
     1.3 < . 1:1(0) ack 2001 win 0
     2.5 > . 2000:2000(0) ack 1
     2.6 < . 1:1(0) ack 2001 win 2000
     2.6 > P. 2001:3001(1000) ack 1
     2.7 < . 1:1(0) ack 3001 win 2000`,
  );
});

test("our window closes as data waits, and opens when the program reads", (t) => {
  play(
    t,
    `0.0 listen
     0.0 < S 0:0(0) win 65535 <mss 1460>
     0.0 > S. 0:0(0) ack 1 win 7300
     0.0 < . 1:1(0) ack 1
     0.0 accept
     0.1 < . 1:1461(1460) ack 1
     0.1 > . 1:1(0) ack 1461 win 5840
     0.1 < . 1461:2921(1460) ack 1
     0.1 > . 1:1(0) ack 2921 win 4380
     0.1 < . 2921:4381(1460) ack 1
     0.14 > . 1:1(0) ack 4381 win 2920
     0.2 read 4380
     0.2 > . 1:1(0) ack 4381 win 7300`,
    { options: { rcvbuf: 16_384 } },
  );
});

test("data for a closed window: dropped, answered with the window", (t) => {
  play(
    t,
    `0.0 listen
     0.0 < S 0:0(0) win 65535 <mss 1460>
     0.0 > S. 0:0(0) ack 1 win 1460
     0.0 < . 1:1(0) ack 1
     0.0 accept
     0.1 < P. 1:1461(1460) ack 1
     0.1 > . 1:1(0) ack 1461 win 0
     0.2 < P. 1461:1462(1) ack 1
     0.2 > . 1:1(0) ack 1461 win 0
     0.3 read 2000 = 1460
     0.3 > . 1:1(0) ack 1461 win 1460`,
    { options: { rcvbuf: 4000 } },
  );
});

test("old data is acknowledged again, with D-SACK (RFC 2883)", (t) => {
  play(
    t,
    `${SACK_SERVER}
     0.2 < P. 1:101(100) ack 1
     0.2 > . 1:1(0) ack 101
     0.3 < P. 1:101(100) ack 1
     0.3 > . 1:1(0) ack 101 <nop,nop,sack 1:101>`,
  );
});

test("a segment that overlaps what is there: the new part is taken, the old one reported", (t) => {
  play(
    t,
    `${SACK_SERVER}
     0.2 < P. 1:101(100) ack 1
     0.2 > . 1:1(0) ack 101
     0.3 < P. 51:151(100) ack 1
     0.3 > . 1:1(0) ack 151 <nop,nop,sack 51:101>
     0.3 read 200 = 150`,
  );
});

test("out of order: SACK blocks, the newest first; filling the hole acknowledges all", (t) => {
  play(
    t,
    `${SACK_SERVER}
     0.2 < P. 101:201(100) ack 1
     0.2 > . 1:1(0) ack 1 <nop,nop,sack 101:201>
     0.2 < P. 301:401(100) ack 1
     0.2 > . 1:1(0) ack 1 <nop,nop,sack 301:401 101:201>
     0.2 < P. 501:601(100) ack 1
     0.2 > . 1:1(0) ack 1 <nop,nop,sack 501:601 301:401 101:201>
     0.2 < P. 201:301(100) ack 1
     0.2 > . 1:1(0) ack 1 <nop,nop,sack 101:401 501:601>
     0.3 < P. 1:101(100) ack 1
     0.3 > . 1:1(0) ack 401 <nop,nop,sack 501:601>
     0.3 < P. 401:501(100) ack 1
     0.3 > . 1:1(0) ack 601
     0.3 read 1000 = 600`,
  );
});

test("five holes: four blocks fit without timestamps", (t) => {
  play(
    t,
    `${SACK_SERVER}
     0.2 < P. 101:102(1) ack 1
     0.2 > . 1:1(0) ack 1 <nop,nop,sack 101:102>
     0.2 < P. 201:202(1) ack 1
     0.2 > . 1:1(0) ack 1
     0.2 < P. 301:302(1) ack 1
     0.2 > . 1:1(0) ack 1
     0.2 < P. 401:402(1) ack 1
     0.2 > . 1:1(0) ack 1
     0.2 < P. 501:502(1) ack 1
     0.2 > . 1:1(0) ack 1 <nop,nop,sack 501:502 401:402 301:302 201:202>`,
  );
});

test("three blocks with timestamps (K 5.3)", (t) => {
  play(
    t,
    `${FULL_SERVER}
     0.2 < P. 101:102(1) ack 1 win 512 <nop,nop,TS val 1200 ecr 0>
     0.2 > . 1:1(0) ack 1
     0.2 < P. 201:202(1) ack 1 win 512 <nop,nop,TS val 1200 ecr 0>
     0.2 > . 1:1(0) ack 1
     0.2 < P. 301:302(1) ack 1 win 512 <nop,nop,TS val 1200 ecr 0>
     0.2 > . 1:1(0) ack 1
     0.2 < P. 401:402(1) ack 1 win 512 <nop,nop,TS val 1200 ecr 0>
     0.2 > . 1:1(0) ack 1 <nop,nop,TS,nop,nop,sack 401:402 301:302 201:202>`,
  );
});

test("a duplicate out of order is reported before its block", (t) => {
  play(
    t,
    `${SACK_SERVER}
     0.2 < P. 101:201(100) ack 1
     0.2 > . 1:1(0) ack 1 <nop,nop,sack 101:201>
     0.2 < P. 121:141(20) ack 1
     0.2 > . 1:1(0) ack 1 <nop,nop,sack 121:141 101:201>`,
  );
});

test("without SACK every segment out of order is answered all the same", (t) => {
  play(
    t,
    `${SERVER}
     0.2 < P. 101:201(100) ack 1
     0.2 > . 1:1(0) ack 1 <>
     0.2 < P. 201:301(100) ack 1
     0.2 > . 1:1(0) ack 1 <>
     0.3 < P. 1:101(100) ack 1
     0.3 > . 1:1(0) ack 301`,
  );
});

test("FIN out of order: nothing ends before the hole is filled", (t) => {
  play(
    t,
    `${SERVER}
     0.2 < FP. 101:201(100) ack 1
     0.2 > . 1:1(0) ack 1
     0.2 state ESTABLISHED
     0.3 < P. 1:101(100) ack 1
     0.3 > . 1:1(0) ack 202
     0.3 state CLOSE_WAIT
     0.3 read 500 = 200
     0.3 read 500 = 0`,
  );
});

test("a segment behind the window is dropped and answered", (t) => {
  play(
    t,
    `${SERVER}
     0.2 < P. 65001:65101(100) ack 1
     0.2 > . 1:1(0) ack 1`,
  );
});

test("PAWS: an old timestamp is dropped and answered (RFC 7323 5)", (t) => {
  play(
    t,
    `${FULL_SERVER}
     0.2 < P. 1:101(100) ack 1 win 512 <nop,nop,TS val 500 ecr 0>
     0.2 > . 1:1(0) ack 1
     0.2 read 10 = EAGAIN`,
  );
});

test("write after shutdown is EPIPE; read on nothing is EAGAIN", (t) => {
  play(
    t,
    `${SERVER}
     0.1 read 10 = EAGAIN
     0.1 shutdown
     0.1 > F. 1:1(0) ack 1
     0.1 < . 1:1(0) ack 2
     0.1 write 10 = EPIPE`,
  );
});

test("SO_SNDBUF: a full buffer takes nothing, an ACK makes room", (t) => {
  play(
    t,
    `0.0 listen
     0.0 < S 0:0(0) win 2000 <mss 1000>
     0.0 > S. 0:0(0) ack 1
     0.0 < . 1:1(0) ack 1 win 2000
     0.0 accept
     0.1 write 5000 = 3000
     0.1 > . 1:1001(1000) ack 1
     0.1 > . 1001:2001(1000) ack 1
     0.1 write 10 = EAGAIN
     0.2 < . 1:1(0) ack 1001 win 1000
     0.2 write 10
     0.2 < . 1:1(0) ack 2001 win 2000
     0.2 > . 2001:3001(1000) ack 1
     0.2 > P. 3001:3011(10) ack 1
     0.2 abort
     0.2 > R. 3011:3011(0) ack 1`,
    { options: { sndbuf: 3000 } },
  );
});

test("backlog: a full accept queue drops SYN and final ACK in silence (K 5.3)", (t) => {
  play(
    t,
    `0.0 listen
     0.0 < S 0:0(0) win 65535 from 1
     0.0 > S. 0:0(0) ack 1
     0.0 < . 1:1(0) ack 1 from 1
     0.0 < S 0:0(0) win 65535 from 2
     0.0 > S. 0:0(0) ack 1
     0.0 < S 0:0(0) win 65535 from 3
     0.0 > S. 0:0(0) ack 1
     0.0 < . 1:1(0) ack 1 from 2
     0.1 < . 1:1(0) ack 1 from 3
     0.1 < S 0:0(0) win 65535 from 4
     0.1 quiet
     0.2 accept
     0.2 accept
     0.2 accept EAGAIN
     1.0 > S. 0:0(0) ack 1
     1.1 < . 1:1(0) ack 1 from 3
     1.1 accept`,
    { backlog: 1 },
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

test("keepalive: an answer ends the probes until the next silence", (t) => {
  play(
    t,
    `${SERVER}
     10.0 > . 0:0(0) ack 1
     10.1 < . 1:1(0) ack 1
     20.1 > . 0:0(0) ack 1
     20.2 < . 1:1(0) ack 1
     20.2 abort
     20.2 > R. 1:1(0) ack 1`,
    { options: { keepAlive: true, keepIdle: 10e9, keepInterval: 1e9, keepCount: 3 } },
  );
});
