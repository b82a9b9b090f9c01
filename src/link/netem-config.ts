// What a user may ask of a link, as plain data, and what is wrong with it. Probabilities lie in [0, 1], times are
// nanoseconds, rates bits per second of whole frames (Ethernet header included; no preamble, gap or checksum).

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

/** Which frames a fault means; what is left out matches anything. Ports and flags do not match later fragments. */
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

/** The four-state names of tc-netem(8), loss gemodel: p, r, 1-h (loss in the bad state), 1-k (loss in the good one). */
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
  /** False lets jitter put frames out of order, as sch_netem does; otherwise a frame never overtakes another. */
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

/** Everything wrong with a configuration, each with its path. */
export function checkNetem(config: NetemConfig, path: string): Problem[] {
  const problems: Problem[] = [];
  const bad = (field: string, message: string): void => {
    problems.push({ path: `${path}.${field}`, message });
  };
  const probability = (field: string, value: number | undefined): void => {
    if (value !== undefined && !(value >= 0 && value <= 1)) bad(field, "must be between 0 and 1");
  };
  const whole = (field: string, value: number | undefined, least: number): void => {
    if (value === undefined || (Number.isSafeInteger(value) && value >= least)) return;
    bad(field, `must be a whole number of at least ${least}`);
  };
  whole("delay", config.delay, 0);
  whole("jitter", config.jitter, 0);
  whole("rate", config.rate, 1);
  whole("limitPackets", config.limitPackets, 0);
  whole("limitBytes", config.limitBytes, 0);
  probability("duplicate", config.duplicate);
  probability("corrupt", config.corrupt);
  if ((config.jitter ?? 0) > (config.delay ?? 0)) bad("jitter", "must not be more than the delay");
  if (config.rate === undefined && (config.limitPackets ?? config.limitBytes) !== undefined) {
    bad("rate", "a queue limit needs a rate");
  }
  if (typeof config.loss === "object") {
    probability("loss.p", config.loss.p);
    probability("loss.r", config.loss.r);
    probability("loss.lossInBad", config.loss.lossInBad);
    probability("loss.lossInGood", config.loss.lossInGood);
  } else probability("loss", config.loss);
  if (typeof config.reorder === "object") {
    probability("reorder.probability", config.reorder.probability);
    whole("reorder.gap", config.reorder.gap, 1);
  } else probability("reorder", config.reorder);
  if (config.reorder !== undefined && (config.delay ?? 0) === 0) bad("reorder", "needs a delay to overtake");
  config.faults?.forEach((fault, i) => {
    problems.push(...checkFault(fault, `${path}.faults[${i}]`));
  });
  return problems;
}

function checkFault(fault: Fault, path: string): Problem[] {
  const problems: Problem[] = [];
  const whole = (field: string, value: number | undefined, least: number, most: number): void => {
    if (value === undefined || (Number.isSafeInteger(value) && value >= least && value <= most)) return;
    problems.push({
      path: `${path}.${field}`,
      message: `must be a whole number from ${least} to ${most}`,
    });
  };
  if (fault.action === "delay" && fault.delay === undefined) {
    problems.push({ path: `${path}.delay`, message: "says how long, in ns" });
  }
  whole("delay", fault.delay, 0, Number.MAX_SAFE_INTEGER);
  whole("skip", fault.skip, 0, 2 ** 31 - 1);
  whole("count", fault.count, 1, 2 ** 31 - 1);
  const match = fault.match ?? {};
  whole("match.etherType", match.etherType, 0, 0xffff);
  whole("match.protocol", match.protocol, 0, 0xff);
  whole("match.sourcePort", match.sourcePort, 0, 0xffff);
  whole("match.destinationPort", match.destinationPort, 0, 0xffff);
  whole("match.tcpSet", match.tcpSet, 0, 0xff);
  whole("match.tcpClear", match.tcpClear, 0, 0xff);
  whole("match.src.length", match.src?.length, 0, 32);
  whole("match.dst.length", match.dst?.length, 0, 32);
  if (match.etherType !== undefined && match.etherType !== ETHERTYPE_IPV4 && asksForIp(match)) {
    problems.push({
      path: `${path}.match.etherType`,
      message: "addresses, ports and flags are those of IPv4",
    });
  }
  return problems;
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
