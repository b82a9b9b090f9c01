// What can be asked of the emulation at one instant: net.at(ms(5)).udp(…). Each call schedules one action and
// returns a handle to look at when the time has passed.

import type { Labels } from "../cluster/labels.ts";
import type { NetemConfig } from "../link/netem-config.ts";
import { UDP_MAX_PAYLOAD } from "../socket/udp-send.ts";
import type { SecurityRuleSpec } from "../vnet/build-rule.ts";
import { DNS_PORT, encodeDnsQuery } from "../wire/dns.ts";
import { ETHERNET_SIZE } from "../wire/ethernet.ts";
import { PROTO_ICMP, PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import {
  connectionRow,
  endpointChange,
  natGatewayChange,
  nsgRow,
  peeringChange,
  vnetRow,
} from "./azure-change.ts";
import { policyOf } from "./build-policy.ts";
import { serviceSpec } from "./define.ts";
import { DnsLookup, NameLookup, type ResolveOptions } from "./dns-lookup.ts";
import { mistake, type Problem, TopologyError } from "./errors.ts";
import { Datagram, Impairment, Ping } from "./handles.ts";
import { didYouMean, UnknownNameError } from "./hosts.ts";
import { Kubectl } from "./kubectl.ts";
import type { Net } from "./net.ts";
import { resolvConf } from "./resolv-conf.ts";
import { rolloutAction } from "./rollout.ts";
import type { Action, ClusterChange } from "./script.ts";
import type {
  EndpointState,
  NetworkPolicyOptions,
  PeeringOptions,
  RolloutOptions,
  ServiceOptions,
} from "./spec.ts";
import { checkTcpOptions, TcpConnection, TcpServer } from "./tcp-handles.ts";
import type { TcpListenOptions, TcpSocketOptions } from "./tcp-script.ts";

const MOST = 2 ** 31 - 1;
const PLATFORM = "168.63.129.16";
const SECOND = 1_000_000_000;

export interface UdpOptions {
  /** Source port; default an ephemeral one. Datagrams from one host and port share a socket. */
  sourcePort?: number;
}

export interface PingOptions {
  ttl?: number;
  /** Bytes of data; default 56. */
  size?: number;
}

export class Timeline {
  private readonly net: Net;
  private readonly time: number;

  constructor(net: Net, time: number) {
    this.net = net;
    this.time = time;
  }

  /**
   * One datagram from a pod, node or VM.
   * @param to "web:80", "web-3:8080", "10.0.0.10:53"
   * @param payload text, bytes, or how many bytes
   */
  udp(
    from: string,
    to: string,
    payload: string | Uint8Array | number = "",
    options: UdpOptions = {},
  ): Datagram {
    const { net } = this;
    net.hosts.checkHost(from);
    net.hosts.checkDestination(to, PROTO_UDP);
    const { sourcePort = 0 } = options;
    whole(sourcePort, 0, 0xffff, "udp.sourcePort");
    if (typeof payload === "number") whole(payload, 0, UDP_MAX_PAYLOAD, "udp.payload");
    const bytes = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
    const data = typeof bytes === "number" ? new Uint8Array(bytes) : bytes.slice();
    whole(data.length, 0, UDP_MAX_PAYLOAD, "udp.payload");
    return new Datagram(net, this.schedule({ kind: "udp", from, to, payload: data, sourcePort }));
  }

  /** One DNS query over UDP, to the first server of the host's resolv.conf unless another one is named. */
  resolve(from: string, name: string, options: ResolveOptions = {}): DnsLookup {
    const { type = "A", server = resolvConf(this.net, from).nameservers[0] ?? PLATFORM } = options;
    const id = (this.net.script.actions.length + 1) & 0xffff;
    return new DnsLookup(this.udp(from, `${server}:${DNS_PORT}`, encodeDnsQuery(id, name, type)));
  }

  /** getaddrinfo() of a program: its resolv.conf's searches and servers, A and AAAA at once. */
  lookup(from: string, name: string): NameLookup {
    this.net.hosts.checkHost(from);
    return new NameLookup(this.net, this.schedule({ kind: "lookup", from, name }));
  }

  /** One ICMP echo request. */
  ping(from: string, to: string, options: PingOptions = {}): Ping {
    const { net } = this;
    net.hosts.checkHost(from);
    net.hosts.checkDestination(to, PROTO_ICMP);
    const { ttl, size = 56 } = options;
    if (ttl !== undefined) whole(ttl, 1, 255, "ping.ttl");
    whole(size, 0, UDP_MAX_PAYLOAD, "ping.size");
    const seq = net.script.actions.length & 0xffff;
    return new Ping(net, this.schedule({ kind: "ping", from, to, ttl: ttl ?? 0, size, seq }));
  }

  /** A raw frame sent by a program on a device such as "client/eth0". */
  sendFrame(device: string, frame: Uint8Array): void {
    this.checkFrame(device, frame);
    this.schedule({ kind: "frame", at: device, bytes: frame.slice(), out: true });
  }

  /** A raw frame that arrives at a device from whatever it is plugged into. */
  injectFrame(device: string, frame: Uint8Array): void {
    this.checkFrame(device, frame);
    this.schedule({ kind: "frame", at: device, bytes: frame.slice(), out: false });
  }

  /** The deployment gets this many pods. */
  scale(deployment: string, replicas: number): void {
    this.net.workload(deployment);
    whole(replicas, 0, MOST, `scale.${deployment}`);
    this.schedule({ kind: "scale", workload: deployment, replicas });
  }

  /**
   * A new revision of the Deployment: its pods are replaced as the strategy says. Another may begin when
   * this is over.
   */
  rollout(deployment: string, options: RolloutOptions = {}): void {
    const { workload } = this.net.workload(deployment);
    this.schedule(rolloutAction(deployment, workload.numbered, options));
  }

  /** CNI DEL of a pod. */
  removePod(pod: string): void {
    this.net.hosts.checkHost(pod);
    this.schedule({ kind: "remove-pod", pod });
  }

  /** The pod dies where it stands: nothing answers, its endpoints stay. */
  failPod(pod: string): void {
    this.net.hosts.checkHost(pod);
    this.schedule({ kind: "fail-pod", pod });
  }

  /**
   * Graceful deletion: the pod is a terminating endpoint that serves; it is removed after its grace period.
   * @param grace ns; default 30 s
   */
  terminatePod(pod: string, grace: number = 30 * SECOND): void {
    this.net.hosts.checkHost(pod);
    whole(grace, 0, Number.MAX_SAFE_INTEGER, `terminatePod.${pod}.grace`);
    this.schedule({ kind: "terminate-pod", pod, grace, begun: false });
  }

  /**
   * Adds a NetworkPolicy, or replaces the one of that name; the nodes have it at once.
   * @param cluster its name; default the first
   */
  networkPolicy(name: string, options: NetworkPolicyOptions, cluster?: string): void {
    const problems: Problem[] = [];
    const policy = policyOf(name, options, `networkPolicy.${name}`, problems);
    if (problems.length > 0) throw new TopologyError(problems);
    this.changeCluster({ kind: "policy", policy }, cluster);
  }

  removeNetworkPolicy(name: string, namespace = "default", cluster?: string): void {
    this.changeCluster({ kind: "remove-policy", namespace, name }, cluster);
  }

  /**
   * A Service: made, or brought to what the options say; addresses and NodePorts it was given stay its own.
   * What Kubernetes refuses ends the run with a TopologyError.
   */
  service(name: string, options: ServiceOptions, cluster?: string): void {
    this.changeCluster({ kind: "service", service: serviceSpec(name, options) }, cluster);
  }

  removeService(name: string, cluster?: string): void {
    this.changeCluster({ kind: "remove-service", name }, cluster);
  }

  /** The node's kube-proxy stops: its rules stay as they are, whatever changes. */
  stopProxy(node: string): void {
    this.changeProxy(node, "stop");
  }

  /** It starts again, lists everything and writes it. */
  startProxy(node: string): void {
    this.changeProxy(node, "start");
  }

  /** `iptables -F`: kube-proxy's rules on the node go, until it finds them missing (K 2.6). */
  flushRules(node: string): void {
    this.changeProxy(node, "flush");
  }

  /** Other labels for a pod, or for a deployment and its pods. */
  label(workload: string, labels: Labels): void {
    this.net.workload(workload);
    this.changeCluster({ kind: "label", workload, labels });
  }

  /** Other labels for a namespace, beside its name. */
  labelNamespace(namespace: string, labels: Labels, cluster?: string): void {
    this.changeCluster({ kind: "label-namespace", namespace, labels }, cluster);
  }

  /** What an operator does to the first cluster. */
  get kubectl(): Kubectl {
    return new Kubectl(this.net, this.time);
  }

  /** What an operator does to the cluster of this name. */
  kubectlOf(cluster: string): Kubectl {
    return new Kubectl(this.net, this.time, cluster);
  }

  /** The readiness probe of a pod begins to succeed (default) or to fail. */
  ready(pod: string, isReady = true): void {
    this.net.hosts.checkHost(pod);
    this.schedule({ kind: "ready-pod", pod, ready: isReady });
  }

  /** CNI DEL and ADD: another pod of the same workload with another address. */
  replacePod(pod: string): void {
    this.net.hosts.checkHost(pod);
    this.schedule({ kind: "replace-pod", pod });
  }

  /** Replaces one pod of the deployment after another, the oldest first. @param every time between two, ns */
  churn(deployment: string, every: number, count: number): void {
    this.net.workload(deployment);
    whole(every, 0, Number.MAX_SAFE_INTEGER, `churn.${deployment}.every`);
    whole(count, 1, MOST, `churn.${deployment}.count`);
    this.schedule({ kind: "churn", workload: deployment, every, left: count });
  }

  /** What a link does to frames leaving by the device "n0/eth0": delay, rate, loss, scripted faults … */
  impair(device: string, config: NetemConfig): Impairment {
    this.net.hosts.device(device);
    this.net.checkImpairment(device, config);
    const action = this.net.script.actions.length;
    this.schedule({ kind: "impair", link: device, config, action });
    return new Impairment(this.net, action);
  }

  /** Ends an impairment. */
  heal(impairment: Impairment): void {
    this.schedule({ kind: "heal", impair: impairment.action });
  }

  /** `ip link set dev up|down`. */
  link(device: string, up: boolean): void {
    this.net.hosts.device(device);
    this.schedule({ kind: "link", link: device, up });
  }

  /** A sysctl of a node, pod or VM. */
  sysctl(host: string, name: string, value: number): void {
    this.net.checkSysctl(host, name, value);
    this.schedule({ kind: "sysctl", host, name, value });
  }

  /** A VNet's side of its peering with another: made, or made anew with these flags (azure.md 4.1). */
  peer(vnet: string, other: string, options: PeeringOptions = {}): void {
    this.schedule({ kind: "azure", change: peeringChange(this.net, vnet, other, options) });
  }

  /** Deletes a VNet's side of a peering: the other side is Disconnected, and nothing passes. */
  unpeer(vnet: string, other: string): void {
    const change = { vnet: vnetRow(this.net, vnet), remote: vnetRow(this.net, other) };
    this.schedule({ kind: "azure", change: { kind: "remove-peering", ...change } });
  }

  /** The IP-forwarding flag of a node's or VM's NIC (azure.md V51). */
  ipForwarding(host: string, on: boolean): void {
    this.net.hosts.host(host);
    this.schedule({ kind: "azure", change: { kind: "ip-forwarding", host, on } });
  }

  /** Cuts a connection of a gateway, or mends it. */
  connection(name: string, up: boolean): void {
    const change = { connection: connectionRow(this.net, name), up };
    this.schedule({ kind: "azure", change: { kind: "connection", ...change } });
  }

  /**
   * Gives a subnet a NAT gateway, or none (null): new connections leave by it, live ones as before (azure.md
   * P62).
   * @param subnet "vnet/subnet"
   */
  natGateway(subnet: string, gateway: string | null): void {
    this.schedule({ kind: "azure", change: natGatewayChange(this.net, subnet, gateway) });
  }

  /** What the owner of its target says to a private endpoint's connection (azure.md P41). */
  privateEndpoint(name: string, state: EndpointState): void {
    this.schedule({ kind: "azure", change: endpointChange(this.net, name, state) });
  }

  /** A rule of a network security group: added, or in place of the one of this name. */
  securityRule(nsg: string, rule: SecurityRuleSpec): void {
    this.schedule({ kind: "azure", change: { kind: "security-rule", group: nsgRow(this.net, nsg), rule } });
  }

  /** Deletes a rule of a network security group. */
  removeSecurityRule(nsg: string, name: string): void {
    const group = nsgRow(this.net, nsg);
    this.schedule({ kind: "azure", change: { kind: "remove-security-rule", group, name } });
  }

  /** Whether rule changes are applied to connections that are there (azure.md N14). */
  flushConnection(nsg: string, on: boolean): void {
    this.schedule({ kind: "azure", change: { kind: "flush-connection", group: nsgRow(this.net, nsg), on } });
  }

  /** A TCP server in a pod, node or VM. */
  listen(host: string, port: number, options: Omit<TcpListenOptions, "port"> = {}): TcpServer {
    this.net.hosts.checkHost(host);
    whole(port, 1, 0xffff, "listen.port");
    checkTcpOptions(options, "listen");
    const server = this.net.script.tcp.addServer(host, port, options.reading ?? true);
    this.schedule({ kind: "tcp-listen", server, options });
    return new TcpServer(this.net, server);
  }

  /**
   * A TCP connection from a pod, node or VM.
   * @param to "web:80", "web-3:8080", "10.0.0.10:443"
   */
  connect(host: string, to: string, options: TcpSocketOptions = {}): TcpConnection {
    this.net.hosts.checkHost(host);
    this.net.hosts.checkDestination(to, PROTO_TCP);
    checkTcpOptions(options, "connect");
    const connection = this.net.script.tcp.addConnection(host, options.reading ?? true);
    this.schedule({ kind: "tcp-connect", connection, to, options });
    return new TcpConnection(this.net, connection);
  }

  /** @param data text, bytes, or how many bytes of zeros */
  send(connection: TcpConnection, data: string | Uint8Array | number): void {
    if (typeof data === "number") whole(data, 0, MOST, "send.data");
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    const payload = typeof bytes === "number" ? new Uint8Array(bytes) : bytes.slice();
    this.schedule({ kind: "tcp-send", connection: connection.number, payload });
  }

  /** A FIN once all is sent; the peer may go on sending. */
  end(connection: TcpConnection): void {
    this.schedule({ kind: "tcp-end", connection: connection.number });
  }

  /** As close(2): a FIN once all is sent, or a RST when something was not read. */
  close(connection: TcpConnection): void {
    this.schedule({ kind: "tcp-close", connection: connection.number });
  }

  /** A RST. */
  reset(connection: TcpConnection): void {
    this.schedule({ kind: "tcp-reset", connection: connection.number });
  }

  /** The program reads what waits, at most `bytes`; for connections with `reading: false`. */
  read(connection: TcpConnection, bytes: number = Number.MAX_SAFE_INTEGER): void {
    this.schedule({ kind: "tcp-read", connection: connection.number, bytes });
  }

  /** No more connections for this server. */
  closeServer(server: TcpServer): void {
    this.schedule({ kind: "tcp-close-server", server: server.number });
  }

  /** Anything else. An emulation with a call still to come cannot be saved. */
  call(run: () => void): void {
    this.schedule({ kind: "call", run });
  }

  private changeProxy(node: string, what: "stop" | "start" | "flush"): void {
    this.net.hosts.host(node);
    const cluster = this.net.clusters.find((c) => c.nodes.some((n) => n.name === node));
    if (cluster === undefined) throw mistake(node, "only a node has a kube-proxy");
    this.changeCluster({ kind: "proxy", node, what }, cluster.name);
  }

  private changeCluster(change: ClusterChange, name?: string): void {
    const names = this.net.clusters.map((c) => c.name);
    const cluster = name === undefined ? 0 : names.indexOf(name);
    if (cluster < 0 || names.length === 0) {
      throw new UnknownNameError(`no cluster is named "${name ?? ""}"${didYouMean(name ?? "", names)}`);
    }
    this.schedule({ kind: "cluster", cluster, change });
  }

  private checkFrame(device: string, frame: Uint8Array): void {
    this.net.hosts.device(device);
    whole(frame.length, ETHERNET_SIZE, 0xffff, `${device} frame`);
  }

  private schedule(action: Action): number {
    return this.net.schedule(this.time, action);
  }
}

function whole(value: number, least: number, most: number, path: string): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw mistake(path, `must be a whole number from ${least} to ${most}, not ${value}`);
}
