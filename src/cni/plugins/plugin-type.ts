// What a plugin is: the versions its real binary speaks, and a function per command. VERSION is answered for
// it.

import type { Invocation } from "../spec/environment.ts";
import type { PluginConfig } from "../spec/execution-config.ts";
import type { JsonObject } from "../spec/json.ts";
import type { Exec } from "../spec/runtime.ts";
import type { CniVersion } from "../spec/version.ts";
import type { NodeBackend } from "./backend.ts";

export interface PluginCall {
  backend: NodeBackend;
  call: Invocation;
  config: PluginConfig;
  /** Executes another plugin: delegation. */
  exec: Exec;
}

export interface Plugin {
  /** Versions of the real binary. */
  versions: readonly CniVersion[];
  add(p: PluginCall): JsonObject;
  del(p: PluginCall): void;
  check(p: PluginCall): void;
  gc(p: PluginCall): void;
  status(p: PluginCall): void;
}
