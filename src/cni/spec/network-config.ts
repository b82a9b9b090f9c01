// The network configuration an administrator writes (a conflist), checked whole: every mistake is reported
// with its path. Mirrors SPEC.md 1.1.0, section 1 (azure.md S3), and libcni libcni/conf.go
// NetworkConfFromBytes(). Absent: plugins loaded from a directory beside the file, so loadOnlyInlinedPlugins
// is read and changes nothing.

import { isName, NAME_RULE } from "./environment.ts";
import { Problems } from "./error.ts";
import {
  at,
  isObject,
  type JsonObject,
  optionalArray,
  optionalBoolean,
  optionalObject,
  optionalString,
  parseObject,
  requiredString,
  stringList,
  typeName,
} from "./json.ts";
import { parseDns } from "./result.ts";
import { CNI_VERSIONS, type CniVersion, parseVersion, requireVersion, selectVersion } from "./version.ts";

export interface NetworkConfig {
  name: string;
  /** The version both sides speak. */
  cniVersion: CniVersion;
  disableCheck: boolean;
  disableGC: boolean;
  loadOnlyInlinedPlugins: boolean;
  /** Plugin objects as written. */
  plugins: PluginEntry[];
  /** The list as written. */
  source: JsonObject;
}

export interface PluginEntry {
  type: string;
  /** Names of the capabilities it declares. */
  capabilities: string[];
  source: JsonObject;
}

export function parseNetworkConfigText(text: string, supported = [...CNI_VERSIONS]): NetworkConfig {
  return parseNetworkConfig(parseObject(text, "network configuration"), supported);
}

/** Throws code 1 or 6 for the version, then code 7 with every mistake. */
export function parseNetworkConfig(source: JsonObject, supported: readonly CniVersion[]): NetworkConfig {
  const problems = new Problems();
  const cniVersion = negotiate(source, supported, problems);
  const name = requiredString(source, "name", "", problems);
  if (name !== "" && !isName(name)) problems.add("name", `"${name}" ${NAME_RULE}`);
  const config: NetworkConfig = {
    name,
    cniVersion,
    disableCheck: optionalBoolean(source, "disableCheck", "", problems),
    disableGC: optionalBoolean(source, "disableGC", "", problems),
    loadOnlyInlinedPlugins: optionalBoolean(source, "loadOnlyInlinedPlugins", "", problems),
    plugins: [],
    source,
  };
  const plugins = optionalArray(source, "plugins", "", problems);
  if (plugins.length === 0 && (source.plugins === undefined || Array.isArray(source.plugins))) {
    problems.add("plugins", "names no plugin");
  }
  for (const [i, item] of plugins.entries()) {
    const path = at("plugins", i);
    if (isObject(item)) config.plugins.push(parsePluginEntry(item, path, problems));
    else problems.add(path, `must be an object, is ${typeName(item)}`);
  }
  problems.refuse("network configuration list");
  return config;
}

/** The fields every plugin object may have; what else it holds is the plugin's own. */
export function parsePluginEntry(source: JsonObject, path: string, problems: Problems): PluginEntry {
  const type = pluginType(source, path, problems);
  optionalBoolean(source, "ipMasq", path, problems);
  const ipam = optionalObject(source, "ipam", path, problems);
  if (ipam !== undefined && Object.keys(ipam).length > 0) pluginType(ipam, at(path, "ipam"), problems);
  const dns = optionalObject(source, "dns", path, problems);
  if (dns !== undefined) parseDns(dns, at(path, "dns"), problems);
  const capabilities: string[] = [];
  const declared = optionalObject(source, "capabilities", path, problems) ?? {};
  for (const [key, value] of Object.entries(declared)) {
    if (value === true) capabilities.push(key);
    else if (value !== false) problems.add(at(at(path, "capabilities"), key), "must be true or false");
  }
  return { type, capabilities, source };
}

/** The name of an executable: no path. */
function pluginType(source: JsonObject, path: string, problems: Problems): string {
  const type = requiredString(source, "type", path, problems);
  if (/[/\\\0]/.test(type)) problems.add(at(path, "type"), `"${type}" must be a file name, without path`);
  return type;
}

// cniVersion and cniVersions together are what the configuration offers; with the latter, newer ones are
// passed over.
function negotiate(source: JsonObject, supported: readonly CniVersion[], problems: Problems): CniVersion {
  const single = optionalString(source, "cniVersion", "", problems);
  const several = stringList(source, "cniVersions", "", problems);
  for (const [i, text] of several.entries()) {
    if (parseVersion(text) === undefined) problems.add(at("cniVersions", i), `"${text}" is not a version`);
  }
  problems.refuse("network configuration list");
  if (several.length === 0 && single !== undefined && single !== "") return requireVersion(single, supported);
  const offered = single === undefined || single === "" ? several : [...several, single];
  return selectVersion(offered, supported);
}
