// From a network configuration to what one plugin reads on stdin, and back. Mirrors SPEC.md 1.1.0, section 3,
// "Deriving request configuration from plugin configuration", and libcni buildOneConfig(),
// injectRuntimeConfig().

import { isName, NAME_RULE } from "./environment.ts";
import { CniCode, CniError, Problems } from "./error.ts";
import {
  at,
  isObject,
  type JsonObject,
  optionalArray,
  optionalObject,
  optionalString,
  requiredString,
  typeName,
} from "./json.ts";
import { type NetworkConfig, type PluginEntry, parsePluginEntry } from "./network-config.ts";
import { type CniDns, type CniResult, parseDns, parseResult } from "./result.ts";
import { type CniVersion, isCniVersion, requireVersion, UNVERSIONED } from "./version.ts";

/** One container on one network, as GC names it. */
export interface AttachmentId {
  containerID: string;
  ifname: string;
}

export const VALID_ATTACHMENTS = "cni.dev/valid-attachments";
/** What libcni writes besides, for plugins that followed an early draft. */
const VALID_ATTACHMENTS_DRAFT = "cni.dev/attachments";

export interface Derivation {
  prevResult?: JsonObject | undefined;
  /** What the runtime offers; only what the plugin declares is passed on. */
  capabilityArgs?: JsonObject | undefined;
  validAttachments?: readonly AttachmentId[] | undefined;
}

/** The configuration one plugin of the list is executed with. */
export function deriveConfig(list: NetworkConfig, plugin: PluginEntry, derivation: Derivation): JsonObject {
  const out: JsonObject = {};
  for (const [key, value] of Object.entries(plugin.source)) {
    if (key === "capabilities" || key === "prevResult" || key === "runtimeConfig") continue;
    if (!key.startsWith("cni.dev/")) out[key] = value;
  }
  out.cniVersion = list.cniVersion;
  out.name = list.name;
  const { prevResult, capabilityArgs, validAttachments } = derivation;
  const runtimeConfig: JsonObject = {};
  for (const name of plugin.capabilities) {
    if (capabilityArgs?.[name] !== undefined) runtimeConfig[name] = capabilityArgs[name];
  }
  if (Object.keys(runtimeConfig).length > 0) out.runtimeConfig = runtimeConfig;
  if (prevResult !== undefined) out.prevResult = prevResult;
  if (validAttachments !== undefined) out[VALID_ATTACHMENTS] = validAttachments;
  return out;
}

/** A plugin's view of its configuration. */
export interface PluginConfig {
  cniVersion: CniVersion;
  name: string;
  type: string;
  /** Name of the delegated IPAM plugin; empty when there is none. */
  ipamType: string;
  ipam: JsonObject;
  dns: CniDns;
  runtimeConfig: JsonObject;
  prevResult: CniResult | undefined;
  validAttachments: AttachmentId[] | undefined;
  source: JsonObject;
}

/** The version a configuration asks for: code 1 or 6 when it cannot be spoken. */
export function configVersion(source: JsonObject, supported: readonly CniVersion[]): CniVersion {
  const text = source.cniVersion;
  if (text === undefined || text === "") return requireVersion(UNVERSIONED, supported);
  if (typeof text !== "string") {
    throw new CniError(CniCode.DECODE_FAILURE, "failed to decode version", `cniVersion is ${typeName(text)}`);
  }
  return requireVersion(text, supported);
}

/** Reads an execution configuration; throws code 7 with every mistake. */
export function parsePluginConfig(source: JsonObject, supported: readonly CniVersion[]): PluginConfig {
  const cniVersion = configVersion(source, supported);
  const problems = new Problems();
  const name = requiredString(source, "name", "", problems);
  if (name !== "" && !isName(name)) problems.add("name", `"${name}" ${NAME_RULE}`);
  const { type } = parsePluginEntry(source, "", problems);
  const ipam = optionalObject(source, "ipam", "", new Problems()) ?? {};
  const dns = isObject(source.dns) ? parseDns(source.dns, "dns", new Problems()) : {};
  const config: PluginConfig = {
    cniVersion,
    name,
    type,
    ipamType: typeof ipam.type === "string" ? ipam.type : "",
    ipam,
    dns,
    runtimeConfig: optionalObject(source, "runtimeConfig", "", problems) ?? {},
    prevResult: readPrevResult(source, cniVersion, problems),
    validAttachments: readValidAttachments(source, problems),
    source,
  };
  problems.refuse("network configuration");
  return config;
}

// A prevResult says its own version, or has that of the configuration around it.
function readPrevResult(source: JsonObject, version: CniVersion, problems: Problems): CniResult | undefined {
  if (source.prevResult === null) return undefined;
  const from = optionalObject(source, "prevResult", "", problems);
  if (from === undefined) return undefined;
  const own = optionalString(from, "cniVersion", "prevResult", problems);
  if (own !== undefined && own !== "" && !isCniVersion(own)) {
    problems.add("prevResult.cniVersion", `"${own}" is not supported`);
    return undefined;
  }
  return parseResult(from, own === undefined || own === "" ? version : own, "prevResult", problems);
}

function readValidAttachments(source: JsonObject, problems: Problems): AttachmentId[] | undefined {
  const key = source[VALID_ATTACHMENTS] === undefined ? VALID_ATTACHMENTS_DRAFT : VALID_ATTACHMENTS;
  if (source[key] === undefined) return undefined;
  return parseAttachmentIds(optionalArray(source, key, "", problems), key, problems);
}

export function parseAttachmentIds(
  items: readonly unknown[],
  path: string,
  problems: Problems,
): AttachmentId[] {
  const out: AttachmentId[] = [];
  for (const [i, item] of items.entries()) {
    const where = at(path, i);
    if (!isObject(item)) {
      problems.add(where, `must be an object, is ${typeName(item)}`);
      continue;
    }
    const containerID = requiredString(item, "containerID", where, problems);
    out.push({ containerID, ifname: requiredString(item, "ifname", where, problems) });
  }
  return out;
}
