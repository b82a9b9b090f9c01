// What a user may ask of a link, as plain data, and what is wrong with it. Probabilities lie in [0, 1], times
// are nanoseconds, rates bits per second of whole frames (Ethernet header included; no preamble, gap or
// checksum).

import { ETHERTYPE_IPV4 } from "../wire/ethernet.ts";

export interface Problem {
  path: string;
  message: string;
}

/** An address range as numbers: `address` and prefix length. */
export interface NetemPrefix {
  address: number;
  length: number;
}

/** Which frames a fault means; what is left out matches all. Ports and flags match no later fragment. */
export interface FaultMatch {
  etherType?: number;
  /** IP protocol number. */
  protocol?: number;
  src?: NetemPrefix;
  dst?: NetemPrefix;
  sourcePort?: number;
  destinationPort?: number;
  /** TCP flags that must be set and those that must be clear: SYN but not ACK is 0x02 and 0x10. */
  tcpSet?: number;
  tcpClear?: number;
}

/** A scripted fault: "of the frames that match, leave `skip`, then do this to the next `count`". */
export interface Fault {
  match?: FaultMatch;
  action: "drop" | "duplicate" | "corrupt" | "delay";
  /** Extra time for action "delay", ns. Frames behind it are not held up. */
  delay?: number;
  skip?: number;
  /** Without it, every one. */
  count?: number;
}

/** tc-netem(8), loss gemodel: p, r, 1-h (loss in the bad state), 1-k (loss in the good one). */
export interface GilbertElliott {
  p: number;
  /** 1 - p when left out. */
  r?: number;
  /** 1 when left out. */
  lossInBad?: number;
  /** 0 when left out. */
  lossInGood?: number;
}

export interface NetemConfig {
  /** Nothing passes. */
  cut?: boolean;
  delay?: number;
  /** Delay is drawn evenly from [delay - jitter, delay + jitter]. */
  jitter?: number;
  /**
   * False lets jitter put frames out of order, as sch_netem does; otherwise a frame never overtakes another.
   */
  ordered?: boolean;
  rate?: number;
  /** Frames, bytes or both that may wait behind the one being sent; no bound when left out. */
  limitPackets?: number;
  limitBytes?: number;
  /** Probability, or bursts. */
  loss?: number | GilbertElliott;
  duplicate?: number;
  /** One random bit of the frame is flipped. */
  corrupt?: number;
  /** The frame goes without the delay, past those that wait; `gap` n: only every n-th frame may. */
  reorder?: number | { probability: number; gap?: number };
  faults?: readonly Fault[];
  /** Name of the random stream; derived from the device's name when left out. */
  stream?: string;
}

const MOST = Number.MAX_SAFE_INTEGER;
const MOST_COUNT = 2 ** 31 - 1;

/** Everything wrong with a configuration, each with its path. */
export function checkNetem(config: NetemConfig, path: string): Problem[] {
  const problems: Problem[] = [];
  whole(problems, `${path}.delay`, config.delay, 0, MOST);
  whole(problems, `${path}.jitter`, config.jitter, 0, MOST);
  whole(problems, `${path}.rate`, config.rate, 1, MOST);
  whole(problems, `${path}.limitPackets`, config.limitPackets, 0, MOST);
  whole(problems, `${path}.limitBytes`, config.limitBytes, 0, MOST);
  probability(problems, `${path}.duplicate`, config.duplicate);
  probability(problems, `${path}.corrupt`, config.corrupt);
  if ((config.jitter ?? 0) > (config.delay ?? 0)) {
    problems.push({ path: `${path}.jitter`, message: "must not be more than the delay" });
  }
  if (config.rate === undefined && (config.limitPackets ?? config.limitBytes) !== undefined) {
    problems.push({ path: `${path}.rate`, message: "is missing: a queue limit needs a rate" });
  }
  const { loss, reorder } = config;
  if (typeof loss === "object") {
    probability(problems, `${path}.loss.p`, loss.p);
    probability(problems, `${path}.loss.r`, loss.r);
    probability(problems, `${path}.loss.lossInBad`, loss.lossInBad);
    probability(problems, `${path}.loss.lossInGood`, loss.lossInGood);
  } else probability(problems, `${path}.loss`, loss);
  if (typeof reorder === "object") {
    probability(problems, `${path}.reorder.probability`, reorder.probability);
    whole(problems, `${path}.reorder.gap`, reorder.gap, 1, MOST_COUNT);
  } else probability(problems, `${path}.reorder`, reorder);
  if (reorder !== undefined && (config.delay ?? 0) === 0) {
    problems.push({ path: `${path}.reorder`, message: "needs a delay, or there is nobody to overtake" });
  }
  const { faults = [] } = config;
  for (let i = 0; i < faults.length; i++) checkFault(problems, `${path}.faults[${i}]`, faults[i]);
  return problems;
}

function checkFault(problems: Problem[], path: string, fault: Fault): void {
  if (fault.action === "delay" && fault.delay === undefined) {
    problems.push({ path: `${path}.delay`, message: "is missing: how long, in ns" });
  }
  whole(problems, `${path}.delay`, fault.delay, 0, MOST);
  whole(problems, `${path}.skip`, fault.skip, 0, MOST_COUNT);
  whole(problems, `${path}.count`, fault.count, 1, MOST_COUNT);
  const match = fault.match ?? {};
  whole(problems, `${path}.match.etherType`, match.etherType, 0, 0xffff);
  whole(problems, `${path}.match.protocol`, match.protocol, 0, 0xff);
  whole(problems, `${path}.match.sourcePort`, match.sourcePort, 0, 0xffff);
  whole(problems, `${path}.match.destinationPort`, match.destinationPort, 0, 0xffff);
  whole(problems, `${path}.match.tcpSet`, match.tcpSet, 0, 0xff);
  whole(problems, `${path}.match.tcpClear`, match.tcpClear, 0, 0xff);
  whole(problems, `${path}.match.src.length`, match.src?.length, 0, 32);
  whole(problems, `${path}.match.dst.length`, match.dst?.length, 0, 32);
  if (match.etherType !== undefined && match.etherType !== ETHERTYPE_IPV4 && asksForIp(match)) {
    problems.push({
      path: `${path}.match.etherType`,
      message: "must be that of IPv4, since the match names addresses, ports or flags",
    });
  }
}

function whole(
  problems: Problem[],
  path: string,
  value: number | undefined,
  least: number,
  most: number,
): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= least && value <= most)) return;
  const range = most === MOST ? `of at least ${least}` : `from ${least} to ${most}`;
  problems.push({ path, message: `must be a whole number ${range}` });
}

function probability(problems: Problem[], path: string, value: number | undefined): void {
  if (value === undefined || (value >= 0 && value <= 1)) return;
  problems.push({ path, message: "must be between 0 and 1" });
}

/** True when the match looks beyond the Ethernet header. */
export function asksForIp(match: FaultMatch): boolean {
  return (
    match.protocol !== undefined || match.src !== undefined || match.dst !== undefined || asksForPorts(match)
  );
}

/** True when the match looks into the transport header. */
export function asksForPorts(match: FaultMatch): boolean {
  const ports = match.sourcePort ?? match.destinationPort;
  return ports !== undefined || match.tcpSet !== undefined || match.tcpClear !== undefined;
}
