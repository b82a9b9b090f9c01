// portmap, chained after an interface plugin. Mirrors containernetworking/plugins
// plugins/meta/portmap/main.go as far as its contract goes: the mappings are checked and remembered, the
// result passes through. Absent: the iptables rules that would forward host ports.

import { parseIpv4 } from "../../wire/address.ts";
import { cacheKey } from "../spec/attachment-cache.ts";
import { CniCode, CniError, Problems } from "../spec/error.ts";
import {
  at,
  isObject,
  type JsonObject,
  optionalArray,
  optionalBoolean,
  optionalString,
} from "../spec/json.ts";
import { formatResult } from "../spec/result-version.ts";
import { requireValid } from "./interface-plugin.ts";
import type { Plugin, PluginCall } from "./plugin-type.ts";
import { referenceVersions } from "./real-versions.ts";

export const portmap: Plugin = {
  versions: referenceVersions,

  add(p) {
    const { config, backend } = p;
    const mappings = readMappings(p);
    if (config.prevResult === undefined) {
      throw new CniError(CniCode.INTERNAL, "portmap must be called as chained plugin");
    }
    if (mappings.length > 0) backend.node.portMappings.set(key(p), mappings);
    return formatResult(config.prevResult, config.cniVersion);
  },

  del(p) {
    p.backend.node.portMappings.delete(key(p));
  },

  check(p) {
    const mappings = readMappings(p);
    if (p.config.prevResult === undefined)
      throw new CniError(CniCode.INVALID_CONFIG, "prevResult is missing");
    const kept = p.backend.node.portMappings.get(key(p)) ?? [];
    if (JSON.stringify(kept) === JSON.stringify(mappings)) return;
    throw new CniError(CniCode.INTERNAL, `port mappings of ${p.call.containerId} are not as expected`);
  },

  gc(p) {
    const { name } = p.config;
    const keep = new Set(requireValid(p).map((a) => cacheKey(name, a.containerID, a.ifname)));
    const { portMappings } = p.backend.node;
    for (const entry of [...portMappings.keys()]) {
      if (entry.startsWith(`${name}\n`) && !keep.has(entry)) portMappings.delete(entry);
    }
  },

  status(p) {
    readMappings(p);
  },
};

function key(p: PluginCall): string {
  return cacheKey(p.config.name, p.call.containerId, p.call.ifname);
}

function readMappings(p: PluginCall): JsonObject[] {
  const { source, runtimeConfig } = p.config;
  const problems = new Problems();
  optionalBoolean(source, "snat", "", problems);
  const chain = optionalString(source, "externalSetMarkChain", "", problems);
  const bit = source.markMasqBit;
  if (bit !== undefined && bit !== null) {
    if (chain !== undefined) problems.add("markMasqBit", "cannot be set together with externalSetMarkChain");
    if (!isWhole(bit, 0, 31)) problems.add("markMasqBit", "must be between 0 and 31");
  }
  const out: JsonObject[] = [];
  const path = "runtimeConfig.portMappings";
  const list = optionalArray(runtimeConfig, "portMappings", "runtimeConfig", problems);
  for (const [i, item] of list.entries()) {
    const where = at(path, i);
    if (!isObject(item)) {
      problems.add(where, "must be an object");
      continue;
    }
    for (const port of ["hostPort", "containerPort"]) {
      if (!isWhole(item[port], 1, 65535)) problems.add(at(where, port), `${item[port]} is no port`);
    }
    const protocol = item.protocol ?? "tcp";
    if (typeof protocol !== "string" || !["tcp", "udp", "sctp"].includes(protocol.toLowerCase())) {
      problems.add(at(where, "protocol"), `${JSON.stringify(protocol)} is none of tcp, udp, sctp`);
    }
    const host = optionalString(item, "hostIP", where, problems);
    if (host !== undefined && host !== "" && parseIpv4(host) === undefined) {
      problems.add(at(where, "hostIP"), `"${host}" is no IPv4 address`);
    }
    out.push(item);
  }
  problems.refuse("portmap configuration");
  return out;
}

function isWhole(value: unknown, least: number, most: number): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= least && value <= most;
}
