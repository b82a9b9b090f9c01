// One emulation of a random topology under random traffic, with or without churn and impairments: everything
// that is sent is accounted for, goes where it should and carries right checksums. Answers what went wrong,
// in words.

import { Random } from "../../src/core/random.ts";
import type { Sent } from "../../src/emulator/handles.ts";
import type { Net } from "../../src/emulator/net.ts";
import type { CniMode } from "../../src/emulator/spec.ts";
import { mbps, ms, sec, us } from "../../src/emulator/units.ts";
import { hashCapture } from "../../src/observe/hash.ts";
import { badFrames } from "./checksums.ts";
import { between, chance, pick } from "./draw.ts";
import { Ledger } from "./ledger.ts";
import { randomTopology, type WorldOptions } from "./world.ts";

export interface TrafficRun {
  seed: number;
  cni: CniMode;
  /** No loss, no churn, no delay: all must arrive, and turns are exact. */
  calm?: boolean;
}

export interface TrafficResult {
  faults: string[];
  hash: string;
  /** Datagrams that reached each Service, by name. */
  reached: Record<string, number>;
}

const LENGTH = ms(400);
const SERVICES = ["a", "b", "c", "d"];

interface Asked {
  from: string;
  to: string;
  sent: Sent;
  /** Endpoints of the Service when it was sent; null when it was sent to no Service. */
  endpoints: string[] | null;
  isPing: boolean;
}

export function traffic(run: TrafficRun, order: WorldOptions["order"] = (names) => names): TrafficResult {
  const { seed, cni, calm = false } = run;
  const r = new Random(seed, `traffic ${cni} ${calm}`);
  const net = randomTopology(r, seed, { cni, calm, order }).build();
  net.tap();
  const late = net.spec.clusters[0]!.kubeProxy?.syncDelay ?? 0;
  const streams = openStreams(r, net, calm);
  const ledger = new Ledger(net);
  const asked = ask(r, net, calm);
  const corrupting = calm ? false : disturbances(r, net);
  const faults: string[] = [];
  try {
    for (let at = 0; at < LENGTH; at += ms(40)) {
      net.run({ until: at });
      faults.push(...ledger.faults(false));
    }
    net.run({ until: LENGTH });
    for (const { stop } of streams) stop();
    net.run({ for: sec(60) });
  } catch (error) {
    return { faults: [`at ${net.now}: ${(error as Error).stack}`], hash: "", reached: {} };
  }
  faults.push(...ledger.faults());
  if (!corrupting) faults.push(...badFrames(net.walk.k.capture).slice(0, 3));
  if (late === 0) faults.push(...misdelivered(net, asked));
  for (const { report } of streams)
    if (late === 0 && report().misdelivered > 0) faults.push("a stream went astray");
  if (calm) faults.push(...lost(net, asked, streams), ...unevenTurns(net, asked));
  return { faults, hash: hashCapture(net.walk.k.capture), reached: reachedOf(asked) };
}

/** Senders in no order but that of their names, so that another order of description asks the same. */
const names = (net: Net): string[] => net.hosts.hostNames().sort();

function destination(r: Random, net: Net): string {
  const service = `${pick(r, SERVICES)}:${chance(r, 0.8) ? 80 : 81}`;
  if (chance(r, 0.6)) return service;
  if (chance(r, 0.2)) return pick(r, ["empty:80", "10.225.0.200:9", "10.0.0.99:80", "8.8.8.8:53"]);
  return `${pick(r, names(net))}:${pick(r, [7, 53, 80, 5432, 8080, 9000])}`;
}

function ask(r: Random, net: Net, calm: boolean): Asked[] {
  const asked: Asked[] = [];
  // VMs know nothing of ClusterIPs.
  const hosts = names(net).filter((name) => !calm || !name.startsWith("vm"));
  for (let i = between(r, 40, 120); i > 0; i--) {
    const from = pick(r, hosts);
    // Streams take turns as well: not where turns are counted.
    const to = calm ? pick(r, ["a:80", "b:80"]) : destination(r, net);
    const time = r.below(LENGTH);
    const size = chance(r, 0.9) || calm ? r.below(100) : r.below(4000);
    const port = calm || chance(r, 0.7) ? {} : { sourcePort: 5000 + r.below(3) };
    const one: Asked = { from, to, sent: undefined as never, endpoints: null, isPing: false };
    // Who is an endpoint is known when it is sent; and who sends may have gone by then.
    net.at(time).call(() => {
      if (net.hosts.find(from) === null || net.hosts.find(to.split(":")[0]!) === null) {
        if (net.hosts.service(to.split(":")[0]!) === null) return;
      }
      if (net.hosts.find(from) === null) return;
      const service = net.deliveries().find((d) => d.name === to.split(":")[0]);
      one.endpoints = service === undefined ? null : Object.keys(service.pods);
      one.isPing = !(chance(r, 0.9) || calm);
      one.sent = one.isPing ? net.soon.ping(from, to, { size }) : net.soon.udp(from, to, size, port);
      asked.push(one);
    });
  }
  return asked;
}

interface Stream {
  to: string;
  stop(): void;
  report: () => { sent: number; lost: number; misdelivered: number };
}

function openStreams(r: Random, net: Net, calm: boolean): Stream[] {
  const streams: Stream[] = [];
  for (let i = r.below(3); i > 0; i--) {
    const to = calm ? pick(r, ["c:80", "d:80"]) : `${pick(r, SERVICES)}:80`;
    const options = { from: "client", to, flows: between(r, 1, 20), rate: between(r, 100, 5000) };
    const t = net.traffic({ ...options, frameBytes: between(r, 64, 1514), firstPort: 10_000 + i * 100 });
    streams.push({ to, stop: () => t.stop(), report: () => t.report() });
  }
  return streams;
}

/** Pods come, go and die, links do what links do; true when frames may be changed on the way. */
function disturbances(r: Random, net: Net): boolean {
  for (let i = r.below(25); i > 0; i--) {
    const what = r.below(6);
    const [deployment, replicas, serial] = [pick(r, SERVICES), r.below(6), r.below(8)];
    net.at(r.below(LENGTH)).call(() => {
      const pod = `${deployment}-${serial}`;
      if (what === 0) net.soon.scale(deployment, replicas);
      else if (what === 1 && replicas > 2) net.soon.churn(deployment, ms(5), 1 + replicas);
      else if (net.pods.byName.has(pod)) {
        if (what === 2) net.soon.removePod(pod);
        else if (what === 3) net.soon.failPod(pod);
        else net.soon.replacePod(pod);
      }
    });
  }
  let corrupting = false;
  for (let i = r.below(3); i > 0; i--) {
    const config = pick(r, [
      { delay: ms(2), jitter: ms(2), ordered: false },
      { rate: mbps(2), limitPackets: 20, delay: us(100) },
      { loss: 0.2, duplicate: 0.2 },
      { loss: { p: 0.1, r: 0.3 }, delay: us(10), reorder: 0.2 },
      { corrupt: 0.3 },
    ]);
    if ("corrupt" in config) corrupting = true;
    const device = `${pick(r, names(net))}/eth0`;
    const [from, until] = [r.below(LENGTH), r.below(LENGTH)];
    net.at(from).call(() => {
      if (net.hosts.find(device.split("/")[0]!) === null) return;
      const handle = net.soon.impair(device, config);
      net.at(from + until).call(() => handle.remove());
    });
  }
  return corrupting;
}

/**
 * Whoever got a datagram is the one it was sent to, or an endpoint of the Service, by then or when it was
 * sent. A ping of a ClusterIP is answered by the node in the ipvs mode (K 2.1).
 */
function misdelivered(net: Net, asked: Asked[]): string[] {
  const isIpvs = net.spec.clusters.some(({ kubeProxy }) => kubeProxy?.mode === "ipvs");
  return asked.flatMap(({ from, to, sent, endpoints, isPing }) => {
    const got = sent.deliveredTo;
    const name = to.split(":")[0]!;
    const right = endpoints === null ? [name] : endpoints;
    const endpoint = endpoints !== null && got?.startsWith(`${name}-`);
    const answeredByNode =
      isIpvs && isPing && endpoints !== null && net.hosts.find(got ?? "")?.kind === "node";
    if (got === null || endpoint || answeredByNode || right.includes(got) || /^\d/.test(name)) return [];
    return [`${from} -> ${to} (${right.join()}) reached ${got}`];
  });
}

function lost(net: Net, asked: Asked[], streams: Stream[]): string[] {
  const found = asked
    .filter(({ sent, endpoints }) => endpoints !== null && endpoints.length > 0 && sent.deliveredTo === null)
    .map(({ from, to, sent }) => `${from} -> ${to} lost: ${sent.dropReason} at ${sent.droppedAt}`);
  for (const { to, report } of streams) {
    const { sent, lost: gone } = report();
    const served = Object.keys(net.deliveries().find((d) => to.startsWith(d.name))?.pods ?? {});
    if (served.length > 0 && gone !== 0) found.push(`${gone} of ${sent} lost on the way to ${to}`);
  }
  return found;
}

/** Each node's new connections to a service port differ by one at most between endpoints. */
function unevenTurns(net: Net, asked: Asked[]): string[] {
  const counts = new Map<string, Map<string, number>>();
  for (const { from, to, sent, endpoints } of asked) {
    if (endpoints === null || endpoints.length === 0 || sent.deliveredTo === null) continue;
    const p = net.pods.byName.get(from);
    const node = p === undefined ? from : net.podInfos().find((i) => i.name === from)!.node;
    if (p === undefined && net.hosts.find(from)?.kind !== "node") continue;
    const key = `${node} ${to}`;
    const row = counts.get(key) ?? new Map(endpoints.map((e) => [e, 0]));
    row.set(sent.deliveredTo, (row.get(sent.deliveredTo) ?? 0) + 1);
    counts.set(key, row);
  }
  return [...counts].flatMap(([key, row]) => {
    const values = [...row.values()];
    const spread = Math.max(...values) - Math.min(...values);
    return spread <= 1 ? [] : [`${key}: ${[...row].join(" ")}`];
  });
}

function reachedOf(asked: Asked[]): Record<string, number> {
  const out: Record<string, number> = {};
  for (const { to, sent } of asked) if (sent.deliveredTo !== null) out[to] = (out[to] ?? 0) + 1;
  return Object.fromEntries(Object.entries(out).sort());
}
