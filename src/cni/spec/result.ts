// The Success result of ADD (SPEC.md 1.1.0, section 5, "Success"; azure.md S9), held in the shape of 1.1.0
// whatever version it was read in, and the reading of prevResult. Older shapes: result-version.ts. Mirrors
// pkg/types/100 of libcni.

import { familyOf, familyOfCidr } from "./address.ts";
import type { Problems } from "./error.ts";
import {
  at,
  isObject,
  type JsonObject,
  optionalArray,
  optionalInteger,
  optionalObject,
  optionalString,
  requiredString,
  stringList,
  typeName,
} from "./json.ts";
import type { CniVersion } from "./version.ts";

export interface CniInterface {
  name: string;
  mac?: string;
  mtu?: number;
  /** CNI_NETNS for an interface inside the container, absent for one on the host. */
  sandbox?: string;
  socketPath?: string;
  pciID?: string;
}

export interface CniIp {
  /** "10.244.0.5/24" */
  address: string;
  gateway?: string;
  /** Index into interfaces; absent in the result of an IPAM plugin. */
  interface?: number;
}

export interface CniRoute {
  dst: string;
  gw?: string;
  mtu?: number;
  advmss?: number;
  priority?: number;
  table?: number;
  /** 0 global, 253 link, 254 host. */
  scope?: number;
}

export interface CniDns {
  nameservers?: string[];
  domain?: string;
  search?: string[];
  options?: string[];
}

export interface CniResult {
  interfaces: CniInterface[];
  ips: CniIp[];
  routes: CniRoute[];
  dns: CniDns;
}

const SCOPES = [0, 253, 254];

export function emptyResult(): CniResult {
  return { interfaces: [], ips: [], routes: [], dns: {} };
}

/**
 * Reads a result.
 * @param version shape it has: that of its own cniVersion, or of the configuration that carries it
 * @param ipam an abbreviated result is wanted: no interfaces, no index
 */
export function parseResult(
  from: JsonObject,
  version: CniVersion,
  path: string,
  problems: Problems,
): CniResult {
  const result = emptyResult();
  if (version === "0.1.0" || version === "0.2.0") readOldest(from, result, path, problems);
  else {
    readInterfaces(from, result, path, problems);
    readIps(from, result, path, problems, version < "1");
    result.routes = readRoutes(from, path, problems);
  }
  const dns = optionalObject(from, "dns", path, problems);
  if (dns !== undefined) result.dns = parseDns(dns, at(path, "dns"), problems);
  return result;
}

export function parseDns(from: JsonObject, path: string, problems: Problems): CniDns {
  const dns: CniDns = {};
  const nameservers = stringList(from, "nameservers", path, problems);
  for (const [i, server] of nameservers.entries()) {
    if (familyOf(server) === 0) problems.add(at(at(path, "nameservers"), i), `"${server}" is no address`);
  }
  const domain = optionalString(from, "domain", path, problems);
  const search = stringList(from, "search", path, problems);
  const options = stringList(from, "options", path, problems);
  if (nameservers.length > 0) dns.nameservers = nameservers;
  if (domain !== undefined && domain !== "") dns.domain = domain;
  if (search.length > 0) dns.search = search;
  if (options.length > 0) dns.options = options;
  return dns;
}

export function readRoutes(from: JsonObject, path: string, problems: Problems): CniRoute[] {
  const routes: CniRoute[] = [];
  for (const [where, item] of objects(from, "routes", path, problems)) {
    const route: CniRoute = { dst: cidr(item, "dst", where, problems) };
    const gw = address(item, "gw", where, problems);
    if (gw !== undefined) route.gw = gw;
    for (const key of ["mtu", "advmss", "priority", "table", "scope"] as const) {
      const value = optionalInteger(item, key, where, problems);
      if (value !== undefined) route[key] = value;
    }
    if (route.scope !== undefined && !SCOPES.includes(route.scope)) {
      problems.add(at(where, "scope"), `must be 0, 253 or 254, is ${route.scope}`);
    }
    routes.push(route);
  }
  return routes;
}

function readInterfaces(from: JsonObject, result: CniResult, path: string, problems: Problems): void {
  for (const [where, item] of objects(from, "interfaces", path, problems)) {
    const out: CniInterface = { name: requiredString(item, "name", where, problems) };
    for (const key of ["mac", "sandbox", "socketPath", "pciID"] as const) {
      const value = optionalString(item, key, where, problems);
      if (value !== undefined && value !== "") out[key] = value;
    }
    const mtu = optionalInteger(item, "mtu", where, problems);
    if (mtu !== undefined) out.mtu = mtu;
    result.interfaces.push(out);
  }
}

function readIps(
  from: JsonObject,
  result: CniResult,
  path: string,
  problems: Problems,
  versioned: boolean,
): void {
  for (const [where, item] of objects(from, "ips", path, problems)) {
    const out: CniIp = { address: cidr(item, "address", where, problems) };
    const gateway = address(item, "gateway", where, problems);
    if (gateway !== undefined) out.gateway = gateway;
    const index = optionalInteger(item, "interface", where, problems);
    if (index !== undefined) {
      out.interface = index;
      if (index >= result.interfaces.length) {
        problems.add(at(where, "interface"), `${index} is beyond the ${result.interfaces.length} interfaces`);
      }
    }
    const family = familyOfCidr(out.address);
    if (versioned && family !== 0 && item.version !== undefined && item.version !== String(family)) {
      problems.add(at(where, "version"), `must be "${family}", is ${JSON.stringify(item.version)}`);
    }
    result.ips.push(out);
  }
}

// 0.1.0 and 0.2.0: one address per family, with its routes inside.
function readOldest(from: JsonObject, result: CniResult, path: string, problems: Problems): void {
  for (const key of ["ip4", "ip6"] as const) {
    const item = optionalObject(from, key, path, problems);
    if (item === undefined) continue;
    const where = at(path, key);
    const ip: CniIp = { address: cidr(item, "ip", where, problems) };
    const gateway = address(item, "gateway", where, problems);
    if (gateway !== undefined) ip.gateway = gateway;
    result.ips.push(ip);
    result.routes.push(...readRoutes(item, where, problems));
  }
}

function* objects(
  from: JsonObject,
  key: string,
  path: string,
  problems: Problems,
): Generator<[string, JsonObject]> {
  for (const [i, item] of optionalArray(from, key, path, problems).entries()) {
    const where = at(at(path, key), i);
    if (isObject(item)) yield [where, item];
    else problems.add(where, `must be an object, is ${typeName(item)}`);
  }
}

function cidr(from: JsonObject, key: string, path: string, problems: Problems): string {
  const text = requiredString(from, key, path, problems);
  if (text !== "" && familyOfCidr(text) === 0) problems.add(at(path, key), `"${text}" is no address/length`);
  return text;
}

function address(from: JsonObject, key: string, path: string, problems: Problems): string | undefined {
  const text = optionalString(from, key, path, problems);
  if (text === undefined || text === "") return undefined;
  if (familyOf(text) === 0) problems.add(at(path, key), `"${text}" is no address`);
  return text;
}
