// What the specification allows a plugin to print, as a checker written from SPEC.md and not from our code:
// shapes of the Success, Error and Version results in every version. Each function answers a list of
// violations.

type Json = Record<string, unknown>;

const str = (v: unknown): boolean => typeof v === "string" && v !== "";
const uint = (v: unknown): boolean => typeof v === "number" && Number.isInteger(v) && v >= 0;
const mac = (v: unknown): boolean => typeof v === "string" && /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(v);
const ip = (v: unknown): boolean => typeof v === "string" && /^(\d+\.){3}\d+$|^[0-9a-f:]+$/i.test(v);
const cidr = (v: unknown): boolean => typeof v === "string" && ip(v.split("/")[0]) && /^[^/]+\/\d+$/.test(v);
const strings = (v: unknown): boolean => Array.isArray(v) && v.every(str);
const scope = (v: unknown): boolean => v === 0 || v === 253 || v === 254;

type Fields = Record<string, { check: (v: unknown) => boolean; required?: true }>;

const DNS: Fields = {
  nameservers: { check: (v) => Array.isArray(v) && v.every(ip) },
  domain: { check: str },
  search: { check: strings },
  options: { check: strings },
};

const ROUTE_10: Fields = { dst: { check: cidr, required: true }, gw: { check: ip } };
const ROUTE_11: Fields = {
  ...ROUTE_10,
  mtu: { check: uint },
  advmss: { check: uint },
  priority: { check: uint },
  table: { check: uint },
  scope: { check: scope },
};

const INTERFACE_10: Fields = {
  name: { check: str, required: true },
  mac: { check: mac },
  sandbox: { check: str },
};
const INTERFACE_11: Fields = {
  ...INTERFACE_10,
  mtu: { check: uint },
  socketPath: { check: str },
  pciID: { check: str },
};

function fields(value: unknown, wanted: Fields, path: string): string[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [`${path}: not an object`];
  const out: string[] = [];
  for (const [key, v] of Object.entries(value)) {
    const field = wanted[key];
    if (field === undefined) out.push(`${path}.${key}: not in the specification`);
    else if (!field.check(v)) out.push(`${path}.${key}: ${JSON.stringify(v)} is wrong`);
  }
  for (const [key, field] of Object.entries(wanted)) {
    if (field.required && !(key in value)) out.push(`${path}.${key}: missing`);
  }
  return out;
}

function items(value: unknown, wanted: Fields, path: string): string[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) return [`${path}: not a list`];
  return value.flatMap((item, i) => fields(item, wanted, `${path}[${i}]`));
}

/** @param ipam the abbreviated result of an IPAM plugin */
export function successViolations(result: Json, version: string, ipam = false): string[] {
  const out: string[] = [];
  if (result.cniVersion !== version) out.push(`cniVersion: ${result.cniVersion} instead of ${version}`);
  const old = version === "0.1.0" || version === "0.2.0";
  const allowed = old
    ? ["cniVersion", "ip4", "ip6", "dns"]
    : ["cniVersion", "interfaces", "ips", "routes", "dns"];
  for (const key of Object.keys(result))
    if (!allowed.includes(key)) out.push(`${key}: not in version ${version}`);
  if (result.dns !== undefined) out.push(...fields(result.dns, DNS, "dns"));
  return [...out, ...(old ? oldest(result) : modern(result, version, ipam))];
}

function oldest(result: Json): string[] {
  const out: string[] = [];
  const item: Fields = {
    ip: { check: cidr, required: true },
    gateway: { check: ip },
    routes: { check: (v) => items(v, ROUTE_10, "").length === 0 },
  };
  for (const key of ["ip4", "ip6"]) if (key in result) out.push(...fields(result[key], item, key));
  if (!("ip4" in result) && !("ip6" in result)) out.push("neither ip4 nor ip6");
  return out;
}

function modern(result: Json, version: string, ipam: boolean): string[] {
  const latest = version === "1.1.0";
  const address: Fields = { address: { check: cidr, required: true }, gateway: { check: ip } };
  if (version < "1") address.version = { check: (v) => v === "4" || v === "6", required: true };
  const count = Array.isArray(result.interfaces) ? result.interfaces.length : 0;
  if (!ipam) address.interface = { check: (v) => uint(v) && (v as number) < count };
  const out = items(result.interfaces, latest ? INTERFACE_11 : INTERFACE_10, "interfaces");
  if (ipam && result.interfaces !== undefined) out.push("interfaces: an IPAM plugin has none");
  out.push(...items(result.ips, address, "ips"));
  return [...out, ...items(result.routes, latest ? ROUTE_11 : ROUTE_10, "routes")];
}

export function errorViolations(error: Json): string[] {
  const out = fields(
    error,
    {
      cniVersion: { check: str, required: true },
      code: { check: (v) => uint(v) && v !== 0, required: true },
      msg: { check: str, required: true },
      details: { check: str },
    },
    "error",
  );
  const code = error.code as number;
  const wellKnown = [1, 2, 3, 4, 5, 6, 7, 11, 50, 51];
  if (code < 100 && !wellKnown.includes(code)) out.push(`code ${code} is reserved and not defined`);
  return out;
}

export function versionViolations(result: Json): string[] {
  const out = fields(
    result,
    { cniVersion: { check: str, required: true }, supportedVersions: { check: strings, required: true } },
    "version",
  );
  return out;
}
