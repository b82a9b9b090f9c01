// Opening and closing, in the order of RFC 9293 3.10.7, with the schedules of kube-proxy.md 5.2 and 5.3.

import test from "ava";
import { SERVER } from "./established.ts";
import { play } from "./timeline.ts";

const lines = (...parts: string[]): string => parts.join("\n");

test("SYN-ACK has what the SYN asked for: nothing but MSS", (t) => {
  play(t, SERVER);
});

test("SYN-ACK with every option, window 65160 (K 5.3)", (t) => {
  play(
    t,
    `0.0 listen
     0.0 < S 0:0(0) win 64240 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>
     0.0 > S. 0:0(0) ack 1 win 65160 <mss 1460,sackOK,TS,nop,wscale 10>`,
  );
});

test("client: SYN of 40 header bytes, window 64240 (K 5.3), then the ACK", (t) => {
  play(
    t,
    `0.0 connect
     0.0 > S 0:0(0) win 64240 <mss 1460,sackOK,TS,nop,wscale 10>
     0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460>
     0.1 > . 1:1(0) ack 1 win 64240
     0.1 state ESTABLISHED`,
  );
});

test("SYN retransmissions at 1, 2, 3, 4, 5, 7, 11, 19, 35, 67 s; ETIMEDOUT at 131 s (K 5.3)", (t) => {
  const again = [1, 2, 3, 4, 5, 7, 11, 19, 35, 67].map((s) => `${s}.0 > S 0:0(0)`);
  play(
    t,
    lines(
      "0.0 connect",
      "0.0 > S 0:0(0)",
      ...again,
      "130.9 state SYN_SENT",
      "131.0 state CLOSE",
      "131.0 error ETIMEDOUT",
    ),
  );
});

test("SYN-ACK retransmissions at 1, 3, 7, 15, 31 s, then given up (K 5.3)", (t) => {
  const again = [1, 3, 7, 15, 31].map((s) => `${s}.0 > S. 0:0(0) ack 1`);
  play(
    t,
    lines(
      "0.0 listen",
      "0.0 < S 0:0(0) win 65535",
      "0.0 > S. 0:0(0) ack 1",
      ...again,
      "62.9 quiet",
      "64 < . 1:1(0) ack 1",
      "64 > R 1:1(0)",
    ),
  );
});

test("a SYN again is answered again, but not twice in 500 ms", (t) => {
  play(
    t,
    `0.0 listen
     0.0 < S 0:0(0)
     0.0 > S. 0:0(0) ack 1
     0.1 < S 0:0(0)
     0.1 > S. 0:0(0) ack 1
     0.2 < S 0:0(0)
     0.2 quiet`,
  );
});

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
