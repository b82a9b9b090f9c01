// Data both ways: segments, ACKs, windows, Nagle, probes (RFC 9293 3.8, RFC 1122 4.2.3, K 5.3).

import { FULL_SERVER, SACK_SERVER, SERVER } from "../established.ts";
import type { Timeline } from "../timeline.ts";

export const DATA: readonly Timeline[] = [
  {
    title: "the first segments are acknowledged at once, later ones after 40 ms or every second",
    script: `${SERVER}
     0.1 < P. 1:101(100) ack 1
     0.1 > . 1:1(0) ack 101
     0.1 read 100`,
  },
  {
    title: "a request and its answer: the answer carries the ACK; then ACKs are delayed 40 ms",
    script: `${SERVER}
     0.1 < P. 1:101(100) ack 1
     0.1 > . 1:1(0) ack 101
     0.1 read 100
     0.1 write 10
     0.1 > P. 1:11(10) ack 101
     0.11 < . 101:101(0) ack 11
     0.12 < P. 101:201(100) ack 11
     0.12 quiet
     +0.04 > . 11:11(0) ack 201`,
  },
  {
    title: "a full segment is 1460 bytes on MTU 1500; the last of a write has PSH",
    script: `${SERVER}
     0.1 write 3000
     0.1 > . 1:1461(1460) ack 1
     0.1 > . 1461:2921(1460) ack 1
     0.1 > P. 2921:3001(80) ack 1
     0.2 < . 1:1(0) ack 3001`,
  },
  {
    title: "without an MSS option segments are 536 bytes (RFC 9293 3.7.1)",
    script: `0.0 listen
     0.0 < S 0:0(0) win 65535
     0.0 > S. 0:0(0) ack 1
     0.0 < . 1:1(0) ack 1
     0.0 accept
     0.1 write 600
     0.1 > . 1:537(536) ack 1
     0.1 > P. 537:601(64) ack 1
     0.2 < . 1:1(0) ack 601`,
  },
  {
    title: "timestamps take 12 bytes of every segment",
    script: `${FULL_SERVER}
     0.2 write 1001
     0.2 > . 1:1001(1000) ack 1 <nop,nop,TS>
     0.2 > P. 1001:1002(1) ack 1 <nop,nop,TS>
     0.3 < . 1:1(0) ack 1002 win 512 <nop,nop,TS val 1300 ecr 200>`,
  },
  {
    title: "Nagle: one small segment may be under way, the second waits for its ACK",
    script: `${SERVER}
     0.1 write 10
     0.1 > P. 1:11(10) ack 1
     0.1 write 10
     0.1 write 10
     0.1 quiet
     0.2 < . 1:1(0) ack 11
     0.2 > P. 11:31(20) ack 1
     0.3 < . 1:1(0) ack 31`,
  },
  {
    title: "TCP_NODELAY: every write goes at once",
    script: `${SERVER}
     0.1 write 10
     0.1 > P. 1:11(10) ack 1
     0.1 write 10
     0.1 > P. 11:21(10) ack 1
     0.2 < . 1:1(0) ack 21`,
    setup: { options: { noDelay: true } },
  },
  {
    title: "the peer's window limits what is under way",
    script: `0.0 listen
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
  },
  {
    title: "zero window: probes at RTO, doubling; a window update lets the data go",
    script: `0.0 listen
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
  },
  {
    title: "our window closes as data waits, and opens when the program reads",
    notOnKernel: "the window follows truesize, which we do not model",
    script: `0.0 listen
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
    setup: { options: { rcvbuf: 16_384 } },
  },
  {
    title: "data for a closed window: dropped, answered with the window",
    notOnKernel: "the window follows truesize, which we do not model",
    script: `0.0 listen
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
    setup: { options: { rcvbuf: 4000 } },
  },
  {
    title: "old data is acknowledged again, with D-SACK (RFC 2883)",
    script: `${SACK_SERVER}
     0.2 < P. 1:101(100) ack 1
     0.2 > . 1:1(0) ack 101
     0.3 < P. 1:101(100) ack 1
     0.3 > . 1:1(0) ack 101 <nop,nop,sack 1:101>`,
  },
  {
    title: "a segment that overlaps what is there: the new part is taken, the old one reported",
    script: `${SACK_SERVER}
     0.2 < P. 1:101(100) ack 1
     0.2 > . 1:1(0) ack 101
     0.3 < P. 51:151(100) ack 1
     0.3 > . 1:1(0) ack 151 <nop,nop,sack 51:101>
     0.3 read 200 = 150`,
  },
  {
    title: "out of order: SACK blocks, the newest first; filling the hole acknowledges all",
    script: `${SACK_SERVER}
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
  },
  {
    title: "five holes: four blocks fit without timestamps",
    script: `${SACK_SERVER}
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
  },
  {
    title: "three blocks with timestamps (K 5.3)",
    script: `${FULL_SERVER}
     0.2 < P. 101:102(1) ack 1 win 512 <nop,nop,TS val 1200 ecr 0>
     0.2 > . 1:1(0) ack 1
     0.2 < P. 201:202(1) ack 1 win 512 <nop,nop,TS val 1200 ecr 0>
     0.2 > . 1:1(0) ack 1
     0.2 < P. 301:302(1) ack 1 win 512 <nop,nop,TS val 1200 ecr 0>
     0.2 > . 1:1(0) ack 1
     0.2 < P. 401:402(1) ack 1 win 512 <nop,nop,TS val 1200 ecr 0>
     0.2 > . 1:1(0) ack 1 <nop,nop,TS,nop,nop,sack 401:402 301:302 201:202>`,
  },
  {
    title: "a duplicate out of order is reported before its block",
    script: `${SACK_SERVER}
     0.2 < P. 101:201(100) ack 1
     0.2 > . 1:1(0) ack 1 <nop,nop,sack 101:201>
     0.2 < P. 121:141(20) ack 1
     0.2 > . 1:1(0) ack 1 <nop,nop,sack 121:141 101:201>`,
  },
  {
    title: "without SACK every segment out of order is answered all the same",
    script: `${SERVER}
     0.2 < P. 101:201(100) ack 1
     0.2 > . 1:1(0) ack 1 <>
     0.2 < P. 201:301(100) ack 1
     0.2 > . 1:1(0) ack 1 <>
     0.3 < P. 1:101(100) ack 1
     0.3 > . 1:1(0) ack 301`,
  },
  {
    title: "FIN out of order: nothing ends before the hole is filled",
    script: `${SERVER}
     0.2 < FP. 101:201(100) ack 1
     0.2 > . 1:1(0) ack 1
     0.2 state ESTABLISHED
     0.3 < P. 1:101(100) ack 1
     0.3 > . 1:1(0) ack 202
     0.3 state CLOSE_WAIT
     0.3 read 500 = 200
     0.3 read 500 = 0`,
  },
  {
    title: "a segment behind the window is dropped and answered",
    script: `${SERVER}
     0.2 < P. 65001:65101(100) ack 1
     0.2 > . 1:1(0) ack 1`,
  },
  {
    title: "PAWS: an old timestamp is dropped and answered (RFC 7323 5)",
    script: `${FULL_SERVER}
     0.2 < P. 1:101(100) ack 1 win 512 <nop,nop,TS val 500 ecr 0>
     0.2 > . 1:1(0) ack 1
     0.2 read 10 = EAGAIN`,
  },
  {
    title: "write after shutdown is EPIPE; read on nothing is EAGAIN",
    script: `${SERVER}
     0.1 read 10 = EAGAIN
     0.1 shutdown
     0.1 > F. 1:1(0) ack 1
     0.1 < . 1:1(0) ack 2
     0.1 write 10 = EPIPE`,
  },
  {
    title: "SO_SNDBUF: a full buffer takes nothing, an ACK makes room",
    notOnKernel: "the kernel counts truesize",
    script: `0.0 listen
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
    setup: { options: { sndbuf: 3000 } },
  },
  {
    title: "backlog: a full accept queue drops SYN and final ACK in silence (K 5.3)",
    script: `0.0 listen
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
    setup: { backlog: 1 },
  },
  {
    title: "keepalive: an answer ends the probes until the next silence",
    script: `${SERVER}
     10.0 > . 0:0(0) ack 1
     10.1 < . 1:1(0) ack 1
     20.1 > . 0:0(0) ack 1
     20.2 < . 1:1(0) ack 1
     20.2 abort
     20.2 > R. 1:1(0) ack 1`,
    setup: { options: { keepAlive: true, keepIdle: 10e9, keepInterval: 1e9, keepCount: 3 } },
  },
  {
    title: "out of order and again: its D-SACK, and its block in front of the other (RFC 2883, 2018 4)",
    script: `${SACK_SERVER}
     0.2 < . 1001:2001(1000) ack 1
     0.2 > . 1:1(0) ack 1 <nop,nop,sack 1001:2001>
     0.22 < . 3001:4001(1000) ack 1
     0.22 > . 1:1(0) ack 1 <nop,nop,sack 3001:4001 1001:2001>
     0.24 < . 1001:2001(1000) ack 1
     0.24 > . 1:1(0) ack 1 <nop,nop,sack 1001:2001 1001:2001 3001:4001>`,
  },
  {
    title: "the first data comes out of order: what follows the hole is acknowledged at once",
    script: `${SACK_SERVER}
     0.2 < . 1001:2001(1000) ack 1
     0.2 > . 1:1(0) ack 1 <nop,nop,sack 1001:2001>
     0.22 < . 1:1001(1000) ack 1
     0.22 > . 1:1(0) ack 2001
     0.24 < . 2001:3001(1000) ack 1
     0.24 > . 1:1(0) ack 3001`,
  },
];
