// The "ipam" section of host-local, checked whole. Mirrors containernetworking/plugins host-local
// backend/allocator/config.go LoadIPAMConfig() and range.go Canonicalize(). Absent: IPv6 (answered with code
// 2), resolvConf.

import { formatCidr, formatIpv4, parseCidr, parseIpv4 } from "../../wire/address.ts";
import { familyOf, familyOfCidr } from "../spec/address.ts";
import { parseArgs } from "../spec/args.ts";
import { Problems, unsupportedField } from "../spec/error.ts";
import type { PluginConfig } from "../spec/execution-config.ts";
import { at, isObject, type JsonObject, optionalArray, optionalString, typeName } from "../spec/json.ts";
import { type CniRoute, readRoutes } from "../spec/result.ts";
import { atLeast } from "../spec/version.ts";
import type { HostLocalRange } from "./host-local.ts";

export interface HostLocalConfig {
  sets: HostLocalRange[][];
  routes: CniRoute[];
  /** Addresses asked for by CNI_ARGS, by args.cni.ips or by the capability "ips". */
  requested: number[];
}

/** Throws code 7 with every mistake, or code 2 for an IPv6 range. */
export function parseHostLocal(config: PluginConfig, args: string): HostLocalConfig {
  const problems = new Problems();
  const { ipam, runtimeConfig } = config;
  const sets: HostLocalRange[][] = [];
  readSets(runtimeConfig, "ipRanges", "runtimeConfig", sets, problems);
  if (ipam.subnet !== undefined) sets.push([readRange(ipam, "ipam", problems)]);
  readSets(ipam, "ranges", "ipam", sets, problems);
  if (sets.length === 0 && problems.list.length === 0) problems.add("ipam", "specifies no ranges");
  const routes = readRoutes(ipam, "ipam", problems);
  const requested = readRequested(config, args, problems);
  if (problems.list.length === 0) findOverlaps(sets, problems);
  if (sets.length > 1 && !atLeast(config.cniVersion, "0.3.0")) {
    problems.add(
      "ipam.ranges",
      `version ${config.cniVersion} does not support more than one address per family`,
    );
  }
  problems.refuse("host-local configuration");
  return { sets, routes, requested };
}

function readSets(
  from: JsonObject,
  key: string,
  path: string,
  sets: HostLocalRange[][],
  problems: Problems,
): void {
  for (const [i, item] of optionalArray(from, key, path, problems).entries()) {
    const where = at(at(path, key), i);
    if (!Array.isArray(item) || item.length === 0) {
      problems.add(where, `must be a list of ranges, is ${Array.isArray(item) ? "empty" : typeName(item)}`);
      continue;
    }
    const set: HostLocalRange[] = [];
    for (const [j, range] of item.entries()) {
      if (isObject(range)) set.push(readRange(range, at(where, j), problems));
      else problems.add(at(where, j), `must be an object, is ${typeName(range)}`);
    }
    sets.push(set);
  }
}

function readRange(from: JsonObject, path: string, problems: Problems): HostLocalRange {
  const range: HostLocalRange = { subnet: 0, prefix: 0, first: 0, last: 0, gateway: 0 };
  const text = optionalString(from, "subnet", path, problems) ?? "";
  if (familyOfCidr(text) === 6) throw unsupportedField(at(path, "subnet"), text);
  const cidr = parseCidr(text);
  if (cidr === undefined) {
    problems.add(at(path, "subnet"), text === "" ? "is missing" : `"${text}" is no address/length`);
    return range;
  }
  if (cidr.prefix > 30) problems.add(at(path, "subnet"), `network ${text} too small to allocate from`);
  if (cidr.address !== cidr.network) problems.add(at(path, "subnet"), `network ${text} has host bits set`);
  range.subnet = cidr.network;
  range.prefix = cidr.prefix;
  const broadcast = cidr.network | ~cidr.mask;
  range.gateway = readAddress(from, "gateway", path, range, problems) ?? (cidr.network + 1) | 0;
  range.first = readAddress(from, "rangeStart", path, range, problems) ?? (cidr.network + 1) | 0;
  range.last = readAddress(from, "rangeEnd", path, range, problems) ?? (broadcast - 1) | 0;
  if (range.first >>> 0 > range.last >>> 0) {
    const order = `${formatIpv4(range.first)} to ${formatIpv4(range.last)}`;
    problems.add(path, `the range ends before it starts: ${order}`);
  }
  return range;
}

function readAddress(
  from: JsonObject,
  key: string,
  path: string,
  range: HostLocalRange,
  problems: Problems,
): number | undefined {
  const text = optionalString(from, key, path, problems);
  if (text === undefined || text === "") return undefined;
  const address = parseIpv4(text);
  const mask = range.prefix === 0 ? 0 : -1 << (32 - range.prefix);
  if (address === undefined) problems.add(at(path, key), `"${text}" is no IPv4 address`);
  else if ((address & mask) !== range.subnet) {
    problems.add(at(path, key), `${text} not in network ${formatCidr(range.subnet, range.prefix)}`);
  }
  return address;
}

// In the plugin's order: CNI_ARGS "IP=", then args.cni.ips, then runtimeConfig.ips, which may have a prefix
// length.
function readRequested(config: PluginConfig, args: string, problems: Problems): number[] {
  const texts: [string, unknown][] = [];
  const pairs = parseArgs(args);
  if (typeof pairs === "string") problems.add("", pairs);
  else if (pairs.has("IP")) texts.push(["CNI_ARGS.IP", pairs.get("IP")]);
  const cni = isObject(config.source.args) ? config.source.args.cni : undefined;
  if (isObject(cni)) {
    for (const [i, ip] of optionalArray(cni, "ips", "args.cni", problems).entries()) {
      texts.push([`args.cni.ips[${i}]`, ip]);
    }
  }
  for (const [i, ip] of optionalArray(config.runtimeConfig, "ips", "runtimeConfig", problems).entries()) {
    texts.push([`runtimeConfig.ips[${i}]`, typeof ip === "string" ? ip.replace(/\/\d+$/, "") : ip]);
  }
  const out: number[] = [];
  for (const [path, text] of texts) {
    if (typeof text === "string" && familyOf(text) === 6) throw unsupportedField(path, text);
    const address = typeof text === "string" ? parseIpv4(text) : undefined;
    if (address === undefined) problems.add(path, `${JSON.stringify(text)} is no IPv4 address`);
    else out.push(address);
  }
  return out;
}

function findOverlaps(sets: readonly HostLocalRange[][], problems: Problems): void {
  const flat = sets.flatMap((set, i) => set.map((range) => ({ i, range })));
  for (const [n, a] of flat.entries()) {
    for (const b of flat.slice(n + 1)) {
      if (a.range.last >>> 0 < b.range.first >>> 0 || b.range.last >>> 0 < a.range.first >>> 0) continue;
      problems.add("ipam.ranges", `range set ${a.i} overlaps with ${b.i}`);
    }
  }
}
