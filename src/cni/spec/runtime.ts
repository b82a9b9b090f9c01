// The runtime's part of the protocol: which plugins of a list run for a command, in which order and with
// what. Mirrors SPEC.md 1.1.0, section 3 (azure.md S4-S8), and libcni libcni/api.go. As containerd does, an
// ADD that fails half way is followed by DEL of the whole list.

import { type AttachmentCache, cacheKey } from "./attachment-cache.ts";
import type { Invocation } from "./environment.ts";
import { CniCode, CniError } from "./error.ts";
import { type AttachmentId, deriveConfig } from "./execution-config.ts";
import type { JsonObject } from "./json.ts";
import type { NetworkConfig } from "./network-config.ts";
import { atLeast } from "./version.ts";

/** Runs one plugin; the result of ADD, nothing for the other commands. Throws CniError. */
export type Exec = (plugin: string, call: Invocation, config: JsonObject) => JsonObject | undefined;

export interface Runtime {
  exec: Exec;
  cache: AttachmentCache;
}

export function addList(
  rt: Runtime,
  list: NetworkConfig,
  call: Invocation,
  capabilityArgs: JsonObject,
): JsonObject {
  const { containerId, netns, ifname, args } = call;
  const key = cacheKey(list.name, containerId, ifname);
  let result: JsonObject = {};
  let prevResult: JsonObject | undefined;
  for (const plugin of list.plugins) {
    try {
      result = rt.exec(plugin.type, call, deriveConfig(list, plugin, { prevResult, capabilityArgs })) ?? {};
      prevResult = result;
    } catch (error) {
      // A second ADD without DEL fails too, and must not take the first one's interface with it.
      if (!rt.cache.has(key)) undo(rt, list, call, capabilityArgs);
      throw describe(error, plugin.type, "add");
    }
  }
  const network = list.name;
  rt.cache.set(key, { network, containerId, ifname, netns, args, capabilityArgs, result });
  return result;
}

export function deleteList(
  rt: Runtime,
  list: NetworkConfig,
  call: Invocation,
  capabilityArgs: JsonObject,
): void {
  const key = cacheKey(list.name, call.containerId, call.ifname);
  const cached = rt.cache.get(key);
  const netns = call.netns || (cached?.netns ?? "");
  const same: Invocation = { ...call, netns, args: call.args || (cached?.args ?? "") };
  const offered = Object.keys(capabilityArgs).length > 0 ? capabilityArgs : (cached?.capabilityArgs ?? {});
  const prevResult = atLeast(list.cniVersion, "0.4.0") ? cached?.result : undefined;
  for (const plugin of list.plugins.toReversed()) {
    try {
      rt.exec(plugin.type, same, deriveConfig(list, plugin, { prevResult, capabilityArgs: offered }));
    } catch (error) {
      throw describe(error, plugin.type, "delete");
    }
  }
  rt.cache.delete(key);
}

export function checkList(rt: Runtime, list: NetworkConfig, call: Invocation): void {
  if (!atLeast(list.cniVersion, "0.4.0")) throw tooOld(list.cniVersion, "CHECK", "0.4.0");
  if (list.disableCheck) return;
  const cached = rt.cache.get(cacheKey(list.name, call.containerId, call.ifname));
  if (cached === undefined) {
    const msg = `container ${call.containerId} has no interface ${call.ifname} on network ${list.name}`;
    throw new CniError(CniCode.UNKNOWN_CONTAINER, msg);
  }
  const { result: prevResult, capabilityArgs, args } = cached;
  for (const plugin of list.plugins) {
    const config = deriveConfig(list, plugin, { prevResult, capabilityArgs });
    rt.exec(plugin.type, { ...call, args: call.args || args }, config);
  }
}

/**
 * DEL for every cached attachment that is not valid any more, then GC where the version has it. All errors
 * are told.
 */
export function collectList(
  rt: Runtime,
  list: NetworkConfig,
  call: Invocation,
  valid: readonly AttachmentId[],
): void {
  if (list.disableGC) return;
  const errors: unknown[] = [];
  const keep = new Set(valid.map((a) => cacheKey(list.name, a.containerID, a.ifname)));
  for (const [key, entry] of [...rt.cache]) {
    if (entry.network !== list.name || keep.has(key)) continue;
    const { containerId, ifname, netns, args } = entry;
    const stale: Invocation = { ...call, command: "DEL", containerId, ifname, netns, args };
    attempt(errors, () => deleteList(rt, list, stale, entry.capabilityArgs));
  }
  if (atLeast(list.cniVersion, "1.1.0")) {
    for (const plugin of list.plugins) {
      const config = deriveConfig(list, plugin, { validAttachments: valid });
      attempt(errors, () => rt.exec(plugin.type, call, config));
    }
  }
  if (errors.length > 0) throw joined(errors);
}

export function statusList(rt: Runtime, list: NetworkConfig, call: Invocation): void {
  if (!atLeast(list.cniVersion, "1.1.0")) return;
  for (const plugin of list.plugins) rt.exec(plugin.type, call, deriveConfig(list, plugin, {}));
}

export function tooOld(version: string, command: string, since: string): CniError {
  const msg = `config version ${version} does not allow ${command}, which came with ${since}`;
  return new CniError(CniCode.INCOMPATIBLE_VERSION, msg);
}

/** Runs and keeps the error, so that the rest can run too. */
export function attempt(errors: unknown[], run: () => void): void {
  try {
    run();
  } catch (error) {
    errors.push(error);
  }
}

/** One error that tells all: the first one's code, every text. */
export function joined(errors: readonly unknown[]): unknown {
  const [first] = errors;
  if (errors.length === 1 || !errors.every((e) => e instanceof CniError)) return first;
  const texts = errors.map((e) => e.describe());
  return new CniError((first as CniError).code, `${errors.length} errors`, texts.join("; "));
}

// SPEC.md, "Lifecycle & Ordering": a delete must still be executed if the add fails. Its own errors are not
// news.
function undo(rt: Runtime, list: NetworkConfig, call: Invocation, capabilityArgs: JsonObject): void {
  for (const plugin of list.plugins.toReversed()) {
    const config = deriveConfig(list, plugin, { capabilityArgs });
    attempt([], () => rt.exec(plugin.type, { ...call, command: "DEL" }, config));
  }
}

function describe(error: unknown, type: string, verb: string): unknown {
  if (!(error instanceof CniError)) return error;
  return new CniError(error.code, `plugin type="${type}" failed (${verb}): ${error.message}`, error.details);
}
