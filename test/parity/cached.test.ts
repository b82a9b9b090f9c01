// The cached arm: what nodes' and pods' sockets send is repeated until the flow cache has it. What reaches
// the pods and the node's tables must be what the kernel says of the same repeated packets; without root,
// what the emulator says when each of them walks, which the goldens vouch for.

import test from "ava";
import { type ArmResult, hostDevice, type NodeCase, type Send } from "./case.ts";
import { CASES } from "./cases/index.ts";
import { runWatched } from "./emulator/arm.ts";
import type { KernelResult } from "./kernel/run-case.ts";
import { runMany } from "./kernel/run-many.ts";
import { preflight } from "./preflight.ts";
import { resultText } from "./text.ts";

const TIMES = 6;
const ETHERNET = 14;
const UDP = 17;

const missing = await preflight();
const talking = CASES.filter((c) => c.steps.some(({ send }) => send?.some((one) => "udp" in one))).map(
  repeated,
);

function repeated(c: NodeCase): NodeCase {
  const often = (one: Send): Send[] => ("udp" in one ? new Array<Send>(TIMES).fill(one) : [one]);
  return { ...c, steps: c.steps.map((step) => ({ ...step, send: (step.send ?? []).flatMap(often) })) };
}

/** Datagrams for each pod that is a kernel, as they arrived; the IP identification is its own (masks.ts). */
function received(c: NodeCase, list: { device: string; packet: Uint8Array }[]): string[] {
  const linux = c.node.pods.filter(({ stack }) => stack === undefined || stack === "linux");
  const pods = new Map(linux.map((pod) => [hostDevice(c.node, pod), pod.ip]));
  const lines = [...pods.keys()].map((device): string[] => [device]);
  for (const { device, packet } of list) {
    const at = [...pods.keys()].indexOf(device);
    const bytes = Buffer.from(packet);
    const isWhole = bytes.length >= 20 && bytes[9] === UDP && (bytes.readUInt16BE(6) & 0x3fff) === 0;
    if (at < 0 || !isWhole || [...bytes.subarray(16, 20)].join(".") !== pods.get(device)) continue;
    bytes.writeUInt16BE(0, 4);
    bytes.writeUInt16BE(0, 10);
    lines[at]!.push(bytes.subarray(0, bytes.readUInt16BE(2)).toString("hex"));
  }
  return lines.flat();
}

function onWire(result: ArmResult): { device: string; packet: Uint8Array }[] {
  const isIp = (bytes: Uint8Array): boolean => bytes[12] === 8 && bytes[13] === 0;
  return result.frames
    .filter(({ direction, bytes }) => direction === "out" && isIp(bytes))
    .map(({ device, bytes }) => ({ device, packet: bytes.subarray(ETHERNET) }));
}

const tables = (c: NodeCase, { state }: ArmResult): string => resultText(c, { frames: [], state });

test("every case with the flow cache: the same packets reach the pods, and the same tables are left", (t) => {
  let spared = 0;
  for (const c of [...CASES, ...talking]) {
    const [on, off] = [runWatched(c, true), runWatched(c, false)];
    t.deepEqual(on.arrivals, off.arrivals, c.name);
    t.is(tables(c, on), tables(c, off), c.name);
    t.is(off.spared, 0);
    spared += on.spared;
  }
  // Of those sent to pods whose own kernel answers.
  t.true(spared >= 10 * TIMES, `${spared} packets were spared their walk`);
});

const onKernel = missing.length === 0 || process.env.CI === "true" ? test : test.skip;

onKernel(`the kernel says the same of repeated packets ${missing.join("; ")}`, async (t) => {
  if (missing.length > 0) return t.fail(missing.join("; "));
  t.timeout(600_000);
  await runMany(talking, {}, (c, result: KernelResult | Error) => {
    if (result instanceof Error) return t.fail(`${c.name}: ${result.stack}`);
    const cached = runWatched(c, true);
    t.deepEqual(received(c, cached.arrivals), received(c, onWire(result)), c.name);
    t.is(tables(c, cached), tables(c, result), c.name);
  });
});
