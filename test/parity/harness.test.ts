// The harness checks itself: masks hide what they name and nothing else, a difference is found and told,
// the responders answer, the child process works, and nothing is left behind.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import type { ArmResult, NodeCase } from "./case.ts";
import { A, B, BRIDGE, bridgeNode, makeCase, pod, proxy, service } from "./cases/fixtures.ts";
import { compareResults } from "./compare.ts";
import { emulatorArm, runOnEmulator } from "./emulator/arm.ts";
import { arpRequest, hex, ping, pong, udp, udpSegment } from "./frame.ts";
import { kernelArmInChild } from "./kernel/arm.ts";
import { removeLeftovers } from "./kernel/namespaces.ts";
import { emptyIptablesRules, iptablesRules, iptablesUpdate } from "./kernel/rules-iptables.ts";
import { emptyNftablesRules, nftablesRules, nftablesUpdate } from "./kernel/rules-nftables.ts";
import { Masks } from "./masks.ts";
import { preflight } from "./preflight.ts";
import { runRandom } from "./random/run.ts";
import { arpReplyTo, echoOf } from "./responders.ts";
import { normaliseConntrack } from "./state.ts";
import { resultText } from "./text.ts";

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "hex"));
const simple = makeCase("harness", [], bridgeNode(), [
  { at: 0, send: [{ at: "pod:a", frame: ping(A, B, 1, 1) }] },
]);
const said = (frame: string, device = "veth-a"): ArmResult => ({
  frames: [{ step: 0, device, direction: "out", bytes: bytes(frame) }],
  state: null,
});
const arms: [string, string] = ["one", "other"];

test("identification of a kernel's ICMP is hidden, of a forwarded datagram it is not", (t) => {
  const same = compareResults(
    simple,
    said(pong(B, A, 1, 1, 8, { id: 1 })),
    said(pong(B, A, 1, 1, 8, { id: 2 })),
    arms,
  );
  t.is(same, null);
  const differ = compareResults(
    simple,
    said(udp(A, B, 1, 2, "x", { id: 1 })),
    said(udp(A, B, 1, 2, "x", { id: 2 })),
    arms,
  );
  t.regex(differ!, /one.*id 1 UDP.*other.*id 2 UDP/s);
});

test("one byte, one frame, one device more is a difference", (t) => {
  const a = said(udp(A, B, 1, 2, "x"));
  t.truthy(compareResults(simple, a, said(udp(A, B, 1, 2, "y")), arms));
  t.truthy(compareResults(simple, a, said(udp(A, B, 1, 2, "x"), "veth-b"), arms));
  t.truthy(compareResults(simple, a, { ...a, frames: [...a.frames, ...a.frames] }, arms));
  t.truthy(
    compareResults(simple, a, { ...a, state: { fdb: [], neigh: [], route: [], conntrack: [] } }, arms),
  );
});

test("random ports are named in order of appearance, in frames and in the conntrack table", (t) => {
  const steps = [{ at: 0, send: [{ at: "pod:a" as const, frame: udp(A, B, 5000, 53, "x") }] }];
  const c: NodeCase = { ...simple, steps, masks: ["random-ports"] };
  const arm = (port: number): ArmResult => ({
    frames: [5000, port].map((p) => said(udp(A, B, p, 53, "x")).frames[0]!),
    state: { fdb: [], neigh: [], route: [], conntrack: [`udp 30 sport=${port} dport=53`] },
  });
  t.is(compareResults(c, arm(40_001), arm(60_002), arms), null);
  t.regex(resultText(c, arm(40_001)), /:P1 > .*sport=P1 /s);
  t.truthy(compareResults(c, arm(40_001), arm(700), arms), "another range");
  const entry = (port: number): string[] => [
    `udp 30 src=a dst=b sport=5000 dport=53 src=b dst=a sport=53 dport=${port}`,
  ];
  t.deepEqual(
    [40_001, 5000, 53].map((port) => new Masks(c).unlucky(entry(port))),
    [false, false, true],
  );
});

test("a wrong checksum is said, also under a mask", (t) => {
  t.regex(resultText(simple, said(pong(B, A, 1, 1, 8, { badSum: true }))), /out .*sum BAD/);
  t.regex(resultText(simple, said(udp(A, B, 1, 2, "x", { badSum: true }))), /out .*sum BAD/);
  t.notRegex(resultText(simple, said(udp(A, B, 1, 2, "x"))), /BAD/);
});

test("responders", (t) => {
  const reply = arpReplyTo(bytes(arpRequest(A, B.ip)), B.mac, B.ip)!;
  t.is(hex(reply).slice(24), `0806000108000604000202000af401030af4010302000af401020af40102`);
  t.is(arpReplyTo(bytes(arpRequest(A, BRIDGE.ip)), B.mac, B.ip), null);
  t.is(hex(echoOf(bytes(ping(A, B, 7, 9)))!), pong(B, A, 7, 9));
  t.is(hex(echoOf(bytes(udp(A, B, 1, 2, "x")))!), udp(B, A, 2, 1, "x"));
});

test("frames carry the checksums they should", (t) => {
  t.is(udpSegment("10.0.0.1", "10.0.0.2", 1, 2, "").length, 8);
  t.is(ping(A, B, 0x1234, 1, "").slice(68), "0800e5ca12340001");
});

test("conntrack lines lose what no two runs share", (t) => {
  const line = "udp      17 27 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 [UNREPLIED] mark=0 use=1";
  t.deepEqual(normaliseConntrack([line]), ["udp 30 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 [UNREPLIED]"]);
});

test("a change of one Service leaves the rules of the others alone", (t) => {
  const node = bridgeNode();
  const other = service("other", "udp", 9, [["10.244.1.4", 9]]);
  const before = proxy([service("web", "tcp", 80, [[B.ip, 8080]]), other]);
  const after = proxy([service("web", "tcp", 80, [[A.ip, 8080]]), other]);
  const iptables = iptablesUpdate(iptablesRules(node, before), iptablesRules(node, after));
  t.regex(iptables, /:KUBE-SVC-web /);
  t.notRegex(iptables, /KUBE-SVC-other/);
  t.regex(iptablesUpdate(emptyIptablesRules(), iptablesRules(node, after)), /KUBE-SVC-other/);
  const nftables = nftablesUpdate(nftablesRules(node, before), nftablesRules(node, after));
  t.regex(nftables, /flush chain ip kube-proxy service-web/);
  t.notRegex(nftables, /service-other/);
  t.regex(nftablesUpdate(emptyNftablesRules(), nftablesRules(node, after)), /service-other/);
});

/** A program in the place of the kernel arm's child. */
function childProgram(t: ExecutionContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "vnetem-parity-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "child.mjs");
  writeFileSync(path, text);
  return path;
}

test("a child that dies fails its cases, and the next case gets another child", async (t) => {
  const dies = "process.on('message', ({ id }) => { if (id === 1) process.exit(7); });";
  const arm = kernelArmInChild(childProgram(t, dies));
  const [one, two] = await Promise.allSettled([arm.run(simple), arm.run(simple)]);
  t.regex(String((one as PromiseRejectedResult).reason), /process ended: 7/);
  t.regex(String((two as PromiseRejectedResult).reason), /process ended: 7/);
  const next = arm.run(simple);
  await t.throwsAsync(Promise.race([next, arm.run(simple)]), { message: /process ended: 7/ });
  await arm.close();
});

test("a child that says nothing is ended", async (t) => {
  const silent = "process.on('message', () => {}); process.on('SIGTERM', () => {});";
  const arm = kernelArmInChild(childProgram(t, silent), 300);
  await t.throwsAsync(arm.run(simple), { message: /said nothing for 300 ms/ });
  await arm.close();
});

test("a case that cannot be run is told, and the run goes on", async (t) => {
  let cases = 0;
  const fails = async (c: NodeCase): Promise<ArmResult> => {
    if (++cases === 2) throw new Error("no room in the capture ring");
    return runOnEmulator(c);
  };
  const kernel = { name: "kernel", run: fails, close: async () => {} };
  const report = await runRandom({ seed: 1, frames: 200, caseFrames: 50, kernel, arms: [emulatorArm()] });
  t.is(report.failures.length, 1);
  t.is(report.failures[0]!.seed, 2);
  t.regex(report.failures[0]!.text, /no room in the capture ring/);
  t.deepEqual(report.differences, []);
  t.is(report.coverage.cases, cases - 1);
});

test("a case that fell behind is no difference, but has failed", async (t) => {
  const busy = async (): Promise<ArmResult> => ({ frames: [], state: null, fellBehind: true });
  const kernel = { name: "kernel", run: busy, close: async () => {} };
  const report = await runRandom({ seed: 1, frames: 20, kernel, arms: [emulatorArm()] });
  t.deepEqual(report.differences, []);
  t.regex(report.failures[0]!.text, /too busy/);
});

const missing = await preflight();
const onKernel = missing.length === 0 ? test : test.skip;
/** Stands behind the titles of what is skipped. */
const why = missing.join("; ");

onKernel(
  `the kernel arm works in a child process, one case after another, and tells mistakes ${why}`,
  async (t) => {
    const arm = kernelArmInChild();
    const live = makeCase("live", [], bridgeNode({ pods: [pod("a", A), pod("b", B)] }), simple.steps);
    const wrong = makeCase("wrong", [], bridgeNode(), [{ at: 0, send: [{ at: "pod:z", frame: "00" }] }]);
    const [one, mistake, two] = await Promise.allSettled([arm.run(live), arm.run(wrong), arm.run(live)]);
    t.is(one!.status, "fulfilled");
    t.is(two!.status, "fulfilled");
    t.regex(String((mistake as PromiseRejectedResult).reason), /no pod z/);
    await arm.close();
  },
);

onKernel(`leftovers of dead processes with our prefix go, nothing else does ${why}`, (t) => {
  mkdirSync("/run/netns", { recursive: true });
  writeFileSync("/run/netns/vne1-kept-by-a-live-process", "");
  writeFileSync("/run/netns/vne999999999-dead", "");
  writeFileSync("/run/netns/somebody-else", "");
  removeLeftovers();
  t.false(existsSync("/run/netns/vne999999999-dead"));
  t.true(existsSync("/run/netns/vne1-kept-by-a-live-process"));
  t.true(existsSync("/run/netns/somebody-else"));
  for (const name of ["vne1-kept-by-a-live-process", "somebody-else"]) rmSync(`/run/netns/${name}`);
});

onKernel(`a run killed in the middle leaves no namespace and no device ${why}`, (t) => {
  const left = (): string[] => {
    const links = spawnSync("ip", ["-o", "link"], { encoding: "utf8" }).stdout.split("\n");
    const ours = links.filter((line) => / (veth-|azv|cbr0|azure0|f\d+)\S*: /.test(line));
    return [...readdirSync("/run/netns").filter((name) => name.startsWith("vne")), ...ours];
  };
  const before = left();
  const program = new URL("./run.js", import.meta.url).pathname;
  const kill = { timeout: 1500, killSignal: "SIGKILL" } as const;
  t.is(spawnSync(process.execPath, [program, "4.2/stale-probed"], kill).signal, "SIGKILL");
  t.deepEqual(left(), before);
});
