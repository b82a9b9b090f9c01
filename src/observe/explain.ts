// Why a packet went where it went: the notes of one packet and of the packets made because of it, as a
// tree of places, stages and decisions. Needs notes of every stage (k.observing and k.notes.stages set
// before the packet was sent). Copies of a flooded frame that their receivers had no use for are only
// named. The text is in explain-text.ts.

import { Drop, dropName } from "../node/drop.ts";
import { NoteKind, type Notes } from "../node/notes.ts";
import { Stage } from "../node/stage.ts";
import { parseIpv4 } from "../wire/address.ts";
import { PROTO_TCP } from "../wire/ipv4.ts";
import { type Decision, describeNote } from "./describe.ts";
import { changedText, type Headers, headersOf, type Rewrite, rewritesBetween } from "./explain-headers.ts";
import type { Names } from "./names.ts";
import { reasonText } from "./reasons.ts";
import { stageInfo } from "./stages.ts";

export type Verdict = "delivered" | "dropped" | "under way";

/** One stage of a packet's way. */
export interface Step {
  /** Virtual time, nanoseconds. */
  time: number;
  /** Name of the stage and the kernel function it stands for. */
  stage: string;
  fn: string;
  /** Device inside the namespace, "-" when none. */
  device: string;
  decisions: Decision[];
  /** The packet as it leaves the stage, when that differs from how it came (and at the first stage). */
  packet?: string;
  rewrites: Rewrite[];
}

/** Stages in one place, one after the other. */
export interface Hop {
  kind: "pod" | "node" | "fabric";
  name: string;
  steps: Step[];
}

/** One packet from where it was made to where it ended. */
export interface Path {
  packet: number;
  /** What it is: "request", "UDP reply", "ICMP port unreachable (3/3)". */
  title: string;
  verdict: Verdict;
  /** Name of the drop reason and what it means. */
  reason?: string;
  reasonText?: string;
  /** Where it was dropped, or delivered. */
  at?: string;
  hops: Hop[];
  /** Receivers of copies that had no use for them. */
  ignoredBy: string[];
}

export interface ChosenEndpoint {
  service: string;
  address: string;
  pod?: string;
  /** Counted from 1, in the order they were added, and how many were usable when that is known. */
  number: number;
  of?: number;
  revision?: number;
}

export interface Explanation {
  /** "delivered" when the request was and no answer to it was dropped. */
  verdict: Verdict | "answer dropped";
  reason?: string;
  reasonText?: string;
  request: Path;
  replies: Path[];
  endpoint?: ChosenEndpoint;
}

/** Packets made because of this one: sockets' answers, ICMP errors, and what those brought about. */
export function answersTo(n: Notes, packet: number): number[] {
  const found = [packet];
  for (let i = 0; i < n.count; i++) {
    if (!found.includes(n.packet[i])) continue;
    const made = madeBy(n, i);
    if (made > 0) found.push(made);
  }
  return found.slice(1);
}

function madeBy(n: Notes, i: number): number {
  if (n.kind[i] === NoteKind.REPLY) return n.b[i];
  return n.kind[i] === NoteKind.ICMP_ERROR ? n.c[i] : 0;
}

/** @param replies packets that answer it; found by the notes when left out */
export function explain(n: Notes, names: Names, request: number, replies?: readonly number[]): Explanation {
  const answers = replies ?? answersTo(n, request);
  const path = pathOf(n, names, request, "request");
  const replyPaths = answers.map((p) => pathOf(n, names, p, titleOf(n, names, p)));
  const lost = replyPaths.find((p) => p.verdict === "dropped");
  const cause = path.verdict === "dropped" ? path : path.verdict === "delivered" ? lost : undefined;
  const verdict = path.verdict === "delivered" && lost !== undefined ? "answer dropped" : path.verdict;
  const endpoint = endpointOf(path, names);
  return {
    verdict,
    ...(cause?.reason === undefined ? {} : { reason: cause.reason }),
    ...(cause?.reasonText === undefined ? {} : { reasonText: cause.reasonText }),
    request: path,
    replies: replyPaths,
    ...(endpoint === undefined ? {} : { endpoint }),
  };
}

function titleOf(n: Notes, names: Names, packet: number): string {
  for (let i = 0; i < n.count; i++) {
    if (madeBy(n, i) !== packet) continue;
    return describeNote(n, i, names)?.text.replace(/^answered: /, "") ?? "reply";
  }
  return "reply";
}

interface Trace {
  n: Notes;
  names: Names;
  path: Path;
  /** Where copies of the packet were dropped, and why. */
  drops: { hop: Hop; reason: number }[];
  headers: Headers | undefined;
  step: Step | undefined;
  delivered: boolean;
}

function pathOf(n: Notes, names: Names, packet: number, title: string): Path {
  const path: Path = { packet, title, verdict: "under way", hops: [], ignoredBy: [] };
  const trace: Trace = { n, names, path, drops: [], headers: undefined, step: undefined, delivered: false };
  for (let i = 0; i < n.count; i++) {
    if (n.packet[i] !== packet) continue;
    if (n.kind[i] === NoteKind.STAGE) enterStage(trace, i);
    else addDecision(trace, i);
  }
  conclude(trace);
  return path;
}

function enterStage(t: Trace, i: number): void {
  const { n, names, path } = t;
  const info = stageInfo(n.a[i]);
  const headers = headersOf(n, i, t.headers);
  if (t.step !== undefined && t.headers !== undefined) settle(t.step, t.headers, headers);
  if (t.step !== undefined && waited(t.step, n.a[i])) t.step.decisions.push(WAITED);
  // A received frame still carries the namespace of its sender; its device is here.
  const ns = n.a[i] === Stage.NETIF_RECEIVE ? names.nsOf(n.dev[i]) : n.ns[i];
  const kind = info.fabric ? "fabric" : names.isNode(ns) ? "node" : "pod";
  const name = info.fabric ? "fabric" : names.ns(ns);
  let hop = path.hops.at(-1);
  if (hop === undefined || hop.kind !== kind || hop.name !== name) {
    hop = { kind, name, steps: [] };
    path.hops.push(hop);
  }
  const packet = t.headers === undefined ? changedText(undefined, headers) : undefined;
  const step: Step = {
    time: n.time[i],
    stage: info.name,
    fn: info.fn,
    device: names.ifname(n.dev[i]),
    decisions: [],
    ...(packet === undefined ? {} : { packet }),
    rewrites: [],
  };
  hop.steps.push(step);
  t.step = step;
  t.headers = headers;
}

const WAITED: Decision = { kind: "neighbour", text: "no MAC address yet: the packet waits for ARP" };

/** The neighbour was not known, and the next stage is the same once more, or the end. */
function waited(step: Step, next: number): boolean {
  if (step.stage !== "NEIGH_OUTPUT" || step.decisions.length > 0) return false;
  return next === Stage.NEIGH_OUTPUT || next === Stage.ICMP_SEND;
}

/** What a stage made of the headers is seen at the entry of the next. */
function settle(step: Step, before: Headers, after: Headers): void {
  step.rewrites = rewritesBetween(before, after);
  const text = changedText(before, after);
  if (text !== undefined) step.packet = text;
}

function addDecision(t: Trace, i: number): void {
  const { n, names, path } = t;
  const decision = describeNote(n, i, names);
  const hop = path.hops.at(-1);
  if (decision === undefined || t.step === undefined || hop === undefined) return;
  t.step.decisions.push(decision);
  if (n.kind[i] === NoteKind.DROP) t.drops.push({ hop, reason: n.a[i] });
  // A TCP reset answers a segment that nobody took.
  const answered = n.kind[i] === NoteKind.REPLY && n.a[i] !== PROTO_TCP;
  if (!answered && n.kind[i] !== NoteKind.DELIVER) return;
  t.delivered = true;
  path.at = hop.name;
}

/** Reasons a host has to ignore a frame that was flooded to it as well. */
const IGNORED: readonly number[] = [Drop.OTHERHOST, Drop.IP_FORWARD_NOT_HOST, Drop.IP_MULTICAST_UNWANTED];

function conclude(t: Trace): void {
  const { path, drops } = t;
  const real = drops.filter((d) => !IGNORED.includes(d.reason));
  if (t.delivered || real.length > 0) {
    const ignored = drops.filter((d) => IGNORED.includes(d.reason) && d.hop.kind === "pod").map((d) => d.hop);
    path.hops = path.hops.filter((hop) => !ignored.includes(hop));
    path.ignoredBy = [...new Set(ignored.map((hop) => hop.name))];
  }
  const last = real.at(-1) ?? drops.at(-1);
  if (t.delivered) path.verdict = "delivered";
  else if (last !== undefined) {
    path.verdict = "dropped";
    path.reason = dropName(last.reason);
    path.reasonText = reasonText(last.reason);
    path.at = last.hop.name;
  }
}

/** The endpoint a Service gave the packet. */
function endpointOf(path: Path, names: Names): ChosenEndpoint | undefined {
  for (const hop of path.hops) {
    for (const step of hop.steps) {
      for (const d of step.decisions) {
        if (d.kind !== "dnat" || d.endpoint === undefined || d.service === undefined || d.to === undefined)
          continue;
        const addr = parseIpv4(d.to.split(":")[0]!);
        const pod = addr === undefined ? undefined : names.owner(addr);
        return {
          service: d.service,
          address: d.to,
          ...(pod === undefined ? {} : { pod }),
          number: d.endpoint,
          ...(d.endpoints === undefined ? {} : { of: d.endpoints }),
          ...(d.revision === undefined ? {} : { revision: d.revision }),
        };
      }
    }
  }
  return undefined;
}
