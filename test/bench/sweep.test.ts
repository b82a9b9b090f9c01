// The sweep: which points it has, what it does with what they say, and the report, looked at by a browser.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import type { ScenarioResult } from "../../bench/result.ts";
import { argumentsOf, FULL, type Grid, type Point, pointsOf, QUICK } from "../../bench/sweep/grid.ts";
import { page } from "../../bench/sweep/page.ts";
import { type Printed, runSweep, type SweepResult } from "../../bench/sweep/run.ts";
import { UsageError } from "../../src/cli/errors.ts";
import { gridOf } from "../../src/cli/sweep.ts";
import { vnetem } from "../cli/command.ts";
import { findChromium, openChromium } from "./browser.ts";

const SMALL: Grid = {
  flows: [1, 1_000],
  frameBytes: [64],
  churn: [0, 400],
  services: [1],
  cni: ["azure-bridge"],
  seconds: 0.25,
};

test("the whole grid, and the quick one", (t) => {
  const all = pointsOf(FULL);
  t.is(all.length, 4 * 3 * 4 * 3 * 5);
  t.is(new Set(all.map((p) => JSON.stringify(p))).size, all.length);
  t.is(pointsOf(QUICK).length, 18);
});

test("lists on the command line take the place of the grid's", (t) => {
  const grid = gridOf({ flows: "1,1000", churn: "0,20,20", cni: "kubenet,azure-overlay", seconds: "0.5" });
  t.deepEqual(grid, {
    ...FULL,
    flows: [1, 1_000],
    churn: [0, 20],
    cni: ["kubenet", "azure-overlay"],
    seconds: 0.5,
  });
  t.deepEqual(gridOf({ quick: true, bytes: "512" }), { ...QUICK, frameBytes: [512] });
  const refused: [Parameters<typeof gridOf>[0], RegExp][] = [
    [{ flows: "1,,2" }, /^--flows takes a whole number from 1 to \d+, not ""$/],
    [{ bytes: "64,1519" }, /^--bytes .* not "1519"$/],
    [{ services: "0" }, /^--services/],
    [{ cni: "kubenet,calico" }, /^--cni .* not "calico"$/],
    [{ seconds: "0" }, /^--seconds/],
  ];
  for (const [options, message] of refused)
    t.regex(t.throws(() => gridOf(options), { instanceOf: UsageError }).message, message);
});

/** What `vnetem bench` would say about a point. */
function madeUp({ flows, frameBytes, churn, services, cni }: Point): ScenarioResult {
  const medianNs = 100 + frameBytes / 4 + flows / 5_000 + churn / 10 + services / 1_000 + cni.length;
  const mpps = 1e3 / medianNs;
  return {
    scenario: "vip",
    flows,
    frameBytes,
    flowCache: true,
    services,
    cni,
    backends: 200,
    churnPerSecond: churn,
    seconds: 1,
    offered: 1_000,
    delivered: 1_000,
    dropped: {},
    misdelivered: 0,
    mpps,
    nsPerPacket: medianNs,
    churnApplied: churn,
    bytesAllocatedPerPacket: 0,
    bytesPerFlow: 600,
    bytesPerFlowOf: { conntrack: 400, flowCache: 150, dependencies: 50 },
    p50Ns: medianNs,
    p99Ns: 2 * medianNs,
    p999Ns: 3 * medianNs,
    maxNs: 1e6 + churn * 1e4 + flows,
    longestPauses: [],
    spread: {
      repeats: 4,
      medianNs,
      deviationNs: 2,
      fastestNs: 0.9 * medianNs,
      slowestNs: 1.3 * medianNs,
    },
    node: "v20.19.0",
    cpu: "made up",
  };
}

const sweepOf = (grid: Grid, points: ScenarioResult[]): SweepResult => ({
  started: "2026-01-02T03:04:05.678Z",
  took: 61,
  load: { before: 0.1, after: 1.2 },
  machine: { node: "v20.19.0", v8: "11.3", cpu: "made <up>", cores: 2, memoryGb: 23, system: "linux" },
  grid,
  points,
  failures: [],
});

test("every point is asked for once; one that fails is told, not left out", async (t) => {
  const asked: string[] = [];
  const run = (args: string[]): Promise<Printed> => {
    asked.push(args.join(" "));
    const [, , , flows, , bytes, , churn] = args.map(Number);
    if (flows === 1 && churn === 400)
      return Promise.resolve({ stdout: "", stderr: "at x\nheap out of memory\n", code: 134 });
    const point = { flows, frameBytes: bytes, churn, services: 1, cni: "azure-bridge" } as Point;
    const found = { ...madeUp(point), misdelivered: churn === 400 ? 3 : 0 };
    return Promise.resolve({ stdout: JSON.stringify(found), stderr: "", code: churn === 400 ? 1 : 0 });
  };
  const seen: number[] = [];
  const result = await runSweep(SMALL, run, (_, failures) => seen.push(failures));
  t.deepEqual(
    asked,
    pointsOf(SMALL).map((p) => [...argumentsOf(p, 0.25), "--json"].join(" ")),
  );
  t.deepEqual(seen, [0, 0, 1, 1]);
  t.is(result.points.length, 3);
  t.deepEqual(
    result.failures.map(({ flows, churn, error }) => [flows, churn, error]),
    [[1, 400, "heap out of memory"]],
  );
  const html = await page(result);
  t.regex(html, /class="bad">Packets were misdelivered at 1 of 3 points/);
  t.regex(html, /1 flows, 64 bytes, churn 400, Services 1: heap out of memory/);
});

test("the report: machine, method, a row for each point, nothing to load", async (t) => {
  const html = await page(sweepOf(SMALL, pointsOf(SMALL).map(madeUp)));
  t.regex(html, /made &lt;up&gt;, 2 cores, 23 GB, linux/);
  t.regex(html, /2026-01-02 03:04 UTC, 1 min 1 s/);
  t.regex(
    html,
    /vnetem bench vip --flows 1 --bytes 64 --churn 0 --services 1 --cni azure-bridge --seconds 0.25/,
  );
  t.is(html.match(/<tr><td>azure-bridge/g)?.length, 4);
  const titles = [...html.matchAll(/<h2>(.*?)<\/h2>/g)].map((match) => match[1]);
  const drawn = [
    "Rate by number of flows",
    "What churn leaves of the rate",
    "Worst pause",
    "Memory per flow",
  ];
  t.deepEqual(titles, [...drawn, "Every point"], "no chart of what does not vary");
  t.notRegex(html, /<script|<link(?! rel="icon")|@import|url\(|NaN|undefined|Infinity/);
});

test("the command: its own lists, a progress bar, two files", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "vnetem-sweep-"));
  const lists = ["--flows", "1,50", "--bytes", "64", "--churn", "0", "--services", "1", "--cni", "kubenet"];
  const { code, stdout, stderr } = await vnetem("bench", "sweep", ...lists, "--seconds", "0.05", "-o", dir);
  t.is(code, 0, stderr);
  t.regex(stderr, / 2\/2 kubenet 1 Services 0\/s 64 B 50 flows/);
  t.regex(stdout, /^2 points in \d+ s, 0 with misdelivered packets\nwrote /);
  const { grid, points } = JSON.parse(readFileSync(join(dir, "sweep.json"), "utf8")) as SweepResult;
  t.deepEqual([grid.flows, grid.cni, grid.seconds], [[1, 50], ["kubenet"], 0.05]);
  t.deepEqual(
    points.map((p) => [p.scenario, p.flows, p.cni, p.misdelivered]),
    [
      ["vip", 1, "kubenet", 0],
      ["vip", 50, "kubenet", 0],
    ],
  );
  t.regex(readFileSync(join(dir, "sweep.html"), "utf8"), /^<!doctype html>/);
  rmSync(dir, { recursive: true });
});

const chromium = findChromium();
const why = " (no Chromium on this machine: apt install chromium)";
const browser = chromium === null && process.env.CI !== "true" ? test.serial.skip : test.serial;

/** Texts of one chart that lie on each other, and charts that are wider than the page. */
const LAID_OUT = `[...document.querySelectorAll("svg[viewBox]")].flatMap((svg) => {
  const texts = [...svg.querySelectorAll("text")].filter((e) => e.textContent !== "");
  const boxes = texts.map((e) => [e.textContent, e.getBoundingClientRect()]);
  const beside = (a, b) => a.left >= b.right - 1 || b.left >= a.right - 1;
  const on = (a, b) => !beside(a, b) && a.top < b.bottom - 2 && b.top < a.bottom - 2;
  const found = [];
  for (const [i, [text, a]] of boxes.entries()) {
    if (a.left < 0 || a.right > 1280) found.push("cut off: " + text);
    for (const [other, b] of boxes.slice(i + 1)) if (on(a, b)) found.push(text + " on " + other);
  }
  return found;
})`;

browser(`the report in headless Chromium, 1280 px wide${chromium === null ? why : ""}`, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "vnetem-sweep-"));
  const file = join(dir, "sweep.html");
  const window = await openChromium(chromium ?? "chromium");
  try {
    const tab = await window.newPage({ viewport: { width: 1280, height: 900 } });
    const said: string[] = [];
    tab.on("console", (message) => said.push(message.text()));
    tab.on("pageerror", (error) => said.push(error.message));
    tab.on("request", (request) => said.push(request.url()));
    const count = (what: string): Promise<number> =>
      tab.evaluate(`document.querySelectorAll("${what}").length`);
    // An odd number of facets has one in the middle, below the label of all.
    for (const grid of [QUICK, { ...FULL, churn: [0, 20, 400] }, FULL]) {
      said.length = 0;
      writeFileSync(file, await page(sweepOf(grid, pointsOf(grid).map(madeUp))));
      await tab.goto(`file://${file}`);
      t.deepEqual(said, [`file://${file}`], "no message, no error, and nothing but the file is loaded");
      t.deepEqual(await tab.evaluate(LAID_OUT), []);
      t.true((await tab.evaluate<number>("document.scrollingElement.scrollWidth")) <= 1280);
      t.is(await count("tbody tr"), pointsOf(grid).length);
      const { cni, flows, churn } = grid;
      t.is(await count("figure:first-of-type circle"), cni.length * flows.length * churn.length);
    }
    t.is(await count("svg[viewBox]"), 6);
  } finally {
    await window.close();
    rmSync(dir, { recursive: true });
  }
});
