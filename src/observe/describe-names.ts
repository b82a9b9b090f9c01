// Names of numbers that notes carry: ICMP errors as tcpdump says them, types of routes, rows of the
// ebtables rules.

import { RouteType } from "../ip/fib.ts";

const UNREACHABLE: readonly string[] = [
  "net unreachable",
  "host unreachable",
  "protocol unreachable",
  "port unreachable",
  "fragmentation needed",
  "source route failed",
  "net unknown",
  "host unknown",
  "source host isolated",
  "net prohibited",
  "host prohibited",
  "net unreachable for this TOS",
  "host unreachable for this TOS",
  "admin prohibited",
  "precedence violation",
  "precedence cutoff",
];

/** "port unreachable (3/3)". */
export function icmpErrorName(type: number, code: number): string {
  return `${errorWords(type, code)} (${type}/${code})`;
}

function errorWords(type: number, code: number): string {
  switch (type) {
    case 3:
      return UNREACHABLE[code] ?? "unreachable";
    case 4:
      return "source quench";
    case 5:
      return "redirect";
    case 11:
      return code === 1 ? "fragment reassembly time exceeded" : "time exceeded in transit";
    case 12:
      return "parameter problem";
    default:
      return "error";
  }
}

const ROUTE_TYPES: Record<number, string> = {
  [RouteType.UNSPEC]: "unspec",
  [RouteType.UNICAST]: "unicast",
  [RouteType.LOCAL]: "local",
  [RouteType.BROADCAST]: "broadcast",
  [RouteType.MULTICAST]: "multicast",
  [RouteType.BLACKHOLE]: "blackhole",
  [RouteType.UNREACHABLE]: "unreachable",
  [RouteType.PROHIBIT]: "prohibit",
};

export function routeTypeName(type: number): string {
  return ROUTE_TYPES[type] ?? String(type);
}

// azure.md 5.3.
const EBTABLES: readonly ((mac: string) => string)[] = [
  (mac) => `ebtables: ${mac}`,
  (mac) => `ebtables E1 (nat POSTROUTING, snat): source MAC := ${mac}`,
  (mac) => `ebtables E2 (nat PREROUTING, arpreply): ARP for the node answered with ${mac}`,
  (mac) => `ebtables E3 (nat PREROUTING, dnat): ARP reply to every port, destination MAC := ${mac}`,
  (mac) => `ebtables E4 (nat PREROUTING, dnat): destination MAC := ${mac}`,
  (mac) => `ebtables E5 (nat PREROUTING, arpreply): ARP for a pod answered with ${mac}`,
  (mac) => `ebtables E6 (nat PREROUTING, dnat): destination MAC := the pod's ${mac}`,
  () => "ebtables E7 (broute BROUTING, redirect): to the host",
  () => "ebtables E8 (filter FORWARD): neighbour solicitation dropped",
];

export function ebtablesRule(row: number, mac: string): string {
  return EBTABLES[row]?.(mac) ?? `ebtables rule ${row}`;
}
