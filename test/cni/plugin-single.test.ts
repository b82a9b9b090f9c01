// One plugin at a time, as a runtime executes it: execution configurations on stdin, delegates, and the
// versions the real binaries speak.

import test, { type ExecutionContext } from "ava";
import type { ModeName } from "../../src/cni/node.ts";
import { runCni } from "../../src/cni/plugin.ts";
import { NodeBackend } from "../../src/cni/plugins/backend.ts";
import { errorViolations, successViolations } from "./schema.ts";
import { Bed } from "./testbed.ts";

type Json = Record<string, unknown>;

const ARGS = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0";

function plugin(mode: ModeName, calledAs?: string) {
  const bed = new Bed(mode);
  const backend = new NodeBackend(bed.cni, 0);
  const run = (command: string, config: Json, env: Record<string, string> = {}): Json & { exit: number } => {
    const base = { CNI_CONTAINERID: "0123456789ab", CNI_NETNS: "/run/netns/a", CNI_IFNAME: "eth0" };
    const call = {
      env: { CNI_COMMAND: command, ...base, CNI_ARGS: ARGS, ...env },
      stdin: JSON.stringify(config),
    };
    const answer = runCni(calledAs === undefined ? call : { ...call, plugin: calledAs }, backend);
    return { exit: answer.exitCode, ...(answer.stdout === "" ? {} : JSON.parse(answer.stdout)) };
  };
  return { bed, backend, run };
}

function fails(t: ExecutionContext, answer: Json & { exit: number }, code: number): void {
  const { exit, ...error } = answer;
  t.is(exit, 1);
  t.deepEqual(errorViolations(error), []);
  t.is(error.code, code, JSON.stringify(error));
}

const azure = {
  cniVersion: "1.1.0",
  name: "azure",
  type: "azure-vnet",
  mode: "transparent",
  ipam: { type: "azure-vnet-ipam" },
};
const bridge = {
  cniVersion: "1.1.0",
  name: "kubenet",
  type: "bridge",
  bridge: "cbr0",
  isGateway: true,
  ipam: { type: "host-local", ranges: [[{ subnet: "10.244.0.0/24" }]], routes: [{ dst: "0.0.0.0/0" }] },
};

test("ADD, CHECK with prevResult, DEL: the runtime keeps the result, not the plugin", (t) => {
  for (const [mode, config] of [
    ["azure-transparent", azure],
    ["kubenet", bridge],
  ] as const) {
    const { run, backend } = plugin(mode);
    const { exit, ...result } = run("ADD", config);
    t.is(exit, 0);
    t.deepEqual(successViolations(result, "1.1.0"), []);
    t.is(backend.cache.size, 0);
    fails(t, run("CHECK", config), 7);
    t.deepEqual(run("CHECK", { ...config, prevResult: result }), { exit: 0 });
    const wrong = structuredClone(result) as { interfaces: { mac: string }[] };
    wrong.interfaces[wrong.interfaces.length - 1].mac = "02:00:00:00:00:01";
    fails(t, run("CHECK", { ...config, prevResult: wrong }), mode === "kubenet" ? 999 : 100);
    t.deepEqual(run("DEL", { ...config, prevResult: result }), { exit: 0 });
    fails(t, run("CHECK", { ...config, prevResult: result }), 3);
  }
});

test("a prevResult in an older version than the configuration is understood", (t) => {
  const { run } = plugin("kubenet");
  const { exit: _, ...result } = run("ADD", { ...bridge, cniVersion: "0.4.0" });
  t.is(result.cniVersion, "0.4.0");
  t.deepEqual(run("CHECK", { ...bridge, prevResult: result }), { exit: 0 });
});

test("chained plugins pass the result through and refuse to come first", (t) => {
  const { run } = plugin("kubenet");
  const { exit: _, ...prevResult } = run("ADD", bridge);
  const portmap = { cniVersion: "1.1.0", name: "kubenet", type: "portmap" };
  const { exit, ...result } = run("ADD", { ...portmap, prevResult });
  t.is(exit, 0);
  t.deepEqual(result, prevResult);
  fails(t, run("ADD", portmap), 999);
  fails(t, run("ADD", { ...portmap, type: "cilium-cni" }), 7);
  fails(t, run("CHECK", portmap), 7);
  fails(t, run("ADD", { ...portmap, prevResult, markMasqBit: 40, externalSetMarkChain: "X" }), 7);
});

test("S8 S7 GC and STATUS need 1.1.0, CHECK 0.4.0, and GC the list of what is valid", (t) => {
  const { run } = plugin("kubenet");
  fails(t, run("GC", { ...bridge, cniVersion: "1.0.0", "cni.dev/valid-attachments": [] }), 1);
  fails(t, run("STATUS", { ...bridge, cniVersion: "1.0.0" }), 1);
  fails(t, run("CHECK", { ...bridge, cniVersion: "0.3.1" }), 1);
  fails(t, run("GC", bridge), 7);
  t.deepEqual(run("GC", { ...bridge, "cni.dev/attachments": [] }), { exit: 0 }, "libcni's draft key");
});

test("S7 GC frees what is not valid, interfaces and addresses, and nothing of other networks", (t) => {
  const { run, bed } = plugin("kubenet");
  for (const id of ["aaaaaaaaaaaa", "bbbbbbbbbbbb"]) {
    run("ADD", bridge, { CNI_CONTAINERID: id, CNI_NETNS: `/run/netns/${id}` });
  }
  const other = {
    ...bridge,
    name: "other",
    bridge: "br1",
    ipam: { type: "host-local", subnet: "10.9.0.0/24" },
  };
  run("ADD", other, { CNI_CONTAINERID: "cccccccccccc", CNI_NETNS: "/run/netns/c" });
  t.is(bed.cni.nodes[0].count, 3);
  const valid = [{ containerID: "bbbbbbbbbbbb", ifname: "eth0" }];
  t.deepEqual(run("GC", { ...bridge, "cni.dev/valid-attachments": valid }), { exit: 0 });
  t.is(bed.cni.nodes[0].count, 2);
  const kept = [...bed.cni.nodes[0].hostLocal.get("kubenet")![0].pool.owner].filter((o) => o >= 0);
  t.is(kept.length, 1);
});

test("a delegate called by its own name answers an abbreviated result", (t) => {
  const { run } = plugin("kubenet", "host-local");
  const { exit, ...result } = run("ADD", bridge);
  t.is(exit, 0);
  t.deepEqual(successViolations(result, "1.1.0", true), []);
  t.deepEqual(result, {
    cniVersion: "1.1.0",
    ips: [{ address: "10.244.0.2/24", gateway: "10.244.0.1" }],
    routes: [{ dst: "0.0.0.0/0" }],
  });
  t.deepEqual(run("CHECK", { ...bridge, prevResult: result }), { exit: 0 });
  fails(t, run("ADD", bridge), 999);
  t.deepEqual(run("STATUS", bridge), { exit: 0 });
  t.deepEqual(run("DEL", bridge), { exit: 0 });
  fails(t, run("CHECK", { ...bridge, prevResult: result }), 999);
});

test("azure-vnet-ipam and azure-ipam by their own names", (t) => {
  const vnet = plugin("azure-transparent", "azure-vnet-ipam");
  const config = { ...azure, cniVersion: "1.0.0" };
  const { exit, ...result } = vnet.run("ADD", config);
  t.is(exit, 0);
  t.deepEqual(successViolations(result, "1.0.0", true), []);
  t.deepEqual(result.routes, [{ dst: "0.0.0.0/0", gw: "10.224.0.1" }]);
  const again = vnet.run("ADD", config);
  t.deepEqual(again.ips, result.ips, "idempotent per container");
  const ipam = plugin("azure-overlay", "azure-ipam");
  const overlay = { ...config, type: "cilium-cni", ipam: { type: "azure-ipam" } };
  const answer = ipam.run("ADD", overlay);
  t.deepEqual(answer.ips, [{ address: "10.244.0.4/16" }]);
  fails(t, ipam.run("ADD", overlay, { CNI_ARGS: "" }), 100);
});

test("A8.90 when wiring fails after the delegate gave an address, the delegate sees DEL", (t) => {
  const { run, bed } = plugin("kubenet");
  bed.k.addDevice(bed.hosts[0], 2, "cbr0");
  fails(t, run("ADD", bridge), 999);
  t.is(bed.cni.nodes[0].hostLocal.get("kubenet")![0].pool.count(2), 0);
  t.is(bed.cni.nodes[0].count, 0);
});

test("5.13 azure-vnet needs the pod's name and namespace, in its own alphabet; DEL does not", (t) => {
  const { run } = plugin("azure-transparent");
  for (const args of ["", "K8S_POD_NAME=a", "K8S_POD_NAMESPACE=a", "A", "X=1;K8S_POD_NAME=a"]) {
    fails(t, run("ADD", azure, { CNI_ARGS: args }), 100);
  }
  fails(t, run("ADD", azure, { CNI_ARGS: "K8S_POD_NAMESPACE=default;K8S_POD_NAME=a/b" }), 100);
  t.deepEqual(run("DEL", azure, { CNI_ARGS: "" }), { exit: 0 });
  const odd = "K8S_POD_NAMESPACE=default;K8S_POD_NAME=a.b_c-d (1)";
  t.is(run("ADD", azure, { CNI_ARGS: odd }).exit, 0);
});

const AZURE_BAD: [string, Json, number][] = [
  ["mode l2bridge", { mode: "l2bridge" }, 2],
  ["mode transparent-vlan", { mode: "transparent-vlan" }, 2],
  ["baremetal", { executionMode: "baremetal" }, 2],
  ["multitenancy", { multiTenancy: true }, 2],
  ["mode of the wrong type", { mode: 5 }, 7],
  ["an address that is none", { ipsToRouteViaHost: ["x"] }, 7],
  ["no ipam", { ipam: undefined }, 7],
  ["an ipam nobody has", { ipam: { type: "dhcp" } }, 7],
];

for (const [title, fields, code] of AZURE_BAD) {
  test(`A8.89 azure-vnet, ${title}: code ${code}`, (t) => {
    const { run, bed } = plugin("azure-transparent");
    fails(t, run("ADD", { ...azure, ...fields }), code);
    t.is(bed.cni.nodes[0].count, 0);
  });
}

const BRIDGE_BAD: [string, Json, number][] = [
  ["hairpin and promiscuous", { hairpinMode: true, promiscMode: true }, 7],
  ["mtu of the wrong type", { mtu: "1500" }, 7],
  ["isGateway of the wrong type", { isGateway: 1 }, 7],
  ["no ipam", { ipam: {} }, 7],
  ["a VLAN", { vlan: 5 }, 2],
  ["ipMasq", { ipMasq: true }, 2],
  ["a bad range", { ipam: { type: "host-local", subnet: "x" } }, 7],
  ["an IPv6 range", { ipam: { type: "host-local", subnet: "fd00::/64" } }, 2],
];

for (const [title, fields, code] of BRIDGE_BAD) {
  test(`A8.89 bridge, ${title}: code ${code}`, (t) => {
    const { run, bed } = plugin("kubenet");
    fails(t, run("ADD", { ...bridge, ...fields }), code);
    t.is(bed.cni.nodes[0].count, 0);
  });
}

test("bridge: cni0 by default, isDefaultGateway adds the route, mtu and hairpin are applied", (t) => {
  const { run, bed } = plugin("kubenet");
  const { bridge: _, ...rest } = bridge;
  const ipam = { type: "host-local", subnet: "10.9.0.0/24" };
  const answer = run("ADD", { ...rest, ipam, isDefaultGateway: true, hairpinMode: true, mtu: 1400 });
  t.deepEqual(answer.routes, [{ dst: "0.0.0.0/0", gw: "10.9.0.1" }]);
  const [first, , last] = answer.interfaces as Json[];
  t.is(first.name, "cni0");
  t.is(last.mtu, 1400);
  const row = bed.cni.nodes[0].first;
  t.is(bed.k.dev.portFlags[bed.cni.pods.hostDev[row]] & 1, 1);
});

test("bridge: promiscMode makes the bridge promiscuous", (t) => {
  for (const promiscMode of [false, true]) {
    const { run, bed } = plugin("kubenet");
    t.is(run("ADD", { ...bridge, promiscMode }).exit, 0);
    const { promiscuous } = bed.walk.link.bridges;
    t.is(promiscuous.has(bed.dev(bed.hosts[0], bridge.bridge)), promiscMode);
  }
});

test("called by its own name azure-vnet speaks 0.1.0 to 1.0.0: no GC, no STATUS", (t) => {
  const { run } = plugin("azure-transparent", "azure-vnet");
  const version = run("VERSION", { cniVersion: "1.0.0" });
  t.deepEqual(version.supportedVersions, ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"]);
  fails(t, run("ADD", azure), 1);
  fails(t, run("GC", { ...azure, "cni.dev/valid-attachments": [] }), 1);
  fails(t, run("STATUS", { ...azure, cniVersion: "1.0.0" }), 1);
  t.is(run("ADD", { ...azure, cniVersion: "1.0.0" }).exit, 0);
  const own = plugin("azure-transparent");
  t.is((own.run("VERSION", {}).supportedVersions as string[]).at(-1), "1.1.0");
});

test("an unknown plugin is code 7, whoever names it", (t) => {
  const { run } = plugin("kubenet");
  fails(t, run("ADD", { ...bridge, type: "macvlan" }), 7);
  fails(t, plugin("kubenet", "macvlan").run("VERSION", {}), 7);
});
