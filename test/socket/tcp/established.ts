// The first lines of many timelines.

/** An established connection without options, the host being the server; both numbers are 1. */
export const SERVER = `
  0.0 listen
  0.0 < S 0:0(0) win 65535 <mss 1460>
  0.0 > S. 0:0(0) ack 1 win 64240 <mss 1460>
  0.0 < . 1:1(0) ack 1
  0.0 accept
`;

/** With SACK. */
export const SACK_SERVER = `
  0.0 listen
  0.0 < S 0:0(0) win 65535 <mss 1000,sackOK>
  0.0 > S. 0:0(0) ack 1
  0.1 < . 1:1(0) ack 1
  0.1 accept
`;

/** With every option; the round trip is 100 ms. */
export const FULL_SERVER = `
  0.0 listen
  0.0 < S 0:0(0) win 65535 <mss 1012,sackOK,TS val 1000 ecr 0,nop,wscale 7>
  0.0 > S. 0:0(0) ack 1 <mss 1460,sackOK,TS,nop,wscale 10>
  0.1 < . 1:1(0) ack 1 win 512 <nop,nop,TS val 1100 ecr 0>
  0.1 accept
`;
