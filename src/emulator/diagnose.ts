// The questions engineers ask of an Azure network (azure.md 7): net.diagnose.connect("client", "db:80").
// Answers are plain objects with Network Watcher's field names. Nothing is sent and nothing changes; a
// question is about a new connection, whatever records there are.

import { prefixMask } from "../core/prefix-table.ts";
import { dropName } from "../node/drop.ts";
import { type Connectivity, type Crossing, connectivity, type Trace } from "../observe/connectivity.ts";
import {
  type EffectiveGroup,
  type EffectiveRouteEntry,
  effectiveRouteTable,
  effectiveSecurityGroups,
  ruleName,
} from "../observe/effective.ts";
import { type FlowLogRecord, flowLogRecords } from "../observe/flow-logs.ts";
import { type FlowTuple, ipFlow, type RuleVerdict } from "../observe/ip-flow.ts";
import { type NextHopAnswer, nextHop } from "../observe/next-hop.ts";
import { NEXT_HOP_NAMES, NextHop } from "../vnet/azure.ts";
import { Direction } from "../vnet/security-groups.ts";
import { VIA_NAMES } from "../vnet/translations.ts";
import { formatCidr, formatIpv4, parseIpv4 } from "../wire/address.ts";
import { PROTO_ICMP } from "../wire/ipv4.ts";
import { vnetRow } from "./azure-change.ts";
import { mistake } from "./errors.ts";
import { type Host, PROTOCOLS, splitPort } from "./hosts.ts";
import type { Net } from "./net.ts";

export interface IpFlowQuestion {
  direction: "Inbound" | "Outbound";
  /** ICMP has no ports and no IP flow verify in Azure. */
  protocol: "tcp" | "udp";
  /** "port", "*" or "address:port"; the host's own address by default. */
  local: string;
  /** "address:port" or "name:port". */
  remote: string;
}

export interface IpFlowAnswer {
  access: "Allow" | "Deny";
  /** Absent when there are no rules. */
  ruleName?: string;
  networkSecurityGroup?: string;
}

export interface NextHopResult {
  nextHopType: string;
  nextHopIpAddress?: string;
  /** Name of the route table, or "System Route". */
  routeTableId: string;
}

export interface ConnectivityIssue {
  origin: "Inbound" | "Outbound" | "Local";
  severity: "Error";
  type: "NetworkSecurityRule" | "UserDefinedRoute" | "Platform";
  context: Record<string, string>[];
}

export interface ConnectivityHop {
  type: "Source" | "VirtualAppliance" | "VnetLocal" | "Internet";
  id: string;
  address: string;
  resourceId: string;
  nextHopIds: string[];
  issues: ConnectivityIssue[];
}

export interface ConnectivityInformation {
  connectionStatus: "Reachable" | "Unreachable";
  hops: ConnectivityHop[];
}

export interface MatrixCell {
  source: string;
  destination: string;
  access: "Reachable" | "Unreachable";
  /** Drop reason, when unreachable. */
  reason?: string;
  /** Host at whose port, or in whose guest, it ends. */
  at?: string;
  /** The rule or route that decided. */
  decidedBy: string;
}

export interface ConnectOptions {
  /** Default "tcp". */
  protocol?: "tcp" | "udp" | "icmp";
}

/** A name as the fabric sees it. */
interface Endpoint {
  name: string;
  host: Host;
  nic: number;
}

/** Source port of the questions that name none. */
const EPHEMERAL = 40_000;

export class Diagnose {
  private readonly net: Net;

  constructor(net: Net) {
    this.net = net;
  }

  /** What the security rules at a NIC say, and which one. @throws UnknownNameError, TopologyError */
  ipFlow(name: string, question: IpFlowQuestion): IpFlowAnswer {
    const { nic, host } = this.endpoint(name);
    const out = question.direction === "Outbound";
    if (!out && question.direction !== "Inbound") {
      throw mistake("direction", `"${question.direction}" is neither Inbound nor Outbound`);
    }
    const protocol = question.protocol === "tcp" || question.protocol === "udp" ? question.protocol : null;
    if (protocol === null) throw mistake("protocol", `"${question.protocol}" is neither tcp nor udp`);
    const local = this.side(question.local, host.ip);
    const remote = this.side(question.remote, 0);
    const [from, to] = out ? [local, remote] : [remote, local];
    const flow: FlowTuple = {
      src: from.address,
      dst: to.address,
      protocol: PROTOCOLS[protocol],
      sourcePort: from.port,
      destinationPort: to.port,
    };
    const verdict = ipFlow(this.net.walk.vnet, nic, out ? Direction.OUTBOUND : Direction.INBOUND, flow);
    return { access: verdict.access, ...this.ruleOf(verdict) };
  }

  /** The route of a destination. @throws UnknownNameError */
  nextHop(name: string, destination: string): NextHopResult {
    const { nic, host } = this.endpoint(name);
    const found = nextHop(this.net.walk.vnet, nic, host.ip, this.address(destination));
    return {
      nextHopType: NEXT_HOP_NAMES[found.type],
      ...(found.address === 0 ? {} : { nextHopIpAddress: formatIpv4(found.address) }),
      routeTableId: found.table ?? "System Route",
    };
  }

  /** Effective routes. @throws UnknownNameError, TopologyError for a stopped VM */
  routes(name: string): { value: EffectiveRouteEntry[] } {
    const { nic } = this.endpoint(name);
    return { value: running(name, effectiveRouteTable(this.net.walk.vnet, nic)) };
  }

  /** Effective security rules. @throws UnknownNameError, TopologyError for a stopped VM */
  rules(name: string): { value: EffectiveGroup[] } {
    const { nic, host } = this.endpoint(name);
    return { value: running(name, effectiveSecurityGroups(this.net.walk.vnet, nic, host.name)) };
  }

  /** Flow logs of a VNet, or of all that log, up to now. @throws UnknownNameError */
  flowLogs(vnet?: string): { records: FlowLogRecord[] } {
    const row = vnet === undefined ? -1 : vnetRow(this.net, vnet);
    return { records: flowLogRecords(this.net.walk.vnet, this.net.now, row) };
  }

  /**
   * Would a connection come about, there and back?
   * @param to "db", "db:5432", "10.0.0.4:443"; TCP and UDP need a port
   */
  connect(from: string, to: string, options: ConnectOptions = {}): ConnectivityInformation {
    const { source, flow, found } = this.ask(from, to, options.protocol ?? "tcp");
    const hops = this.hopsOf(source, flow, found);
    const reachable = found !== null && found.request.reason === 0 && found.reply?.reason === 0;
    return { connectionStatus: reachable || found === null ? "Reachable" : "Unreachable", hops };
  }

  /** All ordered pairs of hosts; without any, of all VMs and nodes. @param port not for ICMP */
  matrix(names: readonly string[], options: ConnectOptions & { port?: number } = {}): MatrixCell[] {
    const protocol = options.protocol ?? "tcp";
    const { clusters, vms } = this.net.hosts;
    const nodes = clusters.flatMap((c) => c.nodes.map((n) => n.name));
    const all = names.length > 0 ? names : [...nodes, ...vms.keys()];
    const suffix = protocol === "icmp" ? "" : `:${options.port ?? 80}`;
    return all.flatMap((source) =>
      all
        .filter((destination) => destination !== source)
        .map((destination) => this.cell(source, destination, suffix, protocol)),
    );
  }

  private cell(
    source: string,
    destination: string,
    suffix: string,
    protocol: "tcp" | "udp" | "icmp",
  ): MatrixCell {
    const { found } = this.ask(source, destination + suffix, protocol);
    const pair = { source, destination };
    if (found === null) return { ...pair, access: "Reachable", decidedBy: "same node" };
    const failed = found.request.reason !== 0 ? found.request : found.reply;
    const last = (failed ?? found.request).crossings.at(-1) as Crossing;
    if (failed === null || failed.reason === 0) {
      const first = found.request.crossings[0];
      return { ...pair, access: "Reachable", decidedBy: routeText(first.next) + byText(first) };
    }
    const verdict = deniedBy(last);
    const decidedBy = verdict === null ? routeText(last.next) : this.ruleText(verdict);
    const back = failed === found.reply ? "reply: " : "";
    const at = this.hostOf(failed.at);
    return {
      ...pair,
      access: "Unreachable",
      reason: dropName(failed.reason),
      at,
      decidedBy: back + decidedBy,
    };
  }

  /** Null where source and destination are on one node, so that the fabric sees nothing. */
  private ask(from: string, to: string, protocol: "tcp" | "udp" | "icmp") {
    const source = this.endpoint(from);
    const number = PROTOCOLS[protocol];
    if (number === undefined) throw mistake("protocol", `"${protocol}" is none of tcp, udp, icmp`);
    const icmp = number === PROTO_ICMP;
    const [name, portText] = splitPort(to);
    if (!icmp && portText === null) throw mistake("to", `"${to}" names no port, as "${to}:80" does`);
    const dst = this.address(name);
    const flow: FlowTuple = {
      src: this.sourceAddress(source, dst),
      dst,
      protocol: number,
      sourcePort: icmp ? -1 : EPHEMERAL,
      destinationPort: icmp ? -1 : Number(portText),
    };
    const found = this.staysOnNode(source, dst) ? null : connectivity(this.net.walk, source.nic, flow);
    return { source, flow, found };
  }

  /** What the fabric sees as the source: a pod's address, or its node's after IP-MASQ-AGENT. */
  private sourceAddress({ host, nic }: Endpoint, dst: number): number {
    if (host.kind !== "pod") return host.ip;
    const { k, nf, vnet } = this.net.walk;
    return nf.masquerade.match(k.ns.host[host.ns], dst) < 0 ? host.ip : vnet.primaryAddress(nic);
  }

  private staysOnNode({ host, nic }: Endpoint, dst: number): boolean {
    const { vnet } = this.net.walk;
    const tunnel = this.net.spec.clusters.some((c) => c.cni === "azure-tunnel");
    return dst === host.ip || (vnet.owns(nic, dst) && !(tunnel && host.kind === "pod"));
  }

  private hopsOf(source: Endpoint, { src, dst }: FlowTuple, found: Connectivity | null): ConnectivityHop[] {
    const first = hop("Source", 0, formatIpv4(src), source.name);
    const hops = [first];
    if (found === null) return hops;
    const { request, reply } = found;
    const byNic = new Map([[source.nic, first]]);
    const { vnet } = this.net.walk;
    request.crossings.forEach(({ to, next, flow }, i) => {
      if (to < 0 && next?.type !== NextHop.INTERNET) return;
      const last = i === request.crossings.length - 1 && request.reason === 0;
      const internet = to < 0 || vnet.nics.vnet[to] === vnet.internet;
      const type = internet
        ? "Internet"
        : last || next?.type !== NextHop.VIRTUAL_APPLIANCE
          ? "VnetLocal"
          : "VirtualAppliance";
      const address = to < 0 ? dst : last ? flow.dst : vnet.primaryAddress(to);
      const added = hop(type, hops.length, formatIpv4(address), to < 0 ? "Internet" : this.hostOf(to));
      (hops.at(-1) as ConnectivityHop).nextHopIds.push(added.id);
      hops.push(added);
      if (to >= 0) byNic.set(to, added);
    });
    for (const trace of [request, reply]) {
      if (trace === null || trace.reason === 0) continue;
      const where = byNic.get(trace.at) ?? (hops.at(-1) as ConnectivityHop);
      where.issues.push(this.issue(trace, trace === reply));
    }
    return hops;
  }

  private issue(trace: Trace, isReply: boolean): ConnectivityIssue {
    const last = trace.crossings.at(-1) as Crossing;
    const verdict = deniedBy(last);
    const context: Record<string, string>[] = [{ reason: dropName(trace.reason) }];
    if (isReply) context.push({ packet: "reply" });
    context.push({ host: this.hostOf(trace.at) });
    if (verdict !== null) {
      context.push({ ...this.ruleOf(verdict) });
      const origin = last.inbound === verdict ? "Inbound" : "Outbound";
      return { origin, severity: "Error", type: "NetworkSecurityRule", context };
    }
    if (last.next !== null) context.push({ route: routeText(last.next) });
    const byUser = last.next !== null && last.next.table !== null && last.to < 0;
    const origin = last.to < 0 ? "Outbound" : "Local";
    return { origin, severity: "Error", type: byUser ? "UserDefinedRoute" : "Platform", context };
  }

  private ruleOf({ rule, group }: RuleVerdict): { ruleName?: string; networkSecurityGroup?: string } {
    if (rule === null) return {};
    const networkSecurityGroup = this.net.walk.vnet.security.groups[group].name;
    return { ruleName: ruleName(rule), networkSecurityGroup };
  }

  private ruleText(verdict: RuleVerdict): string {
    const { ruleName: name, networkSecurityGroup } = this.ruleOf(verdict);
    return `${name} of ${networkSecurityGroup}`;
  }

  private endpoint(name: string): Endpoint {
    const { k } = this.net.walk;
    const host = this.net.hosts.host(name);
    const node = host.kind === "pod" ? this.net.hosts.host(k.ns.name[k.ns.host[host.ns]]) : host;
    const nic = k.dev.nic[node.dev];
    if (nic < 0) throw mistake(name, "has no NIC in a VNet");
    return { name, host, nic };
  }

  private address(text: string): number {
    return parseIpv4(text) ?? this.net.hosts.host(text).ip;
  }

  private side(text: string, own: number): { address: number; port: number } {
    if (text === "*") return { address: own, port: EPHEMERAL };
    if (/^\d+$/.test(text)) return { address: own, port: Number(splitPort(`:${text}`)[1]) };
    const [name, port] = splitPort(text);
    if (port === null) throw mistake(text, `names no port, as "${text}:80" does`);
    return { address: this.address(name), port: Number(port) };
  }

  private hostOf(nic: number): string {
    const { k, vnet } = this.net.walk;
    return k.ns.name[k.dev.ns[vnet.nics.dev[nic]]];
  }
}

function running<T>(name: string, value: T | null): T {
  if (value === null)
    throw mistake(name, "the VM is stopped: effective views are of running VMs (azure.md R11)");
  return value;
}

function hop(
  type: ConnectivityHop["type"],
  id: number,
  address: string,
  resourceId: string,
): ConnectivityHop {
  return { type, id: String(id), address, resourceId, nextHopIds: [], issues: [] };
}

/** The verdict that ended the crossing, or null when something else did. */
function deniedBy({ outbound, inbound }: Crossing): RuleVerdict | null {
  if (inbound?.access === "Deny") return inbound;
  return outbound?.access === "Deny" ? outbound : null;
}

/** Who translated the packet, if anybody did. */
function byText({ via }: Crossing): string {
  return via === -1 ? "" : `, ${VIA_NAMES[via]}`;
}

/** "10.0.0.0/8 VirtualAppliance 10.0.1.4 (via-hub)". */
function routeText(next: NextHopAnswer | null): string {
  if (next === null) return "host guard";
  const prefix =
    next.length < 0 ? "no route" : formatCidr(next.network & prefixMask(next.length), next.length);
  const via = next.address === 0 ? "" : ` ${formatIpv4(next.address)}`;
  return `${prefix} ${NEXT_HOP_NAMES[next.type]}${via} (${next.table ?? "System Route"})`;
}
