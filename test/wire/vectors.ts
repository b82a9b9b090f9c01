// Frames of a real Linux 6.18.44 kernel, and what tcpdump 4.99.3 says about each. Three namespaces in a row,
//   A 10.1.0.1/24 (02:00:00:00:00:0a) -- 10.1.0.254 R (02:00:00:00:00:f0) 10.2.0.254 -- 10.2.0.1/24 B
// joined by veth pairs with `ethtool -K eth0 tx off rx off tso off gso off gro off sg off`, R forwarding and
// its side of B at MTU 1400. The traffic comes from python3 sockets in A; `tcpdump -i eth0 -w a.pcap` ran in
// A; the text is `tcpdump -ntS -r a.pcap` (port 8080 shows ": HTTP" behind TCP data there; it is left out
// here). Where a vector needed more than a plain send, the comment says what. The tag of `tagged` was put on
// by hand: this kernel has no 8021q.

export interface Vector {
  readonly hex: string;
  readonly text: string;
}

// first packet to the gateway
export const arpRequest: Vector = {
  hex: "ffffffffffff02000000000a0806000108000604000102000000000a0a0100010000000000000a0100fe",
  text: "ARP, Request who-has 10.1.0.254 tell 10.1.0.1, length 28",
};

export const arpReply: Vector = {
  hex: "02000000000a0200000000f0080600010800060400020200000000f00a0100fe02000000000a0a010001",
  text: "ARP, Reply 10.1.0.254 is-at 02:00:00:00:00:f0, length 28",
};

// socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP) bound to 77, 16 bytes
export const echoRequest: Vector = {
  hex:
    "0200000000f002000000000a08004500002c25ca4000400101030a0100010a0200010800bf71004d0001000102030405" +
    "060708090a0b0c0d0e0f",
  text: "IP 10.1.0.1 > 10.2.0.1: ICMP echo request, id 77, seq 1, length 24",
};

export const echoReply: Vector = {
  hex:
    "02000000000a0200000000f008004500002c677300003f01005a0a0200010a0100010000c771004d0001000102030405" +
    "060708090a0b0c0d0e0f",
  text: "IP 10.2.0.1 > 10.1.0.1: ICMP echo reply, id 77, seq 1, length 24",
};

// port 4001, sendto(b"hello", ("10.2.0.1", 9000)), a bound port
export const udpHello: Vector = {
  hex: "0200000000f002000000000a0800450000217a7c40004011ac4b0a0100010a0200010fa12328000d753468656c6c6f",
  text: "IP 10.1.0.1.4001 > 10.2.0.1.9000: UDP, length 5",
};

// the same with SO_NO_CHECK
export const udpNoChecksum: Vector = {
  hex: "0200000000f002000000000a0800450000207aa140004011ac270a0100010a0200010fa12328000c00006e6f6e65",
  text: "IP 10.1.0.1.4001 > 10.2.0.1.9000: UDP, length 4",
};

// IP_TOS 0x28, to the closed port 9001, and B's answer
export const udpTos: Vector = {
  hex:
    "0200000000f002000000000a0800452800237ac340004011abda0a0100010a0200010fa12329000f5fbd636c6f736564" + "21",
  text: "IP 10.1.0.1.4001 > 10.2.0.1.9001: UDP, length 7",
};

export const portUnreachable: Vector = {
  hex:
    "02000000000a0200000000f0080045c8003f67c800003f01ff290a0200010a0100010303112200000000452800237ac3" +
    "40003f11acda0a0100010a0200010fa12329000f5fbd636c6f73656421",
  text: "IP 10.2.0.1 > 10.1.0.1: ICMP 10.2.0.1 udp port 9001 unreachable, length 43",
};

// IP_TTL 1
export const ttlExceeded: Vector = {
  hex:
    "02000000000a0200000000f0080045c0003b6ab400004001fa4d0a0100fe0a0100010b000921000000004500001f7ae1" +
    "40000111eae80a0100010a0200010fa12328000bd89574746c",
  text: "IP 10.1.0.254 > 10.1.0.1: ICMP time exceeded in-transit, length 39",
};

// 80 bytes with IP_PMTUDISC_PROBE while the far side of R had MTU 100
export const fragNeeded: Vector = {
  hex:
    "02000000000a0200000000f0080045c000882c250000400138900a0100fe0a01000103041106000000644500006c0000" +
    "40004011267d0a0100010a0200010fa123280058b8700000000000000000000000000000000000000000000000000000" +
    "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" +
    "000000000000",
  text: "IP 10.1.0.254 > 10.1.0.1: ICMP 10.2.0.1 unreachable - need to frag (mtu 100), length 116",
};

// to 10.2.0.77, which answers no ARP
export const hostUnreachable: Vector = {
  hex:
    "02000000000a0200000000f0080045c0003e6d2e00004001f7d00a0100fe0a0100010301116f0000000045000022ce26" +
    "40003f1159540a0100010a02004d0fa12328000e6e656e6f686f7374",
  text: "IP 10.1.0.254 > 10.1.0.1: ICMP host 10.2.0.77 unreachable, length 42",
};

// an echo to 10.9.0.2, for which R has no route
export const netUnreachable: Vector = {
  hex:
    "02000000000a0200000000f0080045c000486d6600004001f78e0a0100fe0a0100010300fcff000000004500002c3001" +
    "40004001f6c30a0100010a0900020800bf71004d0001000102030405060708090a0b0c0d0e0f",
  text: "IP 10.1.0.254 > 10.1.0.1: ICMP net 10.9.0.2 unreachable, length 52",
};

// IP protocol 200 from a raw socket, and B's answer
export const protocolUnreachable: Vector = {
  hex:
    "02000000000a0200000000f0080045c000386c7000003f01fa900a0200010a01000103026b68000000004500001c5cc3" +
    "40003fc8ca520a0100010a0200016162636465666768",
  text: "IP 10.2.0.1 > 10.1.0.1: ICMP 10.2.0.1 protocol 200 unreachable, length 36",
};

// R about a record route with pointer 3 (sent through AF_PACKET)
export const parameterProblem: Vector = {
  hex:
    "02000000000a0200000000f0080045c000401f650000400145980a0100fe0a0100010c00f31916000000470000240000" +
    "0000401159c20a0100010a0100fe07070300000000000fa123310008b80b",
  text: "IP 10.1.0.254 > 10.1.0.1: ICMP parameter problem - octet 22, length 44",
};

// IP_OPTIONS 07 0b 04 and eight zeros
export const recordRoute: Vector = {
  hex:
    "0200000000f002000000000a08004800002a7b944000401197150a0100010a020001070b080a01000100000000000fa1" +
    "2328000a469a7272",
  text: "IP 10.1.0.1.4001 > 10.2.0.1.9000: UDP, length 2",
};

export const protocol200: Vector = {
  hex: "0200000000f002000000000a08004500001c5cc3400040c8c9520a0100010a0200016162636465666768",
  text: "IP 10.1.0.1 > 10.2.0.1:  ip-proto-200 8",
};

// 100 bytes over a route with `mtu lock 84`
export const fragmentFirst: Vector = {
  hex:
    "0200000000f002000000000a080045000054e4c72000401161cd0a0100010a0200010fa12328006c5dbc414243444546" +
    "4748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f70717273747576" +
    "7778",
  text: "IP 10.1.0.1.4001 > 10.2.0.1.9000: UDP, length 100",
};

export const fragmentLast: Vector = {
  hex:
    "0200000000f002000000000a080045000040e4c70008401181d90a0100010a020001797a7b7c7d7e7f80818283848586" +
    "8788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4",
  text: "IP 10.1.0.1 > 10.2.0.1: ip-proto-17",
};

// connect() from port 40000 to 8080
export const tcpSyn: Vector = {
  hex:
    "0200000000f002000000000a08004500003c93264000400693910a0100010a0200019c401f9010f5ab7b00000000a002" +
    "ff0054010000020405500402080afd916b87000000000103030a",
  text:
    "IP 10.1.0.1.40000 > 10.2.0.1.8080: Flags [S], seq 284535675, win 65280, options [mss " +
    "1360,sackOK,TS val 4254165895 ecr 0,nop,wscale 10], length 0",
};

export const tcpSynAck: Vector = {
  hex:
    "02000000000a0200000000f008004500003c000040003f0627b80a0200010a0100011f909c405f1060e410f5ab7ca012" +
    "fcc04aba0000020405500402080ae6ca64b6fd916b870103030a",
  text:
    "IP 10.2.0.1.8080 > 10.1.0.1.40000: Flags [S.], seq 1594908900, ack 284535676, win 64704, " +
    "options [mss 1360,sackOK,TS val 3872023734 ecr 4254165895,nop,wscale 10], length 0",
};

// sendall(b"hello")
export const tcpPush: Vector = {
  hex:
    "0200000000f002000000000a08004500003993284000400693920a0100010a0200019c401f9010f5ab7c5f1060e58018" +
    "004031c700000101080afd916b87e6ca64b668656c6c6f",
  text:
    "IP 10.1.0.1.40000 > 10.2.0.1.8080: Flags [P.], seq 284535676:284535681, ack 1594908901, win " +
    "64, options [nop,nop,TS val 4254165895 ecr 3872023734], length 5",
};

export const tcpAck: Vector = {
  hex:
    "0200000000f002000000000a080045000034932b4000400693940a0100010a0200019c401f9010f5ab825f1060eb8010" +
    "004074d000000101080afd916bece6ca651b",
  text:
    "IP 10.1.0.1.40000 > 10.2.0.1.8080: Flags [.], ack 1594908907, win 64, options [nop,nop,TS val " +
    "4254165996 ecr 3872023835], length 0",
};

// connect() to the closed port 8081
export const tcpReset: Vector = {
  hex:
    "02000000000a0200000000f0080045000028000040003f0627cc0a0200010a0100011f919c4100000000467a4fac5014" +
    "000049d30000",
  text: "IP 10.2.0.1.8081 > 10.1.0.1.40001: Flags [R.], seq 0, ack 1182420908, win 0, length 0",
};

// B after two segments beyond a gap (sent through AF_PACKET)
export const tcpSack: Vector = {
  hex:
    "02000000000a0200000000f008004500003ce74940003f0640660a0200010a0100091f900fa96b0b1720000003e9a010" +
    "ff00817c000001010512000003f8000003fd000003ee000003f3",
  text:
    "IP 10.2.0.1.8080 > 10.1.0.9.4009: Flags [.], ack 1001, win 65280, options [nop,nop,sack 2 " +
    "{1016:1021}{1006:1011}], length 0",
};

export const tagged: Vector = {
  hex:
    "0200000000f002000000000a8100600a08004500002100000000401165cc0a0100010a0100fe0fa12331000d742f6865" +
    "6c6c6f",
  text: "IP 10.1.0.1.4001 > 10.1.0.254.9009: UDP, length 5",
};

export const VECTORS: Readonly<Record<string, Vector>> = {
  arpRequest,
  arpReply,
  echoRequest,
  echoReply,
  udpHello,
  udpNoChecksum,
  udpTos,
  portUnreachable,
  ttlExceeded,
  fragNeeded,
  hostUnreachable,
  netUnreachable,
  protocolUnreachable,
  parameterProblem,
  recordRoute,
  protocol200,
  fragmentFirst,
  fragmentLast,
  tcpSyn,
  tcpSynAck,
  tcpPush,
  tcpAck,
  tcpReset,
  tcpSack,
};

export const bytesOf = (vector: Vector): Uint8Array => Uint8Array.from(Buffer.from(vector.hex, "hex"));

export const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** The vector behind a margin of 7 bytes, so that a test notices an offset left out. */
export const MARGIN = 7;
export function viewOf(vector: Vector): { v: DataView; end: number } {
  const bytes = bytesOf(vector);
  const padded = new Uint8Array(MARGIN + bytes.length + MARGIN).fill(0xee);
  padded.set(bytes, MARGIN);
  return { v: new DataView(padded.buffer), end: MARGIN + bytes.length };
}
