// A result in the shape of each version of the specification. Mirrors the converters of libcni pkg/types/020,
// 040 and 100: fields a version does not have are left out; 0.1.0 and 0.2.0 keep the first address of each
// family and its routes. Unlike libcni, which shares one Route type among versions, route attributes are left
// out before 1.1.0.

import { familyOfCidr } from "./address.ts";
import { CniCode, CniError } from "./error.ts";
import type { JsonObject } from "./json.ts";
import type { CniDns, CniInterface, CniIp, CniResult, CniRoute } from "./result.ts";
import { type CniVersion, CURRENT_VERSION } from "./version.ts";

/** The JSON of the result; throws code 1 when the version cannot express it. */
export function formatResult(result: CniResult, version: CniVersion): JsonObject {
  if (version === "0.1.0" || version === "0.2.0") return formatOldest(result, version);
  const out: JsonObject = { cniVersion: version };
  if (result.interfaces.length > 0)
    out.interfaces = result.interfaces.map((i) => formatInterface(i, version));
  if (result.ips.length > 0) out.ips = result.ips.map((ip) => formatIp(ip, version));
  if (result.routes.length > 0) out.routes = result.routes.map((route) => formatRoute(route, version));
  addDns(out, result.dns);
  return out;
}

function formatInterface(from: CniInterface, version: CniVersion): CniInterface {
  const out: CniInterface = { name: from.name };
  if (from.mac !== undefined) out.mac = from.mac;
  if (version === CURRENT_VERSION && from.mtu !== undefined) out.mtu = from.mtu;
  if (from.sandbox !== undefined) out.sandbox = from.sandbox;
  if (version === CURRENT_VERSION) {
    if (from.socketPath !== undefined) out.socketPath = from.socketPath;
    if (from.pciID !== undefined) out.pciID = from.pciID;
  }
  return out;
}

function formatIp(from: CniIp, version: CniVersion): JsonObject {
  return version < "1" ? { version: String(familyOfCidr(from.address)), ...from } : { ...from };
}

function formatRoute(from: CniRoute, version: CniVersion): CniRoute {
  if (version === CURRENT_VERSION) return { ...from };
  return from.gw === undefined ? { dst: from.dst } : { dst: from.dst, gw: from.gw };
}

function formatOldest(result: CniResult, version: CniVersion): JsonObject {
  const out: JsonObject = { cniVersion: version };
  for (const family of [4, 6]) {
    const ip = result.ips.find((i) => familyOfCidr(i.address) === family);
    if (ip === undefined) continue;
    const item: JsonObject = { ip: ip.address };
    if (ip.gateway !== undefined) item.gateway = ip.gateway;
    const routes = result.routes.filter((route) => familyOfCidr(route.dst) === family);
    if (routes.length > 0) item.routes = routes.map((route) => formatRoute(route, version));
    out[`ip${family}`] = item;
  }
  if (out.ip4 === undefined && out.ip6 === undefined) {
    const msg = `a result without addresses cannot be expressed in version ${version}`;
    throw new CniError(CniCode.INCOMPATIBLE_VERSION, msg);
  }
  addDns(out, result.dns);
  return out;
}

function addDns(out: JsonObject, dns: CniDns): void {
  if (Object.keys(dns).length > 0) out.dns = dns;
}
