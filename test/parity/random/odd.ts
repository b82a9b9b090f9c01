// Frames no well-behaved host sends: headers cut short, lengths that lie, addresses nobody may use, options,
// reserved MACs, pieces that overlap. One list entry per kind, so that a reader sees what is tried.

import type { Hex } from "../case.ts";
import type { Host } from "../frame.ts";
import * as frame from "../frame.ts";
import type { Draw } from "./draw.ts";

/** Sender, receiver as its Ethernet and IP destination, and a datagram id of its own. */
export interface OddContext {
  from: Host;
  to: Host;
  id: number;
}

type Kind = (draw: Draw, c: OddContext) => Hex[];

const bytes = (n: number): number[] => Array.from({ length: n }, (_, i) => 97 + (i % 26));
const dstMac = (c: OddContext): string => c.to.mac;

function udpBody(c: OddContext, size: number, o: frame.UdpOptions = {}): number[] {
  return frame.udpSegment(c.from.ip, c.to.ip, 1234, 8080, size, o);
}

const cutVlan: Kind = (draw, c) => [
  frame.ethernet(dstMac(c), c.from.mac, draw.pick([0x8100, 0x8100, 0x88a8]), bytes(draw.below(6))),
];

const tagged: Kind = (draw, c) => [
  frame.ipv4(c.from, c.to, 17, udpBody(c, 10), { id: c.id, vlan: draw.pick([0, 5, 0x2000, 0xe005]) }),
];

const brokenArp: Kind = (draw, c) => {
  const whole = Buffer.from(frame.arpRequest(c.from, c.to.ip), "hex");
  switch (draw.below(5)) {
    case 0:
      return [whole.subarray(0, draw.between(14, 41)).toString("hex")];
    case 1:
      whole[14 + draw.below(6)] ^= 1 << draw.below(8);
      break;
    case 2:
      whole.writeUInt16BE(draw.pick([0, 3, 4, 8, 9]), 20);
      break;
    case 3:
      whole.writeUInt16BE(6, 14);
      break;
    default:
      return [whole.toString("hex") + "00".repeat(18)];
  }
  return [whole.toString("hex")];
};

const brokenIp: Kind = (draw, c) => {
  const o: frame.Ipv4Options = draw.pick([
    { version: 6 },
    { version: 5 },
    { headerWords: draw.below(5) },
    { headerWords: 15 },
    { totalLength: draw.below(20) },
    { totalLength: 2000 },
    { totalLength: 24 },
    { badHeaderSum: true },
  ]);
  return [frame.ipv4(c.from, c.to, 17, udpBody(c, 20), { id: c.id, ...o })];
};

const cutIp: Kind = (draw, c) => {
  const packet = frame.ipv4Packet(c.from.ip, c.to.ip, 17, udpBody(c, 8), { id: c.id });
  return [frame.ethernet(dstMac(c), c.from.mac, 0x0800, packet.slice(0, draw.below(20)))];
};

const padded: Kind = (draw, c) => [
  frame.ipv4(c.from, c.to, 17, udpBody(c, 4), { id: c.id }) + "00".repeat(draw.between(1, 14)),
];

const cutTransport: Kind = (draw, c) => {
  const [proto, most] = draw.pick([
    [1, 7],
    [6, 19],
    [17, 7],
  ] as const);
  // Cut short with a checksum that is right.
  if (proto === 1 && draw.chance(0.5)) {
    return [frame.icmp(c.from, c.to, draw.pick([0, 8, 13]), 0, bytes(draw.below(4)), { id: c.id })];
  }
  return [frame.ipv4(c.from, c.to, proto, bytes(draw.below(most + 1)), { id: c.id })];
};

const brokenUdp: Kind = (draw, c) => {
  const udpLength = draw.pick([0, 4, 7, 8, 12, 40, 2000]);
  return [frame.ipv4(c.from, c.to, 17, udpBody(c, 16, { udpLength }), { id: c.id })];
};

const brokenTcp: Kind = (draw, c) => {
  const o = { tcpWords: draw.pick([0, 4, 6, 15]), data: draw.pick([0, 8]), id: c.id };
  return [frame.tcp(c.from, c.to, 1234, 8080, draw.pick(["S", "A", "PA"]), o)];
};

const tcpOptions: Kind = (draw, c) => {
  const options = draw.pick([
    [8, 10, 0, 0, 0, 1, 0, 0, 0, 0],
    [4, 2, 1, 1],
    [5, 10, 0, 0, 0, 1, 0, 0, 0, 9],
    [2, 4, 5],
    [3, 3, 20],
    [1, 1, 1, 0],
    [254, 4, 1, 2],
    [2, 0, 0, 0],
  ]);
  return [
    frame.tcp(c.from, c.to, 1235, 8080, draw.pick(["S", "SA", "A"]), { tcpOptions: options, id: c.id }),
  ];
};

const BAD_SOURCES = ["224.1.1.1", "255.255.255.255", "0.0.0.0", "127.0.0.1", "0.0.0.9", "240.0.0.1"];
const BAD_SOURCES_LOCAL = ["10.0.0.1", "10.244.1.1", "10.0.0.255", "10.244.1.255", "192.0.2.77"];

const badSource: Kind = (draw, c) => {
  const from = { ...c.from, ip: draw.pick([...BAD_SOURCES, ...BAD_SOURCES_LOCAL]) };
  return [frame.udp(from, c.to, 1236, 8080, 8, { id: c.id })];
};

const BAD_TARGETS = ["0.0.0.0", "127.0.0.1", "240.0.0.1", "255.255.255.255", "224.0.0.1", "224.0.0.251"];
const BAD_TARGETS_LOCAL = ["10.0.0.255", "10.244.1.255", "10.0.0.0", "169.254.1.1", "0.0.0.7"];

const badTarget: Kind = (draw, c) => {
  const to = { ...c.to, ip: draw.pick([...BAD_TARGETS, ...BAD_TARGETS_LOCAL]) };
  if (draw.chance(0.3)) to.mac = draw.pick([frame.BROADCAST, "01:00:5e:00:00:01"]);
  const ping = draw.chance(0.4);
  const options = { id: c.id };
  return [ping ? frame.ping(c.from, to, 77, 1, 8, options) : frame.udp(c.from, to, 1237, 8080, 8, options)];
};

const badMacs: Kind = (draw, c) => {
  const macs = draw.pick([
    { srcMac: "01:00:5e:00:00:09" },
    { srcMac: "00:00:00:00:00:00" },
    { srcMac: frame.BROADCAST },
    { srcMac: c.to.mac },
    { dstMac: c.from.mac },
    { dstMac: "00:00:00:00:00:00" },
    { dstMac: `01:80:c2:00:00:0${draw.below(16).toString(16)}` },
    { dstMac: "01:80:c2:00:00:01" },
    { dstMac: "01:80:c2:00:00:10" },
    { dstMac: "33:33:00:00:00:01" },
  ]);
  return [frame.udp(c.from, c.to, 1238, 8080, 8, { id: c.id, ...macs })];
};

const otherTypes: Kind = (draw, c) => [
  frame.ethernet(dstMac(c), c.from.mac, draw.pick([0x88cc, 0x9000, 0x0000, 0x0026, 0x6558]), bytes(46)),
];

const ICMP_KINDS: readonly (readonly [type: number, code: number])[] = [
  [13, 0],
  [13, 1],
  [14, 0],
  [15, 0],
  [17, 0],
  [9, 0],
  [10, 0],
  [8, 1],
  [0, 0],
  [0, 7],
  [3, 17],
  [5, 1],
  [5, 5],
  [11, 1],
  [12, 1],
  [18, 0],
  [19, 0],
  [42, 0],
  [255, 0],
];

const icmpKinds: Kind = (draw, c) => {
  const [type, code] = draw.pick(ICMP_KINDS);
  const rest = [0, 1, 0, 2, ...bytes(draw.pick([0, 4, 12, 12, 28]))];
  return [frame.icmp(c.from, c.to, type, code, rest, { id: c.id })];
};

/** Pieces whose numbers do not fit together: first, then the piece that does not belong. */
const OVERLAPS: readonly (readonly [at: number, size: number, mf: boolean])[][] = [
  [
    [0, 64, true],
    [32, 64, false],
  ],
  [
    [0, 64, true],
    [0, 64, true],
    [64, 32, false],
  ],
  [
    [64, 64, false],
    [32, 64, true],
    [0, 32, true],
  ],
  [
    [0, 64, true],
    [64, 20, true],
    [88, 8, false],
  ],
  [
    [64, 8, false],
    [128, 8, false],
  ],
  [
    [64, 8, false],
    [128, 8, true],
  ],
  [[0, 0, true]],
  [[65_528, 64, false]],
  [[65_520, 8, false]],
  [
    [0, 8, true],
    [8, 16, false],
  ],
  [[64, 64, false]],
  [[0, 64, true]],
];

const oddPieces: Kind = (draw, c) => {
  const proto = draw.pick([17, 17, 6, 1]);
  const df = draw.chance(0.2);
  const whole = udpBody(c, 300);
  return draw.pick(OVERLAPS).map(([at, size, mf]) => {
    const body = at < 300 ? whole.slice(at, at + size) : bytes(size);
    return frame.ipv4(c.from, c.to, proto, body, { id: c.id, df, fragmentOffset: at, mf });
  });
};

const OPTIONS: readonly (readonly number[])[] = [
  [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0],
  [7, 7, 8, 10, 0, 0, 9],
  [7, 6, 4, 0, 0, 0],
  [131, 7, 4, 10, 0, 0, 254],
  [137, 7, 4, 10, 244, 1, 2],
  [131, 7, 8, 10, 0, 0, 254],
  [137, 3, 2],
  [68, 8, 9, 0, 0, 0, 0, 1],
  [68, 8, 9, 0xf0, 0, 0, 0, 1],
  [68, 12, 5, 3, 10, 9, 9, 9, 0, 0, 0, 0],
  [148, 4, 0, 0],
  [148, 3, 0],
  [134, 8, 0, 0, 0, 1, 1, 2],
  [130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  [136, 4, 0, 1],
  [1, 1, 1, 0, 9, 9, 9, 9],
  [0, 200, 7, 3],
  [7, 7, 4, 0, 0, 0, 0, 7, 7, 4, 0, 0, 0, 0],
  [7, 40, 4],
  [7],
];

const ipOptions: Kind = (draw, c) => {
  const o = { id: c.id, options: [...draw.pick(OPTIONS)], ttl: draw.pick([64, 64, 1]) };
  return [
    draw.chance(0.5) ? frame.ping(c.from, c.to, 78, 1, 8, o) : frame.udp(c.from, c.to, 1239, 8080, 8, o),
  ];
};

const KINDS: readonly (readonly [number, Kind])[] = [
  [1, cutVlan],
  [0.7, tagged],
  [2, brokenArp],
  [2, brokenIp],
  [1, cutIp],
  [0.7, padded],
  [3.5, cutTransport],
  [1, brokenUdp],
  [1, brokenTcp],
  [0.7, tcpOptions],
  [2, badSource],
  [2, badTarget],
  [2, badMacs],
  [0.5, otherTypes],
  [1.5, icmpKinds],
  [1.5, oddPieces],
  [2, ipOptions],
];

/** Frames of one oddity, in the order they are sent. */
export function oddFrames(draw: Draw, c: OddContext): Hex[] {
  return draw.weighted(KINDS)(draw, c);
}
