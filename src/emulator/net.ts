// A running emulation: time, traffic, questions. Everything a topology script and the command line do goes
// through here.

import type { Cluster, Service, Workload } from "../cluster/cluster.ts";
import type { ClusterEvent } from "../cluster/control/events.ts";
import type { Pods } from "../cluster/pods.ts";
import type { HealthAnswer } from "../cluster/service.ts";
import type { Cni } from "../cni/cni.ts";
import { NEVER } from "../core/clock.ts";
import { checkNetem, type NetemConfig } from "../link/netem-config.ts";
import { Op } from "../node/op.ts";
import { type DropCount, dropCounts } from "../observe/counters.ts";
import { type Explanation, explain } from "../observe/explain.ts";
import { type Names, walkNames } from "../observe/names.ts";
import { tapDevice, writePcapng } from "../observe/pcapng.ts";
import { Recorder } from "../observe/recording.ts";
import { SHOW_WHAT, type ShowWhat, show } from "../observe/show.ts";
import type { Walk } from "../walk/walk.ts";
import { formatIpv4 } from "../wire/address.ts";
import { sysctlProblem } from "./check-cluster.ts";
import { checkEnd, checkTime } from "./check-time.ts";
import { deliveries, type ServiceDeliveries } from "./deliveries.ts";
import { Diagnose } from "./diagnose.ts";
import { DnsServers } from "./dns-server.ts";
import { type EndpointSlice, endpointSlices } from "./endpoint-slices.ts";
import { mistake, type Problem, TopologyError } from "./errors.ts";
import { probe } from "./explain-probe.ts";
import type { Impairment, Traffic, TrafficReport } from "./handles.ts";
import { HealthPorts } from "./health-ports.ts";
import { HostNet } from "./host-net.ts";
import { didYouMean, Hosts, UnknownNameError } from "./hosts.ts";
import { type ApplyReport, applyTo } from "./manifest/apply.ts";
import { connectHooks } from "./net-hooks.ts";
import { collectReceived } from "./perform.ts";
import { Platform } from "./platform.ts";
import { Programs } from "./programs.ts";
import { type PropagationInfo, propagationInfo } from "./propagation-info.ts";
import { resolvConf, resolvConfText } from "./resolv-conf.ts";
import { Resolver } from "./resolver.ts";
import { runUntilRolledOut, type ServiceTry, tryServices } from "./rolled-out.ts";
import { type Action, Script } from "./script.ts";
import type { ServiceAddresses } from "./service-addresses.ts";
import { type ServiceInfo, serviceInfo } from "./service-info.ts";
import { restoreState, saveState } from "./snapshot.ts";
import type { TopologySpec } from "./spec.ts";
import { HostTcp } from "./tcp-handles.ts";
import { Timeline } from "./timeline.ts";
import { openTraffic, reportTraffic, type TrafficOptions } from "./traffic.ts";

/** A pod as a script sees it. */
export interface PodInfo {
  name: string;
  ip: string;
  node: string;
  phase: "Running" | "Failed";
  ready: boolean;
  terminating: boolean;
  /** Datagrams its UDP sockets received. */
  received: number;
}

export interface Counters {
  /** Virtual time, ns. */
  time: number;
  /** Packets made by sockets, kernels and scripts. */
  packets: number;
  /** Packets that reached a socket or an answer. */
  delivered: number;
  dropped: number;
}

export class Net {
  readonly walk: Walk;
  readonly cni: Cni;
  readonly pods: Pods;
  readonly hosts: Hosts;
  readonly script: Script;
  readonly names: Names;
  readonly spec: TopologySpec;
  readonly programs: Programs;
  /** By cluster. */
  readonly serviceAddresses: ServiceAddresses[] = [];
  readonly platform = new Platform();
  readonly health = new HealthPorts();
  readonly dnsServers = new DnsServers();
  readonly resolver = new Resolver();
  /** Called every so often, ns of virtual time, while run() is under way. */
  onStep: { every: number; call: () => void } | null = null;
  /** What manifests said that is not modelled. */
  readonly skipped: Problem[] = [];
  /** Lines of net.log(), for whoever runs the script to print. */
  readonly lines: string[] = [];

  constructor(spec: TopologySpec, walk: Walk, pods: Pods, cni: Cni) {
    this.spec = spec;
    this.walk = walk;
    this.pods = pods;
    this.cni = cni;
    this.hosts = new Hosts(walk, pods);
    this.script = new Script(walk.k);
    this.names = walkNames(walk);
    this.programs = new Programs(this);
    connectHooks(this);
  }

  /** /etc/resolv.conf of a pod, node or VM. @throws UnknownNameError */
  resolvConf(host: string): string {
    return resolvConfText(resolvConf(this, host));
  }

  // ---- time ----

  /** The present, ns since the start. */
  get now(): number {
    return this.walk.k.clock.now;
  }

  /** Runs until a time, for a while, or (without either) until nothing is left to happen. */
  run(options: { until?: number; for?: number } = {}): void {
    if (options.until !== undefined) checkTime(options.until, "run.until");
    if (options.for !== undefined) checkTime(options.for, "run.for");
    const end = options.until ?? (options.for === undefined ? NEVER : this.now + options.for);
    checkEnd(this, end);
    try {
      this.runSteps(end);
    } finally {
      collectReceived(this);
    }
  }

  // With somebody who looks on, in steps.
  private runSteps(end: number): void {
    const { walk } = this;
    for (let step = this.onStep; step !== null; step = this.onStep) {
      const next = this.now + step.every;
      if (next >= end || walk.k.clock.next() === NEVER) break;
      walk.run(next);
      step.call();
    }
    walk.run(end);
  }

  /**
   * Runs Node programs in pods (`node(host)`) and the emulation in turn, until both are idle or a time is
   * reached.
   */
  async settle(options: { until?: number } = {}): Promise<void> {
    if (options.until !== undefined) checkTime(options.until, "settle.until");
    try {
      await this.programs.settle(options.until ?? NEVER);
    } finally {
      collectReceived(this);
    }
  }

  /** What follows happens at this time, or now when that has passed. */
  at(time: number): Timeline {
    checkTime(time, "at");
    return new Timeline(this, Math.max(time, this.now));
  }

  /** What follows happens now. */
  get soon(): Timeline {
    return this.at(this.now);
  }

  /** Schedules an action; returns its number. */
  schedule(time: number, action: Action): number {
    const number = this.script.add(action);
    this.walk.k.clock.at(time, Op.SCRIPT, number, 0);
    return number;
  }

  /** Says something to whoever runs the script. */
  log(line = ""): void {
    this.lines.push(line);
  }

  /**
   * kubectl apply: YAML or JSON, at this instant. @param cluster its name; default the first
   * @throws TopologyError with every mistake by file, document and path; then nothing is applied
   */
  apply(manifest: string, options: { file?: string; cluster?: string } = {}): ApplyReport {
    return applyTo(this, manifest, options);
  }

  /**
   * Runs until everything that was applied is rolled out: Deployments, StatefulSets and DaemonSets are
   * complete, Jobs over. @param within ns @returns false when it is not by then
   */
  rolledOut({ within }: { within: number }): boolean {
    return runUntilRolledOut(this, within);
  }

  /** What controllers, scheduler and kubelets have said, in the order they said it first. */
  events(): readonly ClusterEvent[] {
    return this.clusters.flatMap((c) => c.control.events.list);
  }

  /** Tries every port of every Service with a selector, from the first node of its cluster, in turn. */
  tryServices(): ServiceTry[] {
    return tryServices(this);
  }

  // ---- traffic ----

  /** A stream of checked UDP datagrams; it starts at options.at (default now). */
  traffic(options: TrafficOptions): Traffic {
    return openTraffic(this, options);
  }

  stopTraffic(row: number): void {
    this.schedule(this.now, { kind: "stop-traffic", row });
    this.walk.run(this.now);
  }

  trafficReport(row: number): TrafficReport {
    return reportTraffic(this, row);
  }

  // ---- what there is ----

  get clusters(): readonly Cluster[] {
    return this.hosts.clusters;
  }

  /** The deployment or single pod's workload of this name. @throws UnknownNameError */
  workload(name: string): { cluster: Cluster; index: number; workload: Workload } {
    const known: string[] = [];
    for (const cluster of this.clusters) {
      const index = cluster.workloads.findIndex((w) => w.name === name);
      if (index >= 0) return { cluster, index, workload: cluster.workloads[index] };
      known.push(...cluster.workloads.map((w) => w.name));
    }
    throw new UnknownNameError(`no deployment is named "${name}"${didYouMean(name, known)}`);
  }

  /** Pods of a deployment, or all, in the order they were added. */
  podInfos(deployment?: string): PodInfo[] {
    const all = this.clusters.flatMap((cluster) =>
      cluster.workloads.map((workload) => ({ cluster, workload })),
    );
    const managed = all.filter(({ workload }) => workload.app === deployment);
    const one = (): typeof all => (managed.length > 0 ? managed : [this.workload(deployment as string)]);
    const workloads = deployment === undefined ? all : one();
    return workloads.flatMap(({ cluster, workload }) =>
      this.pods.oldestFirst(workload.pods).map((p) => this.podInfo(cluster, p)),
    );
  }

  /** @throws UnknownNameError */
  pod(name: string): PodInfo {
    this.hosts.host(name);
    const found = this.podInfos().find((p) => p.name === name);
    if (found === undefined) throw new UnknownNameError(`"${name}" is no pod`);
    return found;
  }

  /** node:net of a pod, node or VM, for Node programs that run there. @throws UnknownNameError */
  node(host: string): HostNet {
    this.hosts.host(host);
    return new HostNet(this, host);
  }

  /** TCP of a pod, node or VM. @throws UnknownNameError */
  tcp(host: string): HostTcp {
    this.hosts.host(host);
    return new HostTcp(this, host);
  }

  /**
   * The latest 256 changes of Services and endpoints, oldest first, and when each node's rules had them;
   * empty while nodes follow without delay. @param cluster its name; default the first
   */
  propagation(cluster?: string): PropagationInfo[] {
    return propagationInfo(this.clusters, cluster);
  }

  /** Address of a Service. @throws UnknownNameError */
  clusterIp(service: string): string {
    const { clusterIp } = this.serviceNamed(service).service;
    return clusterIp === 0 ? "None" : formatIpv4(clusterIp);
  }

  /** A Service with its ports and endpoints, as they are now. @throws UnknownNameError */
  serviceInfo(service: string): ServiceInfo {
    const found = this.serviceNamed(service);
    return serviceInfo(this.hosts, found.cluster, found.service);
  }

  /** Its EndpointSlices, as the slice controller writes them. @throws UnknownNameError */
  endpointSlices(service: string): EndpointSlice[] {
    return endpointSlices(this, this.serviceNamed(service));
  }

  /**
   * What a node's healthCheckNodePort of a Service answers (K 1.7); null when the Service has none.
   * @throws UnknownNameError
   */
  healthCheck(service: string, node: string): HealthAnswer | null {
    const found = this.serviceNamed(service);
    const names = found.cluster.nodes.map((n) => n.name);
    const n = names.indexOf(node);
    if (n < 0) throw new UnknownNameError(`no node is named "${node}"${didYouMean(node, names)}`);
    return found.service.healthPort === 0 ? null : found.cluster.health(found.service, n);
  }

  private serviceNamed(service: string): { cluster: Cluster; service: Service } {
    const found = this.hosts.service(service);
    if (found !== null) return found;
    const names = this.clusters.flatMap((c) => c.services.map((s) => s.name));
    throw new UnknownNameError(`no Service is named "${service}"${didYouMean(service, names)}`);
  }

  /** Datagrams that UDP sockets of a pod received. */
  receivedBy(p: number): number {
    const { sock } = this.walk;
    const { udpEcho, udpSink } = this.clusters[this.pods.cluster[p]].workloads[this.pods.workload[p]].ports;
    // Of what a node's sockets receive, a host-network pod has what comes to its own ports.
    const isOwn = (s: number): boolean =>
      this.pods.hostNetwork[p] === 0 || [...udpEcho, ...udpSink].includes(sock.localPort[s]);
    let count = 0;
    for (let s = sock.ofNs.firstOf(this.pods.ns[p]); s >= 0; s = sock.ofNs.next[s])
      if (isOwn(s)) count += sock.received(s);
    return count;
  }

  private podInfo(cluster: Cluster, p: number): PodInfo {
    const { pods } = this;
    return {
      name: pods.name[p],
      ip: formatIpv4(pods.ip[p]),
      node: cluster.nodes[pods.node[p]].name,
      phase: pods.phase[p] === 1 ? "Running" : "Failed",
      ready: pods.ready[p] === 1,
      terminating: pods.terminating[p] === 1,
      received: this.receivedBy(p),
    };
  }

  // ---- observation ----

  /**
   * Captures frames on devices: "n0/eth0", "client/eth0"; without any, on every device of every node, pod and
   * VM, also of those that come later.
   */
  tap(...devices: string[]): void {
    const { k } = this.walk;
    const rows = devices.length > 0 ? devices.map((d) => this.hosts.device(d)) : this.allDevices();
    for (const d of rows) tapDevice(k, d, this.names.dev(d));
    if (devices.length > 0) return;
    k.capture.all = true;
    k.observing = true;
  }

  /** What the taps have seen, as a pcapng file with nanosecond times and comments. */
  pcapng(): Uint8Array {
    return writePcapng(this.walk.k, this.names);
  }

  /** Writes a note for every stage of every packet from now on (recordings, explain). */
  recordStages(): void {
    this.walk.k.observing = true;
    this.walk.k.notes.stages = true;
  }

  /** The notes written since recordStages(), as a msgpackr stream (observe/recording.ts). */
  recording(): Uint8Array {
    const parts: Uint8Array[] = [];
    const recorder = new Recorder(this.spec.seed, this.names, (bytes) => parts.push(bytes));
    recorder.write(this.walk.k.notes);
    return Buffer.concat(parts);
  }

  /**
   * One packet's way there and back, with what decided at every step.
   * @param to "web:80", "web-3", "10.0.0.10:53"
   */
  explain(from: string, to: string, options: { protocol?: "udp" | "tcp" | "icmp" } = {}): Explanation {
    const request = probe(this, from, to, options.protocol ?? "udp");
    return explain(this.walk.k.notes, this.names, request);
  }

  /** A table of a node, pod or VM as the Linux tool prints it. */
  show(host: string, what: ShowWhat): string {
    if (!SHOW_WHAT.includes(what)) {
      const hint = didYouMean(what, SHOW_WHAT);
      throw new UnknownNameError(`there is no table "${what}"${hint} (${SHOW_WHAT.join(", ")})`);
    }
    return show(this.walk, this.hosts.host(host).ns, what, this.names);
  }

  /** Frames dropped so far, by device and reason. */
  drops(): DropCount[] {
    return dropCounts(this.walk.k, this.names, -1);
  }

  /** Per Service, what its endpoints received on their ports. */
  deliveries(): ServiceDeliveries[] {
    return deliveries(this);
  }

  counters(): Counters {
    const { k } = this.walk;
    return { time: this.now, packets: k.packets, delivered: k.delivered, dropped: k.dropped };
  }

  private allDevices(): number[] {
    const { k } = this.walk;
    const out: number[] = [];
    for (let n = 0; n < k.ns.ids.used; n++) {
      if (k.ns.alive[n] === 0) continue;
      for (let d = k.ns.firstDev[n]; d >= 0; d = k.dev.nextInNs[d]) if (d !== k.ns.loopback[n]) out.push(d);
    }
    return out;
  }

  /** Questions about the Azure network, as Network Watcher answers them (azure.md 7). */
  get diagnose(): Diagnose {
    return new Diagnose(this);
  }

  // ---- faults and settings ----

  /**
   * What a link does from now on to frames leaving by the device. @throws TopologyError when it makes no
   * sense
   */
  impair(device: string, config: NetemConfig): Impairment {
    const handle = this.soon.impair(device, config);
    this.walk.run(this.now);
    return handle;
  }

  heal(action: number): void {
    const { handle } = this.script.outcomes[action];
    if (handle >= 0) this.walk.link.netem.detach(handle);
    // Not begun yet: now it never will.
    else this.script.actions[action] = { kind: "call", run: null };
    this.walk.drain();
  }

  /** @throws TopologyError */
  checkImpairment(device: string, config: NetemConfig): void {
    const problems = checkNetem(config, device);
    if (problems.length > 0) throw new TopologyError(problems);
  }

  /** @throws UnknownNameError, TopologyError */
  checkSysctl(host: string, name: string, value: number): void {
    this.hosts.host(host);
    const problem = sysctlProblem(name, value);
    if (problem !== null) throw mistake(`${host}.sysctls`, problem);
  }

  /** The IP-forwarding flag of a node's or VM's NIC (azure.md V51). @throws UnknownNameError */
  setIpForwarding(host: string, on: boolean): void {
    const { dev } = this.hosts.host(host);
    const nic = this.walk.k.dev.nic[dev];
    if (nic < 0) throw mistake(host, "only a node or VM has a NIC");
    this.walk.vnet.setIpForwarding(nic, on);
  }

  // ---- snapshots ----

  /** The whole emulation as bytes: restored, it goes on to the same future. */
  snapshot(): Uint8Array {
    return saveState(this);
  }

  /** Becomes the emulation that was saved; this one must be a fresh build of the same topology. */
  restore(snapshot: Uint8Array): void {
    restoreState(this, snapshot);
  }
}
