// Loss: time-outs, probes, recovery (RFC 6298, 5681, 6675, 8985, 6937), ICMP errors as Linux treats them.

import { FULL_SERVER, SACK_SERVER, SERVER } from "../established.ts";
import type { Timeline } from "../timeline.ts";

/** Ten segments of 1000 bytes go out at 0.2. */
const segments = Array.from({ length: 10 }, (_, i) => {
  const seq = 1 + i * 1000;
  return `0.2 > ${i === 9 ? "P." : "."} ${seq}:${seq + 1000}(1000) ack 1`;
});
const TEN = ["0.2 write 10000", ...segments].join("\n");

export const LOSS: readonly Timeline[] = [
  {
    title: "RTO without SACK: 200 ms over the round trip, doubling",
    script: `0.0 listen
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
  },
  {
    title: "tail loss probe after two round trips and 200 ms, then the RTO (RFC 8985 7)",
    script: `${SACK_SERVER}
     0.2 write 100
     0.2 > P. 1:101(100) ack 1
     0.5 > P. 1:101(100) ack 1
     0.6 < . 1:1(0) ack 101`,
  },
  {
    title: "three SACKed segments: the hole is sent again at once, the window falls to 0.7 and grows on",
    script: `${SACK_SERVER}
     ${TEN}
     0.3 < . 1:1(0) ack 1 <sack 1001:2001>
     0.3 < . 1:1(0) ack 1 <sack 1001:3001>
     0.3 quiet
     0.3 < . 1:1(0) ack 1 <sack 1001:4001>
     0.3 > . 1:1001(1000) ack 1
     0.4 < . 1:1(0) ack 10001
     0.4 cwnd 8`,
  },
  {
    title: "NewReno without SACK: the third duplicate, then one hole per partial ACK (RFC 6582)",
    script: `0.0 listen
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
    setup: { options: { congestion: 1 } },
  },
  {
    title: "two segments SACKed: reordering is waited for, a quarter of the round trip (RFC 8985 6.2)",
    script: `${SACK_SERVER}
     0.2 write 3000
     0.2 > . 1:1001(1000) ack 1
     0.2 > . 1001:2001(1000) ack 1
     0.2 > P. 2001:3001(1000) ack 1
     0.3 < . 1:1(0) ack 1 <sack 1001:3001>
     0.327 > . 1:1001(1000) ack 1
     0.4 < . 1:1(0) ack 3001`,
  },
  {
    title: "RTO: slow start from one segment, what was SACKed is not sent again",
    script: `${SACK_SERVER}
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
  },
  {
    title: "a time-out that was none is undone by the timestamp echo (RFC 3522)",
    script: `${FULL_SERVER}
     0.2 write 100
     0.2 > P. 1:101(100) ack 1
     0.5 > P. 1:101(100) ack 1
     0.6 < . 1:1(0) ack 101 win 512 <nop,nop,TS val 1600 ecr 200>
     0.6 cwnd 10`,
  },
  {
    title: "ICMP fragmentation needed: segments get smaller at once (RFC 1191)",
    script: `${SERVER}
     0.2 write 1460
     0.2 > P. 1:1461(1460) ack 1
     0.3 < icmp 3/4 mtu 1000
     0.3 > . 1:961(960) ack 1
     0.3 > P. 961:1461(500) ack 1
     0.4 < . 1:1(0) ack 1461`,
  },
  {
    title: "ICMP fragmentation needed about what was never sent teaches nothing (RFC 5927)",
    script: `${SERVER}
     0.2 write 1460
     0.2 > P. 1:1461(1460) ack 1
     0.3 < icmp 3/4 mtu 1000 seq 100000
     0.3 quiet
     0.31 < . 1:1(0) ack 1461
     0.31 write 1460
     0.31 > P. 1461:2921(1460) ack 1
     0.32 < . 1:1(0) ack 2921`,
  },
  {
    title: "ICMP port unreachable in ESTABLISHED is soft: the error of the time-out, no earlier",
    script: `${SERVER}
     0.2 write 100
     0.2 > P. 1:101(100) ack 1
     0.3 < icmp 3/3
     0.3 state ESTABLISHED
     0.3 error ECONNREFUSED
     0.3 error none
     0.35 < . 1:1(0) ack 101`,
  },
  {
    title: "ICMP host unreachable undoes one back-off (RFC 6069)",
    script: `0.0 listen
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
  },
  {
    title: "RST in answer to a SYN: ECONNREFUSED",
    script: `0.0 connect
     0.0 > S 0:0(0)
     0.1 < R. 0:0(0) ack 1
     0.1 state CLOSE
     0.1 error ECONNREFUSED`,
  },
  {
    title: "RST without the right ACK does not stop connecting",
    script: `0.0 connect
     0.0 > S 0:0(0)
     0.1 < R 0:0(0)
     0.1 < R. 0:0(0) ack 1000
     0.1 state SYN_SENT
     0.102 > S 0:0(0)`,
  },
  {
    title: "a wrong ACK while connecting is reset, and the SYN goes again (RFC 9293 3.5.2, figure 8)",
    script: `0.0 connect
     0.0 > S 0:0(0)
     0.1 < . 500:500(0) ack 1000
     0.1 > R 1000:1000(0)
     0.102 > S 0:0(0)
     0.2 < S. 0:0(0) ack 1
     0.2 > . 1:1(0) ack 1`,
  },
  {
    title: "simultaneous open (RFC 9293 figure 7)",
    script: `0.0 connect
     0.0 > S 0:0(0)
     0.1 < S 0:0(0) win 65535 <mss 1000>
     0.1 > S. 0:0(0) ack 1
     0.1 state SYN_RECV
     0.2 < S. 0:0(0) ack 1 win 65535 <mss 1000>
     0.2 state ESTABLISHED
     0.2 > . 1:1(0) ack 1`,
  },
  {
    title: "TCP_USER_TIMEOUT ends the silence sooner (RFC 5482)",
    script: `${SERVER}
     0.2 write 100
     0.2 > P. 1:101(100) ack 1
     0.400001 > P. 1:101(100) ack 1
     0.800003 > P. 1:101(100) ack 1
     1.600007 state CLOSE
     1.600007 error ETIMEDOUT`,
    setup: { options: { userTimeout: 1e9 } },
  },
  {
    title: "after idle the congestion window starts again from ten (RFC 5681 4.1)",
    script: `${SACK_SERVER}
     ${TEN}
     0.3 < . 1:1(0) ack 10001
     0.3 cwnd 20
     60 write 10
     60 > P. 10001:10011(10) ack 1
     60 cwnd 10
     60.1 < . 1:1(0) ack 10011`,
  },
];
