// `vnetem cni` without the command line: every command with every configuration of azure.md 5.9, its answers
// held against the specification's shapes, and what the kernel of the node then does.

import test, { type ExecutionContext } from "ava";
import type { ModeName } from "../../src/cni/node.ts";
import { type CniAnswer, runCni } from "../../src/cni/plugin.ts";
import { NodeBackend } from "../../src/cni/plugins/backend.ts";
import { CONFLISTS } from "./conflists.ts";
import { errorViolations, successViolations, versionViolations } from "./schema.ts";
import { Bed, ip } from "./testbed.ts";

type Json = Record<string, unknown>;

const ID = "0123456789abcdef";
const NETNS = "/run/netns/blue";

class Runtime {
  readonly bed: Bed;
  readonly backend: NodeBackend;

  constructor(mode: ModeName, options: ConstructorParameters<typeof Bed>[1] = {}) {
    this.bed = new Bed(mode, options);
    this.backend = new NodeBackend(this.bed.cni, 0);
  }

  run(command: string, config: Json, env: Record<string, string> = {}, plugin?: string): CniAnswer {
    const all = { CNI_COMMAND: command, CNI_CONTAINERID: ID, CNI_NETNS: NETNS, CNI_IFNAME: "eth0", ...env };
    const stdin = JSON.stringify(config);
    return runCni(plugin === undefined ? { env: all, stdin } : { env: all, stdin, plugin }, this.backend);
  }

  /** The result; fails the test when there is none. */
  ok(t: ExecutionContext, command: string, config: Json, env?: Record<string, string>): Json {
    const answer = this.run(command, config, env);
    t.is(answer.exitCode, 0, answer.stdout);
    return answer.stdout === "" ? {} : JSON.parse(answer.stdout);
  }

  /** The error; fails the test when there is none, or it is not as the specification says. */
  error(t: ExecutionContext, command: string, config: Json, env?: Record<string, string>): Json {
    const answer = this.run(command, config, env);
    t.not(answer.exitCode, 0);
    const error = JSON.parse(answer.stdout);
    t.deepEqual(errorViolations(error), []);
    return error;
  }

  devices(): number {
    return this.bed.k.dev.ids.live;
  }
}

const at = (config: Json, cniVersion: string): Json => ({ ...config, cniVersion });

for (const { row, mode, config, refused } of CONFLISTS) {
  const version = String(config.cniVersion);

  test(`5.9 ${row}: VERSION, STATUS, GC and DEL twice of the unknown succeed`, (t) => {
    const rt = new Runtime(mode);
    const answer = rt.ok(t, "VERSION", { cniVersion: version });
    t.deepEqual(versionViolations(answer), []);
    t.is(answer.cniVersion, version);
    t.deepEqual(rt.ok(t, "STATUS", config), {});
    t.deepEqual(rt.ok(t, "GC", config), {});
    t.deepEqual(rt.ok(t, "DEL", config), {});
    t.deepEqual(rt.ok(t, "DEL", config), {});
  });

  if (refused !== undefined) {
    test(`5.9 ${row}: ADD and STATUS name the field that is not modelled, code ${refused}`, (t) => {
      const rt = new Runtime(mode);
      const before = rt.devices();
      const error = rt.error(t, "ADD", config);
      t.is(error.code, refused);
      t.is(error.cniVersion, version);
      t.regex(String(error.msg), /multiTenancy: true/);
      t.is(rt.error(t, "STATUS", at(config, "1.1.0")).code, refused);
      t.is(rt.devices(), before);
    });
    continue;
  }

  test(`5.9 ${row}: ADD, then traffic, then DEL twice`, (t) => {
    const rt = new Runtime(mode);
    const before = rt.devices();
    const result = rt.ok(t, "ADD", config);
    t.deepEqual(successViolations(result, version), []);
    const [first] = result.ips as { address: string }[];
    const other = rt.bed.pod(1);
    rt.bed.run(1);
    t.true(rt.bed.ping(other.ns, ip(first.address.split("/")[0])) > 0);
    rt.bed.remove(other);
    t.deepEqual(rt.ok(t, "DEL", config), {});
    t.is(rt.bed.cni.nodes[0].count, 0);
    const left = mode === "azure-bridge" || mode === "kubenet" ? 1 : 0;
    t.is(rt.devices(), before + left + Number(mode === "azure-bridge" || mode === "kubenet"));
    t.deepEqual(rt.ok(t, "DEL", config), {});
    t.is(rt.bed.k.skb.live, 0);
  });

  test(`5.9 ${row}: CHECK is refused for ${version} and works with 1.1.0, as do STATUS and GC`, (t) => {
    const rt = new Runtime(mode);
    rt.ok(t, "ADD", config);
    t.is(rt.error(t, "CHECK", config).code, 1);
    rt.ok(t, "DEL", config);
    const current = at(config, "1.1.0");
    t.deepEqual(rt.ok(t, "STATUS", current), {});
    t.deepEqual(successViolations(rt.ok(t, "ADD", current), "1.1.0"), []);
    t.deepEqual(rt.ok(t, "CHECK", current), {});
    t.deepEqual(rt.ok(t, "GC", current), {}, "what lives is valid");
    t.deepEqual(rt.ok(t, "CHECK", current), {});
    t.deepEqual(rt.ok(t, "GC", { ...current, "cni.dev/valid-attachments": [] }), {});
    t.is(rt.error(t, "CHECK", current).code, 3);
    t.is(rt.bed.cni.nodes[0].count, 0);
    t.deepEqual(rt.ok(t, "DEL", current), {});
  });

  for (const spoken of ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]) {
    test(`5.9 ${row}: the result of ADD in version ${spoken}`, (t) => {
      const rt = new Runtime(mode);
      t.deepEqual(successViolations(rt.ok(t, "ADD", at(config, spoken)), spoken), []);
      t.deepEqual(rt.ok(t, "DEL", at(config, spoken)), {});
    });
  }
}

const transparent = CONFLISTS[0].config;
const kubenet = CONFLISTS[CONFLISTS.length - 1].config;

test("the result names both ends of the veth, namespace, address and the routes that were made", (t) => {
  const rt = new Runtime("azure-transparent");
  const result = rt.ok(t, "ADD", at(transparent, "1.1.0"));
  const [host, pod] = result.interfaces as Json[];
  t.is(host.mac, "aa:aa:aa:aa:aa:aa");
  t.is(host.sandbox, undefined);
  t.is(pod.name, "eth0");
  t.is(pod.sandbox, NETNS);
  t.is(pod.mtu, 1500);
  const address = "10.224.0.6/16";
  t.deepEqual(result.ips, [{ address, gateway: "10.224.0.1", interface: 1 }]);
  t.deepEqual(result.routes, [
    { dst: "169.254.1.1/32", scope: 253 },
    { dst: "0.0.0.0/0", gw: "169.254.1.1" },
  ]);
  t.deepEqual(result.dns, { nameservers: ["168.63.129.16"] });
});

test("kubenet's result lists the bridge first; the index points at the container's interface", (t) => {
  const rt = new Runtime("kubenet");
  const result = rt.ok(t, "ADD", kubenet);
  const names = (result.interfaces as Json[]).map((i) => i.name);
  t.is(names[0], "cbr0");
  t.regex(String(names[1]), /^veth/);
  t.is(names[2], "eth0");
  const gateway = "10.244.0.1";
  t.deepEqual(result.ips, [{ version: "4", address: "10.244.0.2/24", gateway, interface: 2 }]);
  t.deepEqual(result.routes, [{ dst: "0.0.0.0/0" }]);
});

test("dns of the configuration stands before that of address management", (t) => {
  const rt = new Runtime("azure-transparent");
  const [main, chained] = transparent.plugins as Json[];
  const dns = { nameservers: ["10.0.0.10"], search: ["svc.cluster.local"] };
  const result = rt.ok(t, "ADD", { ...transparent, plugins: [{ ...main, dns }, chained] });
  t.deepEqual(result.dns, dns);
});

test("A8.77 DEL twice succeeds twice; DEL of an unknown container and without a namespace succeeds", (t) => {
  for (const { mode, config } of CONFLISTS) {
    const rt = new Runtime(mode);
    t.deepEqual(rt.ok(t, "DEL", config, { CNI_CONTAINERID: "ffffffffffff" }), {});
    if (rt.run("ADD", config).exitCode === 0) {
      t.deepEqual(rt.ok(t, "DEL", config, { CNI_NETNS: "" }), {});
      t.deepEqual(rt.ok(t, "DEL", config, { CNI_NETNS: "" }), {});
    }
    t.is(rt.bed.cni.nodes[0].count, 0);
  }
});

test("A8.78 ADD twice without DEL: azure-vnet answers that the endpoint exists, and the first stays", (t) => {
  const rt = new Runtime("azure-transparent");
  const config = at(transparent, "1.1.0");
  const first = rt.ok(t, "ADD", config);
  const error = rt.error(t, "ADD", config);
  t.is(error.code, 100);
  t.regex(String(error.msg), /endpoint eth0 already exists/);
  t.deepEqual(rt.ok(t, "CHECK", config), {});
  rt.ok(t, "DEL", config);
  const again = rt.ok(t, "ADD", config);
  t.notDeepEqual(again.ips, first.ips);
});

test("A8.78 another interface name of the same container is another attachment", (t) => {
  const rt = new Runtime("kubenet");
  rt.ok(t, "ADD", kubenet);
  const result = rt.ok(t, "ADD", kubenet, { CNI_IFNAME: "net1" });
  t.is((result.ips as Json[])[0].address, "10.244.0.3/24");
  rt.ok(t, "DEL", kubenet, { CNI_IFNAME: "net1" });
  t.is(rt.bed.cni.nodes[0].count, 1);
});

test("S4 an interface of that name in the container is an error, and no address is lost", (t) => {
  for (const { mode, config, refused } of CONFLISTS) {
    if (refused !== undefined) continue;
    const rt = new Runtime(mode);
    const pod = rt.bed.pod(0, "taken");
    const error = rt.error(t, "ADD", config, { CNI_NETNS: "/run/netns/taken" });
    t.regex(String(error.msg), /eth0 already exists in \/run\/netns\/taken/);
    t.is(rt.bed.cni.nodes[0].count, 1);
    t.deepEqual(rt.bed.cni.check(pod.row), []);
  }
});

test("A8.79 pool exhausted: ADD fails with the IPAM's words, and nothing remains", (t) => {
  const rt = new Runtime("azure-transparent", { maxPods: 1 });
  rt.bed.pod(0);
  const before = rt.devices();
  const error = rt.error(t, "ADD", transparent);
  t.is(error.code, 100);
  t.regex(String(error.msg), /No available addresses/);
  t.is(rt.devices(), before);
  t.is(rt.bed.cni.nodes[0].count, 1);
  t.is(rt.backend.cache.size, 0);
  t.is(rt.error(t, "STATUS", at(transparent, "1.1.0")).code, 50);
});

test("A8.79 kubenet: range exhausted: ADD fails, nothing remains", (t) => {
  const rt = new Runtime("kubenet");
  const plugins = structuredClone(kubenet.plugins) as { ipam: Json }[];
  plugins[0].ipam.ranges = [[{ subnet: "10.244.0.0/30" }]];
  const config = { ...kubenet, plugins };
  rt.ok(t, "ADD", config);
  const before = rt.devices();
  const error = rt.error(t, "ADD", config, { CNI_CONTAINERID: "second", CNI_NETNS: "/run/netns/b" });
  t.is(error.code, 999);
  t.regex(String(error.msg), /no IP addresses available in range set/);
  t.is(rt.devices(), before);
  t.is(rt.bed.cni.nodes[0].count, 1);
  t.is(rt.error(t, "STATUS", at(config, "1.1.0")).code, 50);
});

test("A8.80 A8.81 the address of a deleted pod is there for the next", (t) => {
  const rt = new Runtime("azure-transparent", { maxPods: 1 });
  const first = rt.ok(t, "ADD", transparent);
  rt.ok(t, "DEL", transparent);
  t.deepEqual(rt.ok(t, "ADD", transparent, { CNI_CONTAINERID: "other" }).ips, first.ips);
});

test("A8.82 CNS down: ADD fails, DEL succeeds and leaves an id; back up, the address is free", (t) => {
  const rt = new Runtime("azure-overlay");
  const config = CONFLISTS[3].config;
  const { cns } = rt.bed.cni.nodes[0].ipam;
  rt.ok(t, "ADD", config);
  rt.bed.cni.setCnsUp(0, false);
  const error = rt.error(t, "ADD", config, { CNI_CONTAINERID: "ffffffffffff", CNI_NETNS: "/run/netns/b" });
  t.is(error.code, 100);
  t.regex(String(error.details), /connection refused/);
  t.is(rt.error(t, "STATUS", at(config, "1.1.0")).code, 50);
  t.deepEqual(rt.ok(t, "DEL", config), {});
  t.deepEqual(rt.ok(t, "DEL", config), {});
  // The failed ADD was followed by DEL, as containerd does, and that one left its id too.
  t.deepEqual([...(cns?.deleteIds.keys() ?? [])], ["ffffffffffff", ID]);
  t.is(cns?.deleteIds.get(ID)?.podInterfaceId, "01234567-eth0");
  t.is(cns?.pool.counts[2], 1, "still assigned");
  rt.bed.cni.setCnsUp(0, true);
  t.is(cns?.pool.counts[2], 0);
  t.is(rt.bed.cni.nodes[0].count, 0);
});

test("5.13 azure-ipam with CNS down: ADD code 201, DEL code 11, try again later", (t) => {
  const rt = new Runtime("azure-overlay");
  const config = CONFLISTS.find((c) => c.row === "azilium.conflist")?.config as Json;
  rt.ok(t, "ADD", config);
  rt.bed.cni.setCnsUp(0, false);
  const other = { CNI_CONTAINERID: "other", CNI_NETNS: "/run/netns/other" };
  t.is(rt.error(t, "ADD", config, other).code, 201);
  t.is(rt.error(t, "DEL", config).code, 11);
  rt.bed.cni.setCnsUp(0, true);
  t.deepEqual(rt.ok(t, "DEL", config), {});
  t.is(rt.bed.cni.nodes[0].count, 0);
});

test("A8.89 bad configuration 7, missing CNI_NETNS 4, unknown cniVersion 1, no JSON 6", (t) => {
  const rt = new Runtime("azure-transparent");
  t.is(rt.error(t, "ADD", { ...transparent, plugins: [] }).code, 7);
  const missing = rt.error(t, "ADD", transparent, { CNI_NETNS: "" });
  t.is(missing.code, 4);
  t.regex(String(missing.msg), /CNI_NETNS/);
  t.is(missing.cniVersion, "0.3.0");
  const unknown = rt.error(t, "ADD", at(transparent, "9.9.9"));
  t.is(unknown.code, 1);
  t.is(unknown.cniVersion, "9.9.9");
  const env = { CNI_COMMAND: "ADD", CNI_CONTAINERID: ID, CNI_NETNS: NETNS, CNI_IFNAME: "eth0" };
  const answer = runCni({ env, stdin: "{" }, rt.backend);
  t.is(JSON.parse(answer.stdout).code, 6);
  t.deepEqual(errorViolations(JSON.parse(answer.stdout)), []);
});

test("a list that names plugins nobody has tells all of them", (t) => {
  const rt = new Runtime("kubenet");
  const plugins = [{ type: "flannel" }, { type: "bridge", ipam: { type: "dhcp" } }];
  const error = rt.error(t, "ADD", { ...kubenet, plugins });
  t.is(error.code, 7);
  t.regex(String(error.details), /plugins\[0\]\.type: failed to find plugin "flannel"/);
  t.regex(String(error.details), /plugins\[1\]\.ipam\.type: failed to find plugin "dhcp"/);
});

test("portmap: mappings are kept and pass through; a bad port is code 7 and undoes the ADD", (t) => {
  const rt = new Runtime("kubenet");
  const config = at(kubenet, "1.1.0");
  const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }];
  const CAP_ARGS = JSON.stringify({ portMappings, bandwidth: {} });
  rt.ok(t, "ADD", config, { CAP_ARGS });
  t.deepEqual([...rt.backend.node.portMappings.values()], [portMappings]);
  t.deepEqual(rt.ok(t, "CHECK", config), {}, "with the arguments of ADD");
  rt.ok(t, "DEL", config);
  t.is(rt.backend.node.portMappings.size, 0);
  const bad = JSON.stringify({ portMappings: [{ hostPort: 0, containerPort: 70000, protocol: "x" }] });
  const error = rt.error(t, "ADD", config, { CAP_ARGS: bad });
  t.is(error.code, 7);
  for (const field of ["hostPort", "containerPort", "protocol"]) {
    t.regex(String(error.details), new RegExp(`portMappings\\[0\\]\\.${field}`));
  }
  t.is(rt.bed.cni.nodes[0].count, 0);
});

test("pods of the topology can be checked and deleted by their container's id", (t) => {
  const rt = new Runtime("azure-bridge");
  const config = at(CONFLISTS[1].config, "1.1.0");
  const pod = rt.bed.pod(0, "web-0");
  const env = { CNI_CONTAINERID: rt.bed.cni.pods.containerIdOf(pod.row), CNI_NETNS: "/run/netns/web-0" };
  t.deepEqual(rt.ok(t, "CHECK", config, env), {});
  t.deepEqual(rt.ok(t, "GC", config), {});
  t.deepEqual(rt.ok(t, "CHECK", config, env), {});
  t.deepEqual(rt.ok(t, "DEL", config, env), {});
  t.is(rt.bed.cni.nodes[0].count, 0);
  t.true(rt.bed.k.ns.alive[pod.ns] === 1, "its namespace is the topology's");
});

test("CHECK finds what was broken behind its back", (t) => {
  const rt = new Runtime("azure-transparent");
  const config = at(transparent, "1.1.0");
  rt.ok(t, "ADD", config);
  const { cni, k, walk } = rt.bed;
  const row = cni.nodes[0].first;
  walk.ip.fib.remove(rt.bed.hosts[0], cni.pods.address[row], 32, -1, 0);
  const error = rt.error(t, "CHECK", config);
  t.is(error.code, 100);
  t.regex(String(error.details), /the host's route is missing/);
  k.dev.macLo[cni.pods.podDev[row]]++;
  k.removeNamespace(cni.pods.ns[row]);
  t.regex(String(rt.error(t, "CHECK", config).details), /interface eth0 is missing/);
  t.deepEqual(rt.ok(t, "DEL", config), {});
});

test("STATUS 51 when the node's NIC is down: pods already attached are cut off too", (t) => {
  for (const { mode, config, refused } of CONFLISTS) {
    if (refused !== undefined) continue;
    const rt = new Runtime(mode);
    rt.bed.k.setUp(rt.bed.uplinks[0], false);
    t.is(rt.error(t, "STATUS", at(config, "1.1.0")).code, 51);
  }
});

test("the namespace ADD makes goes with DEL, and is refused where none may be made", (t) => {
  const rt = new Runtime("kubenet");
  const before = rt.bed.k.ns.ids.live;
  rt.ok(t, "ADD", kubenet);
  t.is(rt.bed.k.ns.ids.live, before + 1);
  rt.ok(t, "DEL", kubenet);
  t.is(rt.bed.k.ns.ids.live, before);
  const strict = new NodeBackend(rt.bed.cni, 0, { createNamespaces: false });
  const env = { CNI_COMMAND: "ADD", CNI_CONTAINERID: ID, CNI_NETNS: NETNS, CNI_IFNAME: "eth0" };
  const answer = runCni({ env, stdin: JSON.stringify(kubenet) }, strict);
  t.is(JSON.parse(answer.stdout).code, 3);
});
