// A NetworkPolicy out of its description, in the fields of networking.k8s.io/v1, checked as the API server
// checks it (pkg/apis/networking/validation); each mistake with its path.

import type { LabelSelector } from "../cluster/labels.ts";
import type { NetworkPolicy, Peer, Port, Rule } from "../cluster/network-policies.ts";
import { prefixMask } from "../core/prefix-table.ts";
import { addressRanges } from "../netfilter/frontends.ts";
import { type Cidr, parseCidr } from "../wire/address.ts";
import type { Problem } from "./errors.ts";
import { PROTOCOLS } from "./hosts.ts";
import type { NetworkPolicyOptions, PolicyPeer, PolicyPort } from "./spec.ts";

const OPERATORS = ["In", "NotIn", "Exists", "DoesNotExist"];

/** Adds what is wrong to `problems`; the policy is of use only when nothing is. */
export function policyOf(
  name: string,
  options: NetworkPolicyOptions,
  path: string,
  problems: Problem[],
): NetworkPolicy {
  const say = (at: string, message: string): void => void problems.push({ path: `${path}.${at}`, message });
  const { namespace = "default", podSelector = {}, ingress, egress } = options;
  checkSelector(podSelector, "podSelector", say);
  const rules = (list: readonly { ports?: readonly PolicyPort[] }[], field: string, side: string): Rule[] =>
    list.map((rule, i) => {
      const at = `${field}[${i}]`;
      const peers = (rule as Record<string, unknown>)[side] as readonly PolicyPeer[] | undefined;
      return {
        peers: (peers ?? []).map((peer, j) => peerOf(peer, `${at}.${side}[${j}]`, say)),
        ports: (rule.ports ?? []).map((port, j) => portOf(port, `${at}.ports[${j}]`, say)),
      };
    });
  // K 8: Ingress always, Egress only if there is such a section.
  const types = options.policyTypes ?? (egress === undefined ? ["Ingress"] : ["Ingress", "Egress"]);
  types.forEach((type, i) => {
    if (type !== "Ingress" && type !== "Egress")
      say(`policyTypes[${i}]`, `"${type}" is not Ingress or Egress`);
  });
  const into = rules(ingress ?? [], "ingress", "from");
  const out = rules(egress ?? [], "egress", "to");
  return {
    namespace,
    name,
    podSelector,
    ingress: types.includes("Ingress") ? into : null,
    egress: types.includes("Egress") ? out : null,
  };
}

type Say = (at: string, message: string) => void;

function checkSelector(selector: LabelSelector, path: string, say: Say): void {
  selector.matchExpressions?.forEach(({ operator, values = [] }, i) => {
    const at = `${path}.matchExpressions[${i}]`;
    if (!OPERATORS.includes(operator))
      say(`${at}.operator`, `"${operator}" is none of ${OPERATORS.join(", ")}`);
    const wantsValues = operator === "In" || operator === "NotIn";
    if (wantsValues && values.length === 0)
      say(`${at}.values`, `must be specified when operator is ${operator}`);
    if (!wantsValues && values.length > 0)
      say(`${at}.values`, `may not be specified when operator is ${operator}`);
  });
}

function peerOf(peer: PolicyPeer, path: string, say: Say): Peer {
  const { podSelector, namespaceSelector, ipBlock } = peer;
  if (podSelector !== undefined) checkSelector(podSelector, `${path}.podSelector`, say);
  if (namespaceSelector !== undefined) checkSelector(namespaceSelector, `${path}.namespaceSelector`, say);
  const selects = podSelector !== undefined || namespaceSelector !== undefined;
  if (ipBlock === undefined) {
    if (!selects) say(path, "must specify a peer");
    return { ...(podSelector && { podSelector }), ...(namespaceSelector && { namespaceSelector }) };
  }
  if (selects) say(path, "may not specify both ipBlock and another peer");
  const cidr = cidrOf(ipBlock.cidr, `${path}.ipBlock.cidr`, say);
  const except = (ipBlock.except ?? []).map((text, i) => {
    const at = `${path}.ipBlock.except[${i}]`;
    const one = cidrOf(text, at, say);
    const inside = one.prefix > cidr.prefix && ((one.network ^ cidr.network) & prefixMask(cidr.prefix)) === 0;
    if (!inside) say(at, `${text} must be a strict subset of ${ipBlock.cidr}`);
    return one;
  });
  return { block: { range: addressRanges([cidr]), except: addressRanges(except) } };
}

function cidrOf(text: string, path: string, say: Say): Pick<Cidr, "network" | "prefix"> {
  const cidr = parseCidr(text);
  if (cidr === undefined) say(path, `${text} is no IPv4 prefix such as 10.0.0.0/24`);
  return cidr ?? { network: 0, prefix: 0 };
}

function portOf(given: PolicyPort, path: string, say: Say): Port {
  const name = (given.protocol ?? "TCP").toLowerCase();
  const protocol = name === "icmp" ? undefined : PROTOCOLS[name];
  if (protocol === undefined) say(`${path}.protocol`, `"${given.protocol}" is not one of TCP, UDP, SCTP`);
  const { port = null, endPort = null } = given;
  if (typeof port === "number" && !isPort(port)) say(`${path}.port`, `${port} is no port number`);
  if (typeof port === "string" && !/^(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$/.test(port)) {
    say(`${path}.port`, `"${port}" is no port name`);
  }
  if (endPort !== null && typeof port !== "number") {
    say(`${path}.endPort`, "may not be specified when port is no number");
  } else if (endPort !== null && (!isPort(endPort) || endPort < (port as number))) {
    say(`${path}.endPort`, `${endPort} must be a port number, and not below port`);
  }
  return { protocol: protocol ?? 0, port, endPort };
}

const isPort = (port: number): boolean => Number.isInteger(port) && port >= 1 && port <= 65_535;
