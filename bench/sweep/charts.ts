// The charts of a sweep as SVG, drawn by Observable Plot on a document that is no browser's. Both packages
// are optional (docs/dependencies.md), so they are loaded when a report is drawn.

import type { FlowMemory } from "../memory.ts";
import type { ScenarioResult } from "../result.ts";
import { ReportUnavailable } from "./missing.ts";

export interface Chart {
  title: string;
  /** What to look at, in a sentence. */
  caption: string;
  svg: string;
}

type Plot = typeof import("@observablehq/plot");
type Options = NonNullable<Parameters<Plot["plot"]>[0]>;
type Page = Options["document"];
type Row = ScenarioResult;

/** Fewer flows do not fill the smallest tables there are. */
export const FEW = 1_000;
const WIDTH = 1160;
const HEIGHT = 300;
const STYLE = { fontSize: "12px", background: "white" };
/** From few flows to many. */
const BLUES = ["#8ec1e8", "#3f8fd2", "#1f5fa8", "#0b2f63", "#000000"];
const TABLES: readonly (readonly [keyof FlowMemory, string])[] = [
  ["conntrack", "connections"],
  ["flowCache", "flow cache"],
  ["dependencies", "dependencies"],
];

export class Charts {
  private readonly plot: Plot;
  private readonly document: Page;

  private constructor(plot: Plot, document: Page) {
    this.plot = plot;
    this.document = document;
  }

  /** Throws ReportUnavailable. */
  static async open(): Promise<Charts> {
    try {
      const [plot, { parseHTML }] = await Promise.all([import("@observablehq/plot"), import("linkedom")]);
      return new Charts(plot, parseHTML("<html><body></body></html>").document);
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw e;
      throw new ReportUnavailable("the report needs: npm install @observablehq/plot linkedom");
    }
  }

  /** Those for which the sweep has enough points. */
  draw(rows: readonly Row[]): Chart[] {
    const charts = [
      this.rateByFlows(rows),
      this.rateByBytes(rows),
      this.keptUnderChurn(rows),
      this.keptWithServices(rows),
      this.pauses(rows),
      this.memory(rows),
    ];
    return charts.filter((chart) => chart !== null);
  }

  private rateByFlows(all: readonly Row[]): Chart | null {
    const rows = at(all, { frameBytes: least(all, "frameBytes"), services: least(all, "services") });
    if (!varies(rows, "flows")) return null;
    const { plot } = this;
    const own = { x: "flows", stroke: "cni", fx: "churnPerSecond" };
    const svg = this.svg({
      x: { type: "point", label: "flows", tickFormat: count },
      fx: { label: "pod replacements per second", tickFormat: count },
      y: { label: "↑ million packets per second", type: "log", grid: true, ticks: 4, tickFormat: "~f" },
      color: { legend: true, domain: values(rows, "cni") },
      marks: [
        plot.ruleX(rows, { ...own, y1: slowest, y2: fastest, strokeOpacity: 0.5 }),
        plot.line(rows, { ...own, y: median }),
        plot.dot(rows, { ...own, y: median, fill: "cni", r: 3, title: told }),
      ],
    });
    const frames = `${rows[0].frameBytes}-byte frames, ${services(rows[0].services)}`;
    const caption = `Median of the slices; the bar goes from the slowest to the fastest slice. ${frames}.`;
    return { title: "Rate by number of flows", caption, svg };
  }

  private rateByBytes(all: readonly Row[]): Chart | null {
    const rows = at(all, { churnPerSecond: least(all, "churnPerSecond"), services: least(all, "services") });
    if (!varies(rows, "frameBytes")) return null;
    const { plot } = this;
    const own = { x: "frameBytes", stroke: "cni", fx: "flows" };
    const svg = this.svg({
      x: { type: "point", label: "frame, bytes" },
      fx: { label: "flows", tickFormat: count },
      y: { label: "↑ nanoseconds per packet", type: "log", grid: true, ticks: 4, tickFormat: "~f" },
      color: { legend: true, domain: values(rows, "cni") },
      marks: [
        plot.ruleX(rows, { ...own, y1: (r: Row) => r.spread.fastestNs, y2: slowestNs, strokeOpacity: 0.5 }),
        plot.line(rows, { ...own, y: medianNs }),
        plot.dot(rows, { ...own, y: medianNs, fill: "cni", r: 3, title: told }),
      ],
    });
    const still = churn(rows[0].churnPerSecond);
    const caption = `Payload is made and checked byte by byte. ${still}; less is better.`;
    return { title: "Time by frame length", caption, svg };
  }

  private keptUnderChurn(all: readonly Row[]): Chart | null {
    const rows = at(all, { frameBytes: least(all, "frameBytes"), services: least(all, "services") });
    const kept = shares(rows, "churnPerSecond");
    if (kept.length === 0) return null;
    const svg = this.kept(kept, "pod replacements per second", "churnPerSecond");
    const caption =
      "Rate as a share of the same point without replacements, from all frames of the measurement " +
      "(slices' medians would leave pauses out).";
    return { title: "What churn leaves of the rate", caption, svg };
  }

  private keptWithServices(all: readonly Row[]): Chart | null {
    const bytes = least(all, "frameBytes");
    const rows = at(all, { frameBytes: bytes, churnPerSecond: least(all, "churnPerSecond") });
    const kept = shares(rows, "services");
    if (kept.length === 0) return null;
    const svg = this.kept(kept, "Services of the cluster", "services");
    const caption =
      "Rate as a share of the same point with the fewest Services; the aim is 95 % or more. " +
      `${bytes}-byte frames.`;
    return { title: "What other Services leave of the rate", caption, svg };
  }

  private kept(rows: readonly Share[], label: string, x: "services" | "churnPerSecond"): string {
    const { plot } = this;
    const own = { x, stroke: flowsOf, fx: "cni" };
    return this.svg({
      x: { type: "point", label, tickFormat: count },
      fx: { label: null, domain: values(rows, "cni") },
      y: {
        label: "↑ share of the rate, %",
        grid: true,
        domain: [0, Math.max(110, ...rows.map((r) => r.share))],
      },
      color: flowColors(rows),
      marks: [
        plot.ruleY([0]),
        plot.ruleY([100], { strokeDasharray: "3,3", strokeOpacity: 0.5 }),
        plot.line(rows, { ...own, y: "share" }),
        plot.dot(rows, { ...own, y: "share", fill: flowsOf, r: 3, title: told }),
      ],
    });
  }

  private pauses(all: readonly Row[]): Chart | null {
    const rows = at(all, { frameBytes: least(all, "frameBytes"), services: least(all, "services") });
    if (!varies(rows, "churnPerSecond")) return null;
    const { plot } = this;
    const own = { x: "churnPerSecond", stroke: flowsOf, fx: "cni" };
    const ms = (r: Row): number => r.maxNs / 1e6;
    const svg = this.svg({
      x: { type: "point", label: "pod replacements per second", tickFormat: count },
      fx: { label: null, domain: values(rows, "cni") },
      y: { label: "↑ worst pause, ms", type: "log", grid: true, ticks: 4, tickFormat: "~f" },
      color: flowColors(rows),
      marks: [
        plot.ruleY([5], { strokeDasharray: "3,3", strokeOpacity: 0.5 }),
        plot.line(rows, { ...own, y: ms }),
        plot.dot(rows, { ...own, y: ms, fill: flowsOf, r: 3, title: told }),
      ],
    });
    const caption =
      "The longest time between the ends of two batches of 64 packets; the dashed line is 5 ms. " +
      "Another process's turn on the core counts as well.";
    return { title: "Worst pause", caption, svg };
  }

  private memory(all: readonly Row[]): Chart | null {
    const base = { frameBytes: least(all, "frameBytes"), services: least(all, "services") };
    // Few flows do not fill the smallest tables there are.
    const rows = at(all, { ...base, churnPerSecond: least(all, "churnPerSecond") }).filter(
      (r) => r.flows >= 1000,
    );
    if (rows.length === 0) return null;
    const { plot } = this;
    const parts = rows.flatMap(({ flows, cni, bytesPerFlowOf }) =>
      TABLES.map(([key, table]) => ({ flows: count(flows), cni, table, bytes: bytesPerFlowOf[key] })),
    );
    const svg = this.svg({
      x: { label: "flows", domain: values(rows, "flows").map(count) },
      fx: { label: null, domain: values(rows, "cni") },
      y: { label: "↑ bytes per flow", grid: true },
      color: { legend: true, domain: TABLES.map(([, table]) => table) },
      marks: [
        plot.ruleY([0]),
        plot.ruleY([512], { strokeDasharray: "3,3", strokeOpacity: 0.5 }),
        plot.barY(
          parts,
          plot.stackY({ x: "flows", y: "bytes", fill: "table", fx: "cni", insetLeft: 8, insetRight: 8 }),
        ),
      ],
    });
    const caption =
      "Tables of connections (of both nodes), cached flows, and what their paths stand on; " +
      "the dashed line is 512 bytes.";
    return { title: "Memory per flow", caption, svg };
  }

  private svg(options: Options): string {
    const { document } = this;
    const common = {
      document,
      width: WIDTH,
      height: HEIGHT,
      marginLeft: 56,
      marginTop: 48,

      marginBottom: 44,
      style: STYLE,
    };
    return this.plot.plot({ ...common, ...options }).outerHTML;
  }
}

type Key = "flows" | "frameBytes" | "churnPerSecond" | "services";
type Share = Row & { share: number };

const medianNs = (r: Row): number => r.spread.medianNs;
const slowestNs = (r: Row): number => r.spread.slowestNs;
const median = (r: Row): number => 1e3 / r.spread.medianNs;
const slowest = (r: Row): number => 1e3 / r.spread.slowestNs;
const fastest = (r: Row): number => 1e3 / r.spread.fastestNs;
const flowsOf = (r: Row): string => `${count(r.flows)} flow${r.flows === 1 ? "" : "s"}`;
const services = (n: number): string => (n === 1 ? "1 Service" : `${count(n)} Services`);
const churn = (n: number): string =>
  n === 0 ? "No pod is replaced" : `${count(n)} pods replaced per second`;
const told = (r: Row): string => `${r.cni}, ${flowsOf(r)}: ${r.mpps} Mpps, p99 ${r.p99Ns} ns`;

/** 65536 as 65,536; whole thousands and millions short. */
export function count(n: number): string {
  if (n >= 1e6 && n % 1e6 === 0) return `${n / 1e6}M`;
  if (n >= 1e3 && n % 1e3 === 0) return `${n / 1e3}k`;
  return String(n).replace(/\B(?=(\d{3})+$)/g, ",");
}

function flowColors(rows: readonly Row[]): NonNullable<Options["color"]> {
  const domain = [...new Set(rows.map(flowsOf))];
  return { legend: true, type: "ordinal", domain, range: BLUES.slice(0, domain.length) };
}

const values = <K extends keyof Row>(rows: readonly Row[], key: K): Row[K][] => [
  ...new Set(rows.map((r) => r[key])),
];

const least = (rows: readonly Row[], key: Key): number => Math.min(...rows.map((r) => r[key]));

const varies = (rows: readonly Row[], key: Key): boolean => values(rows, key).length > 1;

function at(rows: readonly Row[], where: Partial<Record<Key, number>>): Row[] {
  return rows.filter((r) => Object.entries(where).every(([key, value]) => r[key as Key] === value));
}

/** Each row beside the one that differs from it in having the least of `key`. */
function shares(rows: readonly Row[], key: Key): Share[] {
  if (!varies(rows, key)) return [];
  const first = least(rows, key);
  return rows.flatMap((r) => {
    const base = rows.find((b) => b[key] === first && b.flows === r.flows && b.cni === r.cni);
    return base === undefined || base.mpps === 0 ? [] : [{ ...r, share: (100 * r.mpps) / base.mpps }];
  });
}
