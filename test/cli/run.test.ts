// vnetem run: the summary, one JSON object and nothing else, captures and recordings, seeds, exit codes.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { cleanUp, dir, QUICKSTART, TOPOLOGIES, vnetem } from "./command.ts";

test.after.always(cleanUp);

function topology(name: string, run: string): string {
  const path = join(dir, `${name}.ts`);
  writeFileSync(
    path,
    `import { defineTopology, expect, ms, type Net } from "vnetem";
export default defineTopology({ seed: 3 }, (t) => {
  const vnet = t.vnet("v", { addressSpace: ["10.0.0.0/8"] });
  const aks = t.cluster("aks", { subnet: vnet.subnet("s", "10.1.0.0/16"), serviceCidr: "172.16.0.0/16" });
  aks.nodes(1).pod("a").pod("b", { udpEcho: 7 });
});
${run}
void expect, ms;
`,
  );
  return path;
}

test("the summary: what the script said, counters, deliveries, drops", async (t) => {
  const { code, stdout, stderr } = await vnetem("run", join(TOPOLOGIES, "kubenet.ts"));
  t.is(stderr, "");
  t.is(code, 0);
  const lines = stdout.split("\n");
  t.is(lines[0], "web-0 10.244.0.2 on n0: 2");
  t.true(lines.includes("kubenet.ts: 5 pods on 2 nodes, seed 7, 1 s of virtual time"));
  t.true(lines.includes("Service web (10.0.0.11): web-0 2, web-1 2, web-2 2, web-3 2"));
  t.regex(stdout, /│ 1 {7}│ VNET_NOT_ADDRESSED │ n1\/eth0 │/);
});

test("--json: exactly one JSON object on stdout, and nothing else anywhere", async (t) => {
  const { code, stdout, stderr } = await vnetem("run", QUICKSTART, "--json", "--pcap", join(dir, "json"));
  t.is(stderr, "");
  t.is(code, 0);
  t.is(stdout.trim().split("\n").length, 1);
  const found = JSON.parse(stdout);
  t.like(found, {
    topology: QUICKSTART,
    seed: 7,
    ok: true,
    failure: null,
    time: 100e6,
    dropped: 0,
    drops: [],
  });
  t.deepEqual(Object.keys(found).sort(), [
    "delivered",
    "dropped",
    "drops",
    "failure",
    "files",
    "log",
    "ok",
    "packets",
    "seed",
    "services",
    "time",
    "topology",
  ]);
  t.deepEqual(found.services[0], {
    name: "web",
    clusterIp: "10.0.0.11",
    pods: { "web-0": 10, "web-1": 10, "web-2": 10, "web-3": 10, "web-4": 10, "web-5": 10 },
  });
  t.is(found.log.length, 6);
  t.deepEqual(found.files, [join(dir, "json", "quickstart.pcapng")]);
});

test("--pcap makes the directory, names the file, and captures every interface", async (t) => {
  const { code, stdout } = await vnetem("run", QUICKSTART, "--pcap", "deep/er");
  t.is(code, 0);
  t.true(stdout.endsWith("wrote deep/er/quickstart.pcapng\n"));
  const bytes = readFileSync(join(dir, "deep/er/quickstart.pcapng"));
  t.is(bytes.readUInt32LE(0), 0x0a0d0d0a);
  for (const name of ["n0/eth0", "n2/azure0", "client/eth0", "web-5/eth0"])
    t.true(bytes.includes(name), name);
});

test("a pod that comes later is captured as well", async (t) => {
  const path = topology(
    "later",
    "export const run = (n: Net) => { n.at(ms(1)).replacePod('b'); n.run({ until: ms(2) }); };",
  );
  const scaled = topology(
    "scaled",
    `export function run(n: Net) {
  n.at(ms(1)).replacePod("b");
  n.run({ until: ms(2) });
  const sent = n.soon.udp("a", "b:7", "to the new one");
  n.run({ for: ms(1) });
  expect(sent).toArrive();
}`,
  );
  t.is((await vnetem("run", path, "--pcap", ".")).code, 0);
  const { code, stderr } = await vnetem("run", scaled, "--pcap", ".");
  t.is(code, 0, stderr);
  const bytes = readFileSync(join(dir, "scaled.pcapng"));
  // On a, on both host ends and on the new b: there, and back again.
  t.is(bytes.toString("latin1").split("to the new one").length - 1, 8);
});

test("--record writes a record of stages; without a directory it makes it", async (t) => {
  const { code, stdout } = await vnetem("run", QUICKSTART, "--record", "rec/q.rec");
  t.is(code, 0);
  t.true(stdout.includes("wrote rec/q.rec"));
  t.true(readFileSync(join(dir, "rec/q.rec")).length > 10_000);
});

test("--seed: another capture, the same again with the same one", async (t) => {
  const lossy = join(TOPOLOGIES, "lossy-link.ts");
  const outputs = await Promise.all(
    ["7", "7", "8", "-12"].map((seed) => vnetem("run", lossy, "--seed", seed)),
  );
  t.is(outputs[0]?.stdout, outputs[1]?.stdout);
  t.not(outputs[0]?.stdout, outputs[2]?.stdout);
  t.regex(outputs[2]?.stdout ?? "", /seed 8,/);
  t.regex(outputs[3]?.stdout ?? "", /seed -12,/);
  t.true(outputs.every((o) => o.code === 0));
});

test("an expectation that fails: its words on stderr, the summary on stdout, exit 1", async (t) => {
  const path = topology(
    "fails",
    `export function run(n: Net) {
  n.log("so far");
  const sent = n.soon.udp("a", "b:8", "x");
  n.run({ for: ms(1) });
  expect(sent).toArrive();
}`,
  );
  const { code, stdout, stderr } = await vnetem("run", path, "--pcap", "failed");
  t.is(code, 1);
  t.regex(stderr, /^vnetem: expected an answer, but packet \d+ was delivered to b and packet \d+ was /);
  t.regex(stderr, /\d+ was dropped at b\/eth0: NO_SOCKET and the sender got ECONNREFUSED\n$/);
  t.regex(stdout, /^so far\n\nfails\.ts: 2 pods on 1 nodes?, seed 3/);
  t.true(existsSync(join(dir, "failed/fails.pcapng")));
  const json = await vnetem("run", path, "--json");
  t.is(json.code, 1);
  t.is(json.stderr, "");
  t.like(JSON.parse(json.stdout), { ok: false, log: ["so far"] });
  t.regex(JSON.parse(json.stdout).failure, /^expected an answer/);
});

test("no script: a second passes; an asynchronous one is waited for", async (t) => {
  const idle = await vnetem("run", topology("idle", ""));
  t.regex(idle.stdout, /^idle\.ts: .* 1 s of virtual time\n/);
  const late = topology("late", "export async function run(n: Net) { await null; n.log('waited'); }");
  t.regex((await vnetem("run", late)).stdout, /^waited\n/);
});

test("bad descriptions: every mistake on a line of its own, exit 2, nothing on stdout", async (t) => {
  const path = join(dir, "bad.ts");
  writeFileSync(
    path,
    `import { defineTopology } from "vnetem";
export default defineTopology({}, (t) => {
  const v = t.vnet("v", { addressSpace: ["10.0.0.0/8"] });
  const aks = t.cluster("aks", { subnet: v.subnet("s", "11.0.0.0/16"), cni: "kubnet" as never });
  aks.nodes(1).pod("A").service("s", {});
});
`,
  );
  for (const args of [["run"], ["run", "--json"]]) {
    const { code, stdout, stderr } = await vnetem(...args, path);
    t.is(code, 2);
    t.is(stdout, "");
    t.deepEqual(stderr.split("\n"), [
      'vnetem: cluster.aks.pod.A: "A" is not a DNS label (RFC 1123: lower case, digits and hyphens)',
      "vnetem: vnet.v.subnet.s.prefix: lies outside the address space of VNet v",
      'vnetem: cluster.aks.cni: "kubnet" is not one of azure-bridge, azure-tunnel, azure-transparent, ' +
        'azure-overlay, kubenet; did you mean "kubenet"?',
      "vnetem: cluster.aks.service.s.ports: a Service needs at least one port",
      "",
    ]);
  }
});

test("misuse by the script: one line, exit 2; the script's own bug: its stack, exit 1", async (t) => {
  const misuse = await vnetem(
    "run",
    topology("misuse", 'export const run = (n: Net) => n.soon.udp("a", "bb:7");'),
  );
  t.is(misuse.code, 2);
  t.is(misuse.stderr, 'vnetem: no pod, node, VM or Service is named "bb"; did you mean "b"?\n');
  const late = await vnetem(
    "run",
    topology("full", 'export const run = (n: Net) => { n.soon.replacePod("b-1"); n.run({ for: 1 }); };'),
  );
  t.is(late.code, 2);
  t.regex(late.stderr, /^vnetem: no pod, node or VM is named "b-1"; did you mean "b"\?\n$/);
  const bug = await vnetem(
    "run",
    topology("bug", "export const run = () => { throw new RangeError('mine'); };"),
  );
  t.is(bug.code, 1);
  t.regex(bug.stderr, /RangeError: mine\n +at run \(.*bug\.ts:7:/);
});
