// IP options on the way through a node, to it, and in what it answers (ip_options.c: compile, forward, echo;
// kube-proxy.md 4.3).

import type { NodeCase, Send, Step } from "../case.ts";
import { type Host, ipBytes, ping, udp } from "../frame.ts";
import { A, BRIDGE, bridgeNode, C, makeCase, POD_NEIGHBOURS, via, X } from "./fixtures.ts";

const zeros = (n: number): number[] => Array<number>(n).fill(0);
/** Room for so many addresses, the first `used` taken. */
const recordRoute = (slots: number, used = 0): number[] => [
  7,
  3 + 4 * slots,
  4 + 4 * used,
  ...zeros(4 * slots),
];
/** kind 0: times; 1: addresses and times; 3: the same for the addresses named. */
const timestamp = (kind: number, data: number[], used = 0, overflow = 0): number[] => [
  68,
  4 + data.length,
  5 + used,
  (overflow << 4) | kind,
  ...data,
];
const named = (host: Host): number[] => [...ipBytes(host.ip), ...zeros(4)];

const SETS: [what: string, options: number[]][] = [
  ["record route, one address", recordRoute(1)],
  ["record route, two addresses", recordRoute(2)],
  ["record route, nine addresses", recordRoute(9)],
  ["record route, the last of two", recordRoute(2, 1)],
  ["record route, full", recordRoute(2, 2)],
  ["record route, no room at all", recordRoute(0)],
  ["record route behind no-operations", [1, 1, ...recordRoute(2), 1]],
  ["times, one", timestamp(0, zeros(4))],
  ["times, two", timestamp(0, zeros(8))],
  ["times, full", timestamp(0, zeros(4), 4)],
  ["times, full, fourteen missed it", timestamp(0, zeros(4), 4, 14)],
  ["addresses and times, one", timestamp(1, zeros(8))],
  ["addresses and times, two", timestamp(1, zeros(16))],
  ["addresses and times, full", timestamp(1, zeros(8), 8)],
  ["addresses and times, the second of two", timestamp(1, zeros(16), 8)],
  ["times of the node named", timestamp(3, named(BRIDGE))],
  ["times of somebody else", timestamp(3, named(X))],
  ["times of somebody else, full", timestamp(3, named(X), 8)],
  ["times of the node, then somebody else", timestamp(3, [...named(BRIDGE), ...named(X)])],
  ["times of a kind unknown", timestamp(2, zeros(8))],
  ["route and times", [...recordRoute(2), ...timestamp(1, zeros(16))]],
  ["times and route", [...timestamp(0, zeros(8)), 1, ...recordRoute(3)]],
  ["router alert", [148, 4, 0, 0]],
  ["stream id", [136, 4, 0, 1]],
  ["security", [130, 11, ...zeros(9)]],
  ["an option nobody knows, with a route", [30, 4, 9, 9, ...recordRoute(2)]],
  ["end of list, then rubbish", [1, 0, 7, 7, 4, 1, 2, 3]],
  ["route, end of list, then rubbish", [...recordRoute(1), 0, 9, 9, 9, 9]],
];

type Builder = (options: number[]) => string;
const steps = (frame: Builder): Step[] =>
  SETS.map(([note, o]): Step => {
    const send: Send = { at: "pod:a", frame: frame(o) };
    return { at: 0, note, send: [send] };
  });

function options(name: string, fact: string, frame: Builder): NodeCase {
  const node = bridgeNode({
    neighbours: [...POD_NEIGHBOURS, ...(bridgeNode().neighbours ?? [])],
    sysctls: { "net.ipv4.icmp_ratemask": 0 },
  });
  return { ...makeCase(`4.3/options-${name}`, [fact], node, steps(frame)), masks: ["option-clock"] };
}

export const cases: NodeCase[] = [
  options("forwarded", "K4.3 options: a router writes the address of the way out", (o) =>
    udp(A, via(BRIDGE, C.ip), 4000, 5000, "data", { options: o }),
  ),
  options(
    "echoed",
    "K4.3 options: an echo reply carries route and times, with the answering host's own",
    (o) => ping(A, BRIDGE, 7, 1, 8, { options: o }),
  ),
  options("errors", "K4.3 options: an error about a forwarded packet carries its route and times", (o) =>
    udp(A, via(BRIDGE, C.ip), 4000, 5000, "data", { options: o, ttl: 1 }),
  ),
  options("unreachable", "K4.3 options: an error from the host it was for carries its route and times", (o) =>
    udp(A, BRIDGE, 4000, 5000, "data", { options: o }),
  ),
];
