// How an interface plugin uses another plugin, in practice its IPAM plugin: same environment, whole
// configuration. Mirrors SPEC.md 1.1.0, section 4 (azure.md S12): when the delegate fails on ADD, it is
// executed again with DEL before the caller fails.

import type { Invocation } from "./environment.ts";
import { CniCode, CniError, Problems } from "./error.ts";
import type { PluginConfig } from "./execution-config.ts";
import { type CniResult, parseResult } from "./result.ts";
import { attempt, type Exec } from "./runtime.ts";
import { type CniVersion, isCniVersion } from "./version.ts";

/** ADD; the abbreviated result, with at least one address. On any failure the delegate has seen DEL. */
export function delegateAdd(exec: Exec, call: Invocation, config: PluginConfig): CniResult {
  try {
    const answer = exec(config.ipamType, { ...call, command: "ADD" }, config.source) ?? {};
    const problems = new Problems();
    const own = answer.cniVersion;
    const version: CniVersion = typeof own === "string" && isCniVersion(own) ? own : config.cniVersion;
    const result = parseResult(answer, version, `result of ${config.ipamType}`, problems);
    if (problems.list.length > 0) throw badAnswer(problems.toString());
    if (result.ips.length === 0) throw badAnswer(`${config.ipamType} returned no address`);
    return { ...result, interfaces: [] };
  } catch (error) {
    delegateDelete(exec, call, config);
    throw error;
  }
}

/** DEL on the way out of a failure: its own errors do not matter any more. */
export function delegateDelete(exec: Exec, call: Invocation, config: PluginConfig): void {
  attempt([], () => delegate(exec, { ...call, command: "DEL" }, config));
}

/** Any other command, whose errors the caller passes on. */
export function delegate(exec: Exec, call: Invocation, config: PluginConfig): void {
  exec(config.ipamType, call, config.source);
}

function badAnswer(details: string): CniError {
  return new CniError(CniCode.INTERNAL, "IPAM plugin returned a bad result", details);
}
