// What README.md and docs/architecture.md show is what happens: the topology, the output of the commands, the
// stages of a packet.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { type CniMode, defineTopology, type Net } from "../src/index.ts";
import { findRoot } from "./tidy/source.ts";

const root = findRoot();
const read = (path: string): string => readFileSync(join(root, path), "utf8");

/** Fenced blocks of a page, without the fences. */
function blocks(page: string, language: string): string[] {
  return [...page.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)]
    .filter((m) => m[1] === language)
    .map((m) => m[2]!);
}

test("the topology in README.md is topologies/quickstart.ts, in at most 25 lines", (t) => {
  const quickstart = read("topologies/quickstart.ts");
  t.is(blocks(read("README.md"), "ts")[0], quickstart);
  t.true(quickstart.trimEnd().split("\n").length <= 25);
});

interface Command {
  text: string;
  expected: string[];
}

/** "$ command", with its continuation lines and here-document, and the lines shown below it. */
function commandsOf(block: string): Command[] {
  const commands: Command[] = [];
  let open = false;
  for (const line of block.trimEnd().split("\n")) {
    const command = commands.at(-1);
    if (line.startsWith("$ ")) commands.push({ text: line.slice(2), expected: [] });
    else if (open && command !== undefined) command.text += `\n${line}`;
    else command?.expected.push(line);
    const { text } = commands.at(-1) ?? { text: "" };
    open = text.endsWith("\\") || (text.includes("<<'EOF'") && !text.endsWith("\nEOF"));
  }
  return commands;
}

/** The lines shown must come in this order; "..." stands for any that were left out. */
function shows(t: ExecutionContext, output: string, expected: readonly string[]): void {
  const lines = output.split("\n").map((line) => line.trimEnd());
  let at = 0;
  let skipping = false;
  for (const line of expected.map((l) => l.trimEnd())) {
    if (line.trim() === "...") {
      skipping = true;
      continue;
    }
    const found: number = skipping ? lines.indexOf(line, at) : at;
    t.is(lines[found], line, `in the output of the command, from line ${at + 1}`);
    at = found + 1;
    skipping = false;
  }
}

const hasTshark = ((): boolean => {
  try {
    execFileSync("tshark", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

test("the commands in README.md print what README.md shows", (t) => {
  t.timeout(300_000);
  const dir = mkdtempSync(join(tmpdir(), "vnetem-docs-"));
  t.teardown(() => rmSync(dir, { recursive: true }));
  symlinkSync(join(root, "topologies"), join(dir, "topologies"));
  const { bin } = JSON.parse(read("package.json"));
  const prelude = `vnetem() { "${process.execPath}" "${join(root, bin.vnetem)}" "$@"; }`;
  const exported: string[] = [];
  let ran = 0;
  for (const { text, expected } of blocks(read("README.md"), "").flatMap(commandsOf)) {
    if (text.startsWith("export ")) exported.push(text);
    if (text.startsWith("tshark") && !hasTshark) {
      t.log("tshark is not installed: its output in README.md was not compared");
      continue;
    }
    const script = [prelude, ...exported, text].join("\n");
    const output = execFileSync("sh", ["-c", `${script}\ntrue`], {
      cwd: dir,
      stdio: ["ignore", "pipe", "ignore"],
    });
    // tshark separates columns by tabs, which README.md shows as blanks.
    const shown = text.startsWith("tshark") ? output.toString().replaceAll("\t", "  ") : output.toString();
    shows(t, shown, expected);
    ran++;
  }
  t.true(ran >= 6, `${ran} commands`);
});

function twoNodes(cni: CniMode): Net {
  return defineTopology({ seed: 7 }, (t) => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    const aks = t.cluster("aks", { subnet: vnet.subnet("nodes", "10.224.0.0/16"), cni });
    aks.nodes(2);
    aks.deployment("web", { udpEcho: 8080, node: "n1" });
    aks.service("web", { port: 80, targetPort: 8080, protocol: "UDP" });
    aks.pod("client", { node: "n0" });
  }).build();
}

/** "pod client  STAGE STAGE" and its continuation lines, as "pod client: STAGE STAGE". */
function pathOf(block: string): string[] {
  const rows: string[] = [];
  for (const line of block.trimEnd().split("\n")) {
    const [, place, stages] = /^(.{14})(.*)$/.exec(line) ?? [];
    if (place === undefined || stages === undefined) throw new Error(`not a row of a path: ${line}`);
    if (place.trim() === "") rows.push(`${rows.pop()} ${stages}`);
    else rows.push(`${place.trim()}: ${stages}`);
  }
  return rows;
}

/** The same of a packet that was sent. A stage entered again after waiting for ARP stands once. */
function walked(net: Net): string[] {
  const { hops } = net.explain("client", "web:80").request;
  return hops.map(({ kind, name, steps }) => {
    const stages = steps.map((s) => s.stage).filter((s, i, all) => s !== all[i - 1]);
    return `${kind === "fabric" ? "Azure fabric" : `${kind} ${name}`}: ${stages.join(" ")}`;
  });
}

test("the paths in docs/architecture.md are those packets take", (t) => {
  const [transparent, bridge] = blocks(read("docs/architecture.md"), "").map(pathOf);
  t.deepEqual(walked(twoNodes("azure-transparent")), transparent!);
  t.deepEqual(walked(twoNodes("azure-bridge")).slice(1, 4), bridge!);
});
