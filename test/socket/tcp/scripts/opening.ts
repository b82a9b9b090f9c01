// Opening, in the order of RFC 9293 3.10.7, with the constants of kube-proxy.md 5.2 and 5.3.

import { SERVER } from "../established.ts";
import type { Timeline } from "../timeline.ts";

export const OPENING: readonly Timeline[] = [
  {
    title: "SYN-ACK has what the SYN asked for: nothing but MSS",
    script: SERVER,
  },
  {
    title: "SYN-ACK with every option, window 65160 (K 5.3)",
    script: `0.0 listen
     0.0 < S 0:0(0) win 64240 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>
     0.0 > S. 0:0(0) ack 1 win 65160 <mss 1460,sackOK,TS,nop,wscale 10>`,
  },
  {
    title: "client: SYN of 40 header bytes, window 64240 (K 5.3), then the ACK",
    script: `0.0 connect
     0.0 > S 0:0(0) win 64240 <mss 1460,sackOK,TS,nop,wscale 10>
     0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460>
     0.1 > . 1:1(0) ack 1 win 64240
     0.1 state ESTABLISHED`,
  },
  {
    title: "a SYN again is answered again, but not twice in 500 ms",
    script: `0.0 listen
     0.0 < S 0:0(0)
     0.0 > S. 0:0(0) ack 1
     0.1 < S 0:0(0)
     0.1 > S. 0:0(0) ack 1
     0.2 < S 0:0(0)
     0.2 quiet`,
  },
];
