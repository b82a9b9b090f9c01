// The CNI plugin: one command from environment and stdin, one answer for stdout and the exit code. Mirrors
// libcni pkg/skel for a single plugin. Given a whole configuration list it is the runtime as well, as
// libcni's cnitool is: it runs the list's plugins and remembers results; capability arguments then come from
// CAP_ARGS, and a pod's name that CNI_ARGS does not give is the container's id in namespace "default".
//
// Called as vnetem every plugin speaks 0.1.0 to 1.1.0; called by a plugin's own name, what the real one
// speaks.

import type { NodeBackend } from "./plugins/backend.ts";
import { describeAttachment } from "./plugins/describe.ts";
import { IPAM_NAMES, PLUGIN_NAMES, PLUGINS } from "./plugins/registry.ts";
import { parseArgs } from "./spec/args.ts";
import { cacheKey } from "./spec/attachment-cache.ts";
import { type Environment, type Invocation, parseEnvironment } from "./spec/environment.ts";
import { CniCode, CniError, Problems } from "./spec/error.ts";
import {
  configVersion,
  parseAttachmentIds,
  parsePluginConfig,
  VALID_ATTACHMENTS,
} from "./spec/execution-config.ts";
import { at, isObject, type JsonObject, optionalArray, parseObject } from "./spec/json.ts";
import { type NetworkConfig, parseNetworkConfig } from "./spec/network-config.ts";
import { formatResult } from "./spec/result-version.ts";
import {
  addList,
  checkList,
  collectList,
  deleteList,
  type Exec,
  type Runtime,
  statusList,
  tooOld,
} from "./spec/runtime.ts";
import { atLeast, CNI_VERSIONS, type CniVersion, UNVERSIONED } from "./spec/version.ts";

export interface CniCall {
  env: Environment;
  /** All of stdin. */
  stdin: string;
  /** Name the program was called by, when it is that of a plugin. */
  plugin?: string;
}

export interface CniAnswer {
  stdout: string;
  exitCode: number;
}

/** Answers one CNI command against one node of an emulation. Only a bug of ours throws. */
export function runCni(request: CniCall, backend: NodeBackend): CniAnswer {
  try {
    const result = answer(request, backend);
    return { stdout: result === undefined ? "" : print(result), exitCode: 0 };
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    return { stdout: print(error.toObject(versionOf(request.stdin))), exitCode: 1 };
  }
}

function answer(request: CniCall, backend: NodeBackend): JsonObject | undefined {
  const call = parseEnvironment(request.env);
  const supported = supportedVersions(request.plugin);
  if (call.command === "VERSION") {
    return { cniVersion: versionOf(request.stdin), supportedVersions: supported };
  }
  const source = parseObject(request.stdin, "network configuration");
  if (source.plugins === undefined && source.type !== undefined) {
    return execute(backend, request.plugin)(request.plugin ?? String(source.type), call, source);
  }
  const list = parseNetworkConfig(source, supported);
  refuseUnknownPlugins(list);
  return runList(request, backend, call, list);
}

function runList(
  request: CniCall,
  backend: NodeBackend,
  invocation: Invocation,
  list: NetworkConfig,
): JsonObject | undefined {
  const runtime: Runtime = { exec: execute(backend, request.plugin), cache: backend.cache };
  const call = withPod(invocation);
  recall(backend, call, list);
  switch (call.command) {
    case "ADD":
      return addList(runtime, list, call, capabilityArgs(request.env));
    case "DEL":
      deleteList(runtime, list, call, capabilityArgs(request.env));
      return undefined;
    case "CHECK":
      checkList(runtime, list, call);
      return undefined;
    case "GC":
      collectList(runtime, list, call, validAttachments(backend, list));
      return undefined;
    default:
      statusList(runtime, list, call);
      return undefined;
  }
}

/** Runs one plugin with an execution configuration. */
function execute(backend: NodeBackend, calledAs: string | undefined): Exec {
  const exec: Exec = (name, call, source) => {
    const plugin = PLUGINS.get(name);
    if (plugin === undefined) throw unknownPlugins([{ path: "type", name }], PLUGIN_NAMES);
    const supported = calledAs === undefined ? CNI_VERSIONS : plugin.versions;
    const version = configVersion(source, supported);
    if (call.command === "CHECK" && !atLeast(version, "0.4.0")) throw tooOld(version, "CHECK", "0.4.0");
    if ((call.command === "GC" || call.command === "STATUS") && !atLeast(version, "1.1.0")) {
      throw tooOld(version, call.command, "1.1.0");
    }
    const config = parsePluginConfig(source, supported);
    if (config.ipamType !== "" && !IPAM_NAMES.includes(config.ipamType)) {
      throw unknownPlugins([{ path: "ipam.type", name: config.ipamType }], IPAM_NAMES);
    }
    const p = { backend, call, config, exec };
    switch (call.command) {
      case "ADD":
        return plugin.add(p);
      case "DEL":
        plugin.del(p);
        return undefined;
      case "CHECK":
        plugin.check(p);
        return undefined;
      case "GC":
        plugin.gc(p);
        return undefined;
      default:
        plugin.status(p);
        return undefined;
    }
  };
  return exec;
}

function supportedVersions(calledAs: string | undefined): readonly CniVersion[] {
  if (calledAs === undefined) return CNI_VERSIONS;
  const plugin = PLUGINS.get(calledAs);
  if (plugin === undefined) throw unknownPlugins([{ path: "", name: calledAs }], PLUGIN_NAMES);
  return plugin.versions;
}

/** The version to answer in: that of the configuration, as far as it can be read. */
function versionOf(stdin: string): string {
  try {
    const { cniVersion } = JSON.parse(stdin);
    if (typeof cniVersion === "string" && cniVersion !== "") return cniVersion;
  } catch {
    // An answer to unreadable input still has a version.
  }
  return UNVERSIONED;
}

// "Look up the executable specified in the type field. If this does not exist, then this is an error."
function refuseUnknownPlugins(list: NetworkConfig): void {
  const unknown: { path: string; name: string }[] = [];
  for (const [i, { type, source }] of list.plugins.entries()) {
    const path = at("plugins", i);
    if (!PLUGINS.has(type)) unknown.push({ path: at(path, "type"), name: type });
    const ipam = isObject(source.ipam) ? source.ipam.type : undefined;
    if (typeof ipam === "string" && !IPAM_NAMES.includes(ipam)) {
      unknown.push({ path: at(path, "ipam.type"), name: ipam });
    }
  }
  if (unknown.length > 0) throw unknownPlugins(unknown, [...new Set([...PLUGIN_NAMES, ...IPAM_NAMES])]);
}

function unknownPlugins(unknown: { path: string; name: string }[], known: readonly string[]): CniError {
  const problems = new Problems();
  for (const { path, name } of unknown) problems.add(path, `failed to find plugin "${name}"`);
  const details = `${problems}; there are ${known.join(", ")}`;
  return new CniError(CniCode.INVALID_CONFIG, "unknown plugin", details);
}

function capabilityArgs(env: Environment): JsonObject {
  const text = env.CAP_ARGS ?? "";
  return text === "" ? {} : parseObject(text, "CAP_ARGS");
}

// What kubelet adds to CNI_ARGS.
function withPod(call: Invocation): Invocation {
  const pairs = parseArgs(call.args);
  if (call.containerId === "" || typeof pairs === "string" || pairs.has("K8S_POD_NAME")) return call;
  const pod = `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${call.containerId}`;
  return { ...call, args: call.args === "" ? pod : `${call.args};${pod}` };
}

// Pods of the topology were attached without a runtime: their result is made when it is first asked for.
function recall(backend: NodeBackend, call: Invocation, list: NetworkConfig): void {
  const { containerId, ifname, args } = call;
  const key = cacheKey(list.name, containerId, ifname);
  const row = containerId === "" ? -1 : backend.find(list.name, call);
  if (!backend.isWired(row) || backend.cache.has(key)) return;
  const netns = backend.cni.pods.netns[row] || call.netns;
  const result = formatResult(describeAttachment(backend.cni, row, netns), list.cniVersion);
  backend.cache.set(key, {
    network: list.name,
    containerId,
    ifname,
    netns,
    args,
    capabilityArgs: {},
    result,
  });
}

function validAttachments(backend: NodeBackend, list: NetworkConfig) {
  if (list.source[VALID_ATTACHMENTS] === undefined) return backend.valid(list.name);
  const problems = new Problems();
  const items = optionalArray(list.source, VALID_ATTACHMENTS, "", problems);
  const valid = parseAttachmentIds(items, VALID_ATTACHMENTS, problems);
  problems.refuse("network configuration list");
  return valid;
}

function print(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
