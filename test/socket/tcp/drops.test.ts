// Every way a segment ends without being of use has a name: the drop reasons of TCP, each provoked once.

import test from "ava";
import { Drop } from "../../../src/node/drop.ts";
import { FULL_SERVER, SERVER } from "./established.ts";
import { play, type Setup } from "./timeline.ts";

const CLOSING = `${SERVER}
  0.1 close
  0.1 > F. 1:1(0) ack 1`;

const rows: readonly (readonly [keyof typeof Drop, string, Setup?])[] = [
  ["TCP_FLAGS", `${SERVER}\n 0.1 < P 1:101(100)`],
  ["TCP_OLD_SEQUENCE", `${SERVER}\n 0.1 < . 0:0(0) ack 1\n 0.1 > . 1:1(0) ack 1`],
  ["TCP_INVALID_SEQUENCE", `${SERVER}\n 0.1 < . 70000:70000(0) ack 1\n 0.1 > . 1:1(0) ack 1`],
  [
    "TCP_INVALID_END_SEQUENCE",
    `${SERVER}
     0.1 < P. 1:101(100) ack 1
     0.1 > . 1:1(0) ack 101
     0.1 < P. 64201:64401(200) ack 1
     0.1 > . 1:1(0) ack 101`,
    { options: { rcvbuf: 131_072 } },
  ],
  [
    "TCP_RFC7323_PAWS",
    `${FULL_SERVER}
     0.2 < P. 1:101(100) ack 1 win 512 <nop,nop,TS val 500 ecr 0>
     0.2 > . 1:1(0) ack 1`,
  ],
  ["TCP_RESET", `${SERVER}\n 0.1 < R 2:2(0)\n 0.1 > . 1:1(0) ack 1`],
  ["TCP_INVALID_SYN", `${SERVER}\n 0.1 < S 1:1(0)\n 0.1 > . 1:1(0) ack 1`],
  [
    "TCP_OLD_ACK",
    `0.0 connect
     0.0 > S 0:0(0)
     0.1 < S 0:0(0) win 65535 <mss 1000>
     0.1 > S. 0:0(0) ack 1
     0.2 < . 1:1(0) ack -5
     0.2 > R -5:-5(0)`,
  ],
  ["TCP_TOO_OLD_ACK", `${SERVER}\n 0.1 < . 1:1(0) ack -70000\n 0.1 > . 1:1(0) ack 1`],
  ["TCP_ACK_UNSENT_DATA", `${SERVER}\n 0.1 < . 1:1(0) ack 5000\n 0.1 > . 1:1(0) ack 1`],
  [
    "TCP_INVALID_ACK_SEQUENCE",
    `0.0 connect
     0.0 > S 0:0(0)
     0.1 < . 500:500(0) ack 1000
     0.1 > R 1000:1000(0)
     0.1 abort`,
  ],
  ["TCP_OVERWINDOW", `${SERVER}\n 0.1 < P. 64241:64341(100) ack 1\n 0.1 > . 1:1(0) ack 1`],
  [
    "TCP_OLD_DATA",
    `${SERVER}
     0.1 < P. 1:101(100) ack 1
     0.1 > . 1:1(0) ack 101
     0.1 < P. 1:101(100) ack 1
     0.1 > . 1:1(0) ack 101`,
  ],
  ["TCP_ABORT_ON_DATA", `${CLOSING}\n 0.2 < P. 1:101(100) ack 2\n 0.2 > R 2:2(0)`],
  [
    "TCP_LISTEN_OVERFLOW",
    `0.0 listen
     0.0 < S 0:0(0) from 1
     0.0 > S. 0:0(0) ack 1
     0.0 < . 1:1(0) ack 1 from 1
     0.0 < S 0:0(0) from 2`,
    { backlog: 0 },
  ],
];

for (const [reason, script, setup] of rows) {
  test(reason, (t) => {
    const { k } = play(t, script, setup);
    let count = 0;
    for (let r = 0; r < k.drops.rows.used; r++) {
      if (k.drops.reason[r] === Drop[reason]) count += k.drops.packets[r]!;
    }
    t.true(count >= 1, `${reason} was not counted`);
  });
}
