// The topologies we ship: each runs, prints what it should, and leaves a capture that tshark reads without a
// complaint.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { PRINTED } from "./printed.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const TOPOLOGIES = fileURLToPath(new URL("../../../topologies/", import.meta.url));
const names = readdirSync(TOPOLOGIES).flatMap((file) => /^(.*)\.ts$/.exec(file)?.[1] ?? []);

const dir = mkdtempSync(join(tmpdir(), "vnetem-topologies-"));
test.after.always(() => rmSync(dir, { recursive: true }));

/** What must be so whatever the golden says: name, captured pattern, what its groups have to be. */
const SENSE: Record<string, (t: ExecutionContext, out: string) => void> = {
  aks: (t, out) => t.regex(out, /no pod is ready: ECONNREFUSED\n(?:.*ready true\n){3}after 10 s: "hello"/),
  "attach-tap": (t, out) => {
    // The Service goes round.
    const order = [...out.matchAll(/^(web-\d) .* answers/gm)].map((m) => m[1]);
    t.deepEqual(order, ["web-0", "web-1", "web-2", "web-0", "web-1", "web-2"]);
  },
  "azure-overlay": (t, out) => {
    t.regex(out, /client -> db: answered/);
    t.regex(out, /web-0 3, web-1 3, web-2 3/);
  },
  "azure-transparent": (t, out) => {
    // One router between pods of a node, two between nodes.
    t.regex(out, /same node: answer with TTL 63\n.*another node: {2}answer with TTL 62/);
  },
  churn: (t, out) => {
    const [, sent, received] = /sent (\d+), received (\d+), lost 0, misdelivered 0/.exec(out) ?? [];
    t.is(sent, received);
    t.true(Number(sent) >= 40_000);
  },
  kubenet: (t, out) => t.regex(out, /ping web-1 on n1: VNET_NOT_ADDRESSED/),
  "http-rolling-update": (t, out) => t.regex(out, /60 requests .* web-0 from #1, .* web-3 from #31\n/),
  "long-lived-connections": (t, out) => {
    t.regex(out, /backend removed: .* end at 2 s\n/);
    // Fifteen retransmissions without an answer: tcp_retries2 (kube-proxy.md 5.3).
    const [, seconds] = /backend dead: .* EHOSTUNREACH at (\d+)\.\d+ s/.exec(out) ?? [];
    t.true(Number(seconds) >= 924 && Number(seconds) <= 1000);
  },
  "lossy-link": (t, out) => {
    const [, sent, received, lost] = /sent (\d+), received (\d+), lost (\d+)/.exec(out) ?? [];
    t.is(Number(sent) - Number(received), Number(lost));
    t.regex(out, /pings: NETEM_SCRIPTED, NETEM_SCRIPTED, answered/);
  },
  "load-balancer": (t, out) => {
    const [, lucky] = /own frontend: (\d+) of ten connect/.exec(out) ?? [];
    t.true(Number(lucky) > 0 && Number(lucky) < 10);
    t.regex(
      out,
      /twenty connections: 20 .*\n.*\nweb-b hangs: 10 of ten .*\n.*: 10 public connections were reset/,
    );
  },
  "nat-gateway-exhaustion": (t, out) => t.regex(out, /60000 connections to api:8080, 50000 arrived\n/),
  "pod-to-internet": (t, out) => {
    t.regex(out, /by MASQUERADE\n.*by load balancer outbound rule\n.*"hello" "hello" "hello" "hello"\n/);
  },
  "hub-and-spoke": (t, out) => t.regex(out, /through the hub: "select 1".*TTL 62/),
  "node-failure": (t, out) => {
    const counts = [...out.matchAll(/(\d+) of (\d+) answered/g)].map((m) => [Number(m[1]), Number(m[2])]);
    const [before, during, after] = counts as [number[], number[], number[]];
    t.deepEqual(
      [before, after],
      [
        [180, 180],
        [960, 960],
      ],
    );
    // For 35 of these 40 seconds a third of the pods answered no more.
    t.is(during[1]! - during[0]!, (35 * 12) / 3);
    t.is(out.match(/^new: .* on node-[13]$/gm)?.length, 2);
    t.regex(out, / 55 s NodeNotReady(?:.*\n)+ 85 s TaintManagerEviction(?:.*\n)+ 85 s SuccessfulCreate/);
  },
  "nsg-mistake": (t, out) => t.is(out.match(/VNET_NSG_DENY at db/g)?.length, 4),
  "on-premises": (t, out) => t.deepEqual(out.match(/\d+ ms$/gm)?.slice(0, 3), ["4 ms", "6 ms", "40 ms"]),
  "private-endpoint": (t, out) => {
    t.regex(out, /privatelink.*A 10\.1\.9\.4\n.*no link to the zone: 20\.60\.1\.10\n.*"42 rows"/);
  },
  quickstart: (t, out) => {
    const counts = [...out.matchAll(/^web-\d .*: (\d+)$/gm)].map((m) => Number(m[1]));
    t.is(counts.length, 6);
    t.true(Math.max(...counts) - Math.min(...counts) <= 1);
    t.regex(out, /no drops/);
  },
  "same-node-service": (t, out) => t.is(out.match(/ answered/g)?.length, 4),
};

interface Run {
  status: number | null;
  stdout: string;
  stderr: string;
}

function vnetem(...args: string[]): Run {
  return spawnSync(process.execPath, [MAIN, ...args], { cwd: dir, encoding: "utf8" });
}

test("every topology has its place here", (t) => {
  t.deepEqual(Object.keys(SENSE).sort(), names);
  t.deepEqual(Object.keys(PRINTED).sort(), names);
});

for (const name of names) {
  test(`${name}: runs and prints`, (t) => {
    const { status, stdout, stderr } = vnetem("run", join(TOPOLOGIES, `${name}.ts`));
    t.is(stderr, "");
    t.is(status, 0);
    SENSE[name]?.(t, stdout);
    t.is(stdout, PRINTED[name]);
  });
}

const tshark = spawnSync("tshark", ["--version"]).status === 0;
const required = process.env.CI === "true" || process.env.CI === "1";

const CHECKS = ["ip.check_checksum", "udp.check_checksum", "tcp.check_checksum"];
/** What Wireshark would mark red. */
const BAD = [
  "_ws.malformed",
  ...["ip", "udp", "tcp", "icmp"].map((p) => `${p}.checksum.status == "Bad"`),
].join(" || ");

function read(t: ExecutionContext, file: string, ...args: string[]): string[] {
  const options = CHECKS.flatMap((o) => ["-o", `${o}:TRUE`]);
  const { status, stdout, stderr } = spawnSync("tshark", ["-r", file, ...options, ...args], {
    encoding: "utf8",
    maxBuffer: 1 << 30,
    env: { ...process.env, HOME: dir },
  });
  t.is(status, 0, stderr);
  return stdout.split("\n").filter((line) => line !== "");
}

/** Topologies that are about something else than Services. */
const NO_SERVICE = [
  ...["lossy-link", "hub-and-spoke", "nsg-mistake", "on-premises", "private-endpoint"],
  ...["load-balancer", "nat-gateway-exhaustion"],
];
/** 60,000 source ports are those of every protocol there is. */
const PLAIN: Record<string, string[]> = { "nat-gateway-exhaustion": ["-d", "udp.port==1-65535,data"] };
/** The DNAT that a capture shows first where it is not that of the first ClusterIP. */
const DNAT: Record<string, RegExp> = {
  "pod-to-internet": /DNAT 10\.0\.0\.4:30086 -> 10\.244\.\d\.\d:8080 by KUBE/,
};

for (const name of names) {
  const title = `${name}: tshark reads the capture, finds nothing wrong and shows the DNAT`;
  if (!tshark && !required) {
    test.skip(`${title} (skipped: tshark is not installed)`, () => {});
    continue;
  }
  test(title, (t) => {
    const run = vnetem("run", join(TOPOLOGIES, `${name}.ts`), "--pcap", dir);
    const file = join(dir, `${name}.pcapng`);
    t.is(run.status, 0, run.stderr);
    t.true(run.stdout.endsWith(`wrote ${file}\n`));
    t.deepEqual(read(t, file, ...(PLAIN[name] ?? []), "-Y", BAD), []);
    const count = read(t, file, "-T", "fields", "-e", "frame.number").length;
    t.true(count > 20, `${count} frames`);
    t.true(readFileSync(file).length > count * 60);
    const dnat = read(t, file, "-Y", 'frame.comment contains "DNAT"', "-T", "fields", "-e", "frame.comment");
    if (NO_SERVICE.includes(name)) t.notRegex(dnat.join(), /KUBE-SERVICES/, "there is no Service in it");
    else t.regex(dnat[0] ?? "", DNAT[name] ?? /DNAT 10\.\d+\.0\.11:80 -> 10\.\d+\.\d+\.\d+:8080/);
  });
}
