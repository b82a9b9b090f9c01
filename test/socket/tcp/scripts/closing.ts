// How connections end: RFC 9293 3.6 and 3.10.7, RFC 5961, RFC 1122 4.2.2.13, TIME-WAIT (K 5.3).

import { SERVER } from "../established.ts";
import type { Timeline } from "../timeline.ts";

export const CLOSING: readonly Timeline[] = [
  {
    title: "active close: FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT for 60 s",
    script: `${SERVER}
     0.1 shutdown
     0.1 > F. 1:1(0) ack 1
     0.1 state FIN_WAIT1
     0.2 < . 1:1(0) ack 2
     0.2 state FIN_WAIT2
     0.3 < F. 1:1(0) ack 2
     0.3 > . 2:2(0) ack 2
     0.3 state TIME_WAIT
     60.2 state TIME_WAIT
     60.3 state CLOSE
     60.3 < . 2:2(0) ack 2
     60.3 > R 2:2(0)`,
  },
  {
    title: "passive close: CLOSE-WAIT, LAST-ACK",
    script: `${SERVER}
     0.1 < F. 1:1(0) ack 1
     0.1 > . 1:1(0) ack 2
     0.2 state CLOSE_WAIT
     0.2 read 10 = 0
     0.2 shutdown
     0.2 > F. 1:1(0) ack 2
     0.2 state LAST_ACK
     0.3 < . 2:2(0) ack 2
     0.3 state CLOSE`,
  },
  {
    title: "half-close: after our FIN the peer still sends, and is heard",
    script: `${SERVER}
     0.1 shutdown
     0.1 > F. 1:1(0) ack 1
     0.1 < . 1:1(0) ack 2
     0.2 < P. 1:101(100) ack 2
     0.2 > . 2:2(0) ack 101
     0.2 read 200 = 100
     0.3 < F. 101:101(0) ack 2
     0.3 > . 2:2(0) ack 102
     0.3 state TIME_WAIT`,
  },
  {
    title: "half-close the other way: after the peer's FIN we still send",
    script: `${SERVER}
     0.1 < F. 1:1(0) ack 1
     0.1 > . 1:1(0) ack 2
     0.2 write 100
     0.2 > P. 1:101(100) ack 2
     0.2 < . 2:2(0) ack 101
     0.3 shutdown
     0.3 > F. 101:101(0) ack 2
     0.3 < . 2:2(0) ack 102
     0.3 state CLOSE`,
  },
  {
    title: "simultaneous close: CLOSING, then TIME-WAIT",
    script: `${SERVER}
     0.1 shutdown
     0.1 > F. 1:1(0) ack 1
     0.1 < F. 1:1(0) ack 1
     0.1 > . 2:2(0) ack 2
     0.1 state CLOSING
     0.2 < . 2:2(0) ack 2
     0.2 state TIME_WAIT`,
  },
  {
    title: "FIN with the ACK of our FIN: TIME-WAIT at once",
    script: `${SERVER}
     0.1 shutdown
     0.1 > F. 1:1(0) ack 1
     0.1 < F. 1:1(0) ack 2
     0.1 > . 2:2(0) ack 2
     0.1 state TIME_WAIT`,
  },
  {
    title: "data and FIN go in one segment",
    script: `${SERVER}
     0.1 write 100
     0.1 > P. 1:101(100) ack 1
     0.1 write 50
     0.1 quiet
     0.1 shutdown
     0.1 > FP. 101:151(50) ack 1
     0.2 < . 1:1(0) ack 152`,
  },
  {
    title: "TIME-WAIT answers a FIN that comes again, and waits 60 s from then",
    script: `${SERVER}
     0.1 shutdown
     0.1 > F. 1:1(0) ack 1
     0.1 < F. 1:1(0) ack 2
     0.1 > . 2:2(0) ack 2
     20.0 < F. 1:1(0) ack 2
     20.0 > . 2:2(0) ack 2
     79.9 state TIME_WAIT
     80.0 state CLOSE`,
  },
  {
    title: "TIME-WAIT takes a new SYN beyond the old numbers (RFC 6191)",
    script: `${SERVER}
     0.1 shutdown
     0.1 > F. 1:1(0) ack 1
     0.1 < F. 1:1(0) ack 2
     0.1 > . 2:2(0) ack 2
     1.0 < S 5000:5000(0) win 65535 <mss 1460>
     1.0 > S. 65539:65539(0) ack 5001 <mss 1460>`,
  },
  {
    title: "TIME-WAIT answers an old SYN with an ACK",
    script: `${SERVER}
     0.1 shutdown
     0.1 > F. 1:1(0) ack 1
     0.1 < F. 1:1(0) ack 2
     0.1 > . 2:2(0) ack 2
     1.0 < S -100:-100(0) win 65535
     1.0 > . 2:2(0) ack 2`,
  },
  {
    title: "a reset ends TIME-WAIT",
    script: `${SERVER}
     0.1 shutdown
     0.1 > F. 1:1(0) ack 1
     0.1 < F. 1:1(0) ack 2
     0.1 > . 2:2(0) ack 2
     1.0 < R 2:2(0)
     1.0 state CLOSE`,
  },
  {
    title: "close() in FIN-WAIT-2 waits 60 s for the peer's FIN",
    script: `${SERVER}
     0.1 close
     0.1 > F. 1:1(0) ack 1
     0.2 < . 1:1(0) ack 2
     60.1 < F. 1:1(0) ack 2
     60.1 > . 2:2(0) ack 2`,
  },
  {
    title: "close() in FIN-WAIT-2: after 60 s the connection is gone",
    script: `${SERVER}
     0.1 close
     0.1 > F. 1:1(0) ack 1
     0.2 < . 1:1(0) ack 2
     60.3 < F. 1:1(0) ack 2
     60.3 > R 2:2(0)`,
  },
  {
    title: "close() with unread data is a reset",
    script: `${SERVER}
     0.1 < P. 1:101(100) ack 1
     0.1 > . 1:1(0) ack 101
     0.2 close
     0.2 > R. 1:1(0) ack 101`,
  },
  {
    title: "data for a program that has closed is answered with a reset",
    script: `${SERVER}
     0.1 close
     0.1 > F. 1:1(0) ack 1
     0.2 < P. 1:101(100) ack 2
     0.2 > R 2:2(0)`,
  },
  {
    title: "data behind the peer's own FIN is answered with a reset",
    script: `${SERVER}
     0.1 < F. 1:1(0) ack 1
     0.1 > . 1:1(0) ack 2
     0.2 < P. 1:101(100) ack 1
     0.2 > R 1:1(0)
     0.2 state CLOSE
     0.2 error EPIPE`,
  },
  {
    title: "of two FINs out of order the first in the stream counts",
    script: `${SERVER}
     0.1 < F. 301:301(0) ack 1
     0.1 > . 1:1(0) ack 1
     0.1 < FP. 101:201(100) ack 1
     0.1 > . 1:1(0) ack 1
     0.2 < P. 1:101(100) ack 1
     0.2 > . 1:1(0) ack 202
     0.2 read 1000 = 200
     0.2 read 10 = 0`,
  },
  {
    title: "abort() sends a reset at once, unsent data is lost",
    script: `${SERVER}
     0.1 abort
     0.1 > R. 1:1(0) ack 1
     0.2 < . 1:1(0) ack 1
     0.2 > R 1:1(0)`,
  },
  {
    title: "RST at RCV.NXT: ECONNRESET",
    script: `${SERVER}
     0.1 < R 1:1(0)
     0.1 state CLOSE
     0.1 read 10 = ECONNRESET
     0.1 read 10 = 0`,
  },
  {
    title: "RST elsewhere in the window: challenge ACK, one in 500 ms (RFC 5961 3)",
    script: `${SERVER}
     0.1 < R 2:2(0)
     0.1 > . 1:1(0) ack 1
     0.2 < R 3:3(0)
     0.2 quiet
     0.7 < R 3:3(0)
     0.7 > . 1:1(0) ack 1
     0.7 state ESTABLISHED`,
  },
  {
    title: "RST outside the window: silence",
    script: `${SERVER}
     0.1 < R 70000:70000(0)
     0.1 < R 0:0(0)
     0.1 quiet
     0.1 state ESTABLISHED`,
  },
  {
    title: "RST after the peer's FIN is EPIPE to the writer",
    script: `${SERVER}
     0.1 < F. 1:1(0) ack 1
     0.1 > . 1:1(0) ack 2
     0.2 < R 2:2(0)
     0.2 write 10 = EPIPE`,
  },
  {
    title: "RST with the number of the peer's FIN is taken in CLOSE-WAIT",
    script: `${SERVER}
     0.1 < F. 1:1(0) ack 1
     0.1 > . 1:1(0) ack 2
     0.2 < R 1:1(0)
     0.2 state CLOSE`,
  },
  {
    title: "RST behind a hole, at the end of the last SACK block, is taken",
    script: `0.0 listen
     0.0 < S 0:0(0) win 65535 <mss 1460,sackOK>
     0.0 > S. 0:0(0) ack 1
     0.0 < . 1:1(0) ack 1
     0.0 accept
     0.1 < P. 101:201(100) ack 1
     0.1 > . 1:1(0) ack 1 <nop,nop,sack 101:201>
     0.2 < R 201:201(0)
     0.2 state CLOSE`,
  },
  {
    title: "SYN in the window: challenge ACK (RFC 5961 4)",
    script: `${SERVER}
     0.1 < S 1:1(0)
     0.1 > . 1:1(0) ack 1
     0.7 < S. 500:500(0) ack 1
     0.7 > . 1:1(0) ack 1
     0.7 state ESTABLISHED`,
  },
  {
    title: "an ACK of what was never sent is challenged",
    script: `${SERVER}
     0.1 < P. 1:101(100) ack 5000
     0.1 > . 1:1(0) ack 1
     0.1 shutdown
     0.1 > F. 1:1(0) ack 1
     0.15 < . 1:1(0) ack 5000
     0.15 quiet
     0.15 state FIN_WAIT1
     0.2 < . 1:1(0) ack 2`,
  },
  {
    title: "an ACK too old is challenged (RFC 5961 5)",
    script: `${SERVER}
     0.1 < . 1:1(0) ack -70000
     0.1 > . 1:1(0) ack 1`,
  },
  {
    title: "no ACK flag: dropped in silence",
    script: `${SERVER}
     0.1 < P 1:101(100)
     0.1 < - 1:101(100)
     0.1 quiet`,
  },
  {
    title: "closing a listener: requests go in silence, connections nobody accepted with a reset",
    script: `0.0 listen
     0.0 < S 0:0(0) win 65535 from 40001
     0.0 > S. 0:0(0) ack 1
     0.0 < S 0:0(0) win 65535 <mss 1460>
     0.0 > S. 0:0(0) ack 1
     0.0 < . 1:1(0) ack 1
     0.1 close-listener
     0.1 > R. 1:1(0) ack 1
     10.0 quiet`,
  },
];
