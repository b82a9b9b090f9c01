// The runtime's side: order of plugins, what each is given, what is remembered, and what happens after
// failures. Plugins here are recorders; the real ones are tested in ../plugin*.test.ts.

import test from "ava";
import { type AttachmentCache, cacheKey } from "../../../src/cni/spec/attachment-cache.ts";
import { delegateAdd } from "../../../src/cni/spec/delegate.ts";
import type { Command, Invocation } from "../../../src/cni/spec/environment.ts";
import { CniError } from "../../../src/cni/spec/error.ts";
import { parsePluginConfig } from "../../../src/cni/spec/execution-config.ts";
import { type NetworkConfig, parseNetworkConfigText } from "../../../src/cni/spec/network-config.ts";
import * as runtime from "../../../src/cni/spec/runtime.ts";
import { CNI_VERSIONS } from "../../../src/cni/spec/version.ts";

type Json = Record<string, unknown>;

class Recorder {
  readonly log: string[] = [];
  readonly configs: Json[] = [];
  readonly cache: AttachmentCache = new Map();
  /** "ADD portmap" fails when it stands here. */
  readonly failing = new Map<string, CniError>();

  exec = (plugin: string, call: Invocation, config: Json): Json | undefined => {
    const step = `${call.command} ${plugin}`;
    this.log.push(step);
    this.configs.push(config);
    const error = this.failing.get(step);
    if (error !== undefined) throw error;
    if (call.command !== "ADD") return undefined;
    return { cniVersion: config.cniVersion, ips: [{ address: "10.0.0.5/24" }], from: plugin };
  };

  take(): string[] {
    return this.log.splice(0);
  }
}

function call(command: Command, containerId = "c1"): Invocation {
  return { command, containerId, netns: "/run/netns/a", ifname: "eth0", args: "", path: "" };
}

function list(fields: Json = {}): NetworkConfig {
  const plugins = [{ type: "one" }, { type: "two" }, { type: "three" }];
  return parseNetworkConfigText(JSON.stringify({ cniVersion: "1.1.0", name: "net", plugins, ...fields }));
}

const boom = (): CniError => new CniError(7, "boom", "details");

test("S4 ADD runs in order, each with the result before it; the last result is answered and kept", (t) => {
  const r = new Recorder();
  const result = runtime.addList(r, list(), call("ADD"), {});
  t.deepEqual(r.take(), ["ADD one", "ADD two", "ADD three"]);
  t.is(r.configs[0].prevResult, undefined);
  t.is((r.configs[1].prevResult as Json).from, "one");
  t.is((r.configs[2].prevResult as Json).from, "two");
  t.is(result.from, "three");
  t.is(r.cache.get(cacheKey("net", "c1", "eth0"))?.result, result);
});

test("S4 DEL runs backwards, every plugin with the final result of ADD; then it is forgotten", (t) => {
  const r = new Recorder();
  runtime.addList(r, list(), call("ADD"), {});
  r.take();
  r.configs.length = 0;
  runtime.deleteList(r, list(), call("DEL"), {});
  t.deepEqual(r.take(), ["DEL three", "DEL two", "DEL one"]);
  for (const config of r.configs) t.is((config.prevResult as Json).from, "three");
  t.is(r.cache.size, 0);
});

test("S5 DEL of what was never added still runs every plugin, without prevResult", (t) => {
  const r = new Recorder();
  runtime.deleteList(r, list(), call("DEL"), {});
  t.deepEqual(r.take(), ["DEL three", "DEL two", "DEL one"]);
  for (const config of r.configs) t.false("prevResult" in config);
});

test("DEL before 0.4.0 has no prevResult", (t) => {
  const r = new Recorder();
  const old = list({ cniVersion: "0.3.1" });
  runtime.addList(r, old, call("ADD"), {});
  r.configs.length = 0;
  runtime.deleteList(r, old, call("DEL"), {});
  for (const config of r.configs) t.false("prevResult" in config);
  t.is(r.cache.size, 0);
});

test("S5 a failing ADD is followed by DEL of the whole list, and its own error is answered", (t) => {
  const r = new Recorder();
  r.failing.set("ADD two", boom());
  r.failing.set("DEL two", new CniError(11, "later"));
  const error = t.throws(() => runtime.addList(r, list(), call("ADD"), {}), { instanceOf: CniError });
  t.deepEqual(r.take(), ["ADD one", "ADD two", "DEL three", "DEL two", "DEL one"]);
  t.is(error?.code, 7);
  t.is(error?.message, 'plugin type="two" failed (add): boom');
  t.is(error?.details, "details");
  t.is(r.cache.size, 0);
});

test("A8.78 a second ADD that fails leaves the first attachment alone", (t) => {
  const r = new Recorder();
  runtime.addList(r, list(), call("ADD"), {});
  r.take();
  r.failing.set("ADD one", new CniError(100, "endpoint exists"));
  const error = t.throws(() => runtime.addList(r, list(), call("ADD"), {}), { instanceOf: CniError });
  t.is(error?.code, 100);
  t.deepEqual(r.take(), ["ADD one"]);
  t.is(r.cache.size, 1);
});

test("DEL stops at the first error and keeps the attachment for another try", (t) => {
  const r = new Recorder();
  runtime.addList(r, list(), call("ADD"), {});
  r.take();
  r.failing.set("DEL two", boom());
  t.throws(() => runtime.deleteList(r, list(), call("DEL"), {}), { instanceOf: CniError });
  t.deepEqual(r.take(), ["DEL three", "DEL two"]);
  t.is(r.cache.size, 1);
});

test("S6 CHECK: forwards with the final result, not below 0.4.0, not when disabled, not without ADD", (t) => {
  const r = new Recorder();
  t.is(t.throws(() => runtime.checkList(r, list(), call("CHECK")), { instanceOf: CniError })?.code, 3);
  runtime.addList(r, list(), call("ADD"), {});
  r.take();
  r.configs.length = 0;
  runtime.checkList(r, list(), call("CHECK"));
  t.deepEqual(r.take(), ["CHECK one", "CHECK two", "CHECK three"]);
  for (const config of r.configs) t.is((config.prevResult as Json).from, "three");
  runtime.checkList(r, list({ disableCheck: true }), call("CHECK"));
  t.deepEqual(r.take(), []);
  const old = list({ cniVersion: "0.3.1" });
  t.is(t.throws(() => runtime.checkList(r, old, call("CHECK")), { instanceOf: CniError })?.code, 1);
});

test("S7 GC deletes stale attachments, tells every plugin what is valid, goes on after errors", (t) => {
  const r = new Recorder();
  for (const id of ["c1", "c2", "c3"]) runtime.addList(r, list(), call("ADD", id), {});
  r.take();
  r.configs.length = 0;
  r.failing.set("GC one", boom());
  r.failing.set("GC three", new CniError(5, "bang"));
  const valid = [{ containerID: "c2", ifname: "eth0" }];
  const error = t.throws(() => runtime.collectList(r, list(), call("GC", ""), valid), {
    instanceOf: CniError,
  });
  t.deepEqual(r.take().slice(-3), ["GC one", "GC two", "GC three"]);
  t.deepEqual(r.configs.at(-1)?.["cni.dev/valid-attachments"], valid);
  t.deepEqual([...r.cache.keys()], [cacheKey("net", "c2", "eth0")]);
  t.is(error?.code, 7);
  t.is(error?.details, "boom: details; bang");
});

test("S7 disableGC forbids it; before 1.1.0 only stale attachments are deleted", (t) => {
  const r = new Recorder();
  runtime.addList(r, list({ disableGC: true }), call("ADD"), {});
  r.take();
  runtime.collectList(r, list({ disableGC: true }), call("GC", ""), []);
  t.deepEqual(r.take(), []);
  runtime.collectList(r, list({ cniVersion: "1.0.0" }), call("GC", ""), []);
  t.deepEqual(r.take(), ["DEL three", "DEL two", "DEL one"]);
});

test("S8 STATUS: the first error is the answer; below 1.1.0 no plugin is asked", (t) => {
  const r = new Recorder();
  runtime.statusList(r, list(), call("STATUS", ""));
  t.deepEqual(r.take(), ["STATUS one", "STATUS two", "STATUS three"]);
  r.failing.set("STATUS two", new CniError(50, "not ready"));
  const error = t.throws(() => runtime.statusList(r, list(), call("STATUS", "")), { instanceOf: CniError });
  t.is(error?.code, 50);
  r.take();
  runtime.statusList(r, list({ cniVersion: "1.0.0" }), call("STATUS", ""));
  t.deepEqual(r.take(), []);
});

test("A8.90 a delegate that fails on ADD sees DEL before the caller fails", (t) => {
  const r = new Recorder();
  r.failing.set("ADD ipam", boom());
  const source = { cniVersion: "1.1.0", name: "net", type: "main", ipam: { type: "ipam" } };
  const config = parsePluginConfig(source, CNI_VERSIONS);
  const error = t.throws(() => delegateAdd(r.exec, call("ADD"), config), { instanceOf: CniError });
  t.deepEqual(r.take(), ["ADD ipam", "DEL ipam"]);
  t.deepEqual(r.configs, [source, source]);
  t.is(error?.code, 7);
});

test("A8.90 a delegate that answers without address counts as failed", (t) => {
  const r = new Recorder();
  const source = { cniVersion: "1.1.0", name: "net", type: "main", ipam: { type: "ipam" } };
  const config = parsePluginConfig(source, CNI_VERSIONS);
  const exec: runtime.Exec = (plugin, invocation, json) => {
    r.exec(plugin, invocation, json);
    return { cniVersion: "1.1.0" };
  };
  t.throws(() => delegateAdd(exec, call("ADD"), config), { message: /bad result/ });
  t.deepEqual(r.take(), ["ADD ipam", "DEL ipam"]);
});
