// V8's sampling profiler in this process, and where the functions it names stand in the sources: the bundle
// has all of them in one file, beside which Rollup put its source map.

import { existsSync, readFileSync } from "node:fs";
import { type Profiler, type Runtime, Session } from "node:inspector";
import { SourceMap } from "node:module";
import { fileURLToPath } from "node:url";
import type { Frame } from "./stages.ts";

/** Time between two samples, microseconds. */
export const INTERVAL_US = 500;

/** The functions that ran at one moment, the innermost first. */
export type Stack = readonly Frame[];

export class Sampler {
  private readonly session = new Session();
  private readonly maps = new Map<string, SourceMap | null>();

  /**
   * Starts. To be made before the code runs that is looked at: code that V8 optimises while no profiler runs
   * does not know which of its instructions come from a function that was inlined.
   */
  constructor() {
    this.session.connect();
    this.session.post("Profiler.enable");
    this.session.post("Profiler.setSamplingInterval", { interval: INTERVAL_US });
    this.session.post("Profiler.start");
  }

  /** Ends; what was seen. */
  stop(): Stack[] {
    let found: Stack[] = [];
    // A session of the same thread answers before post() returns.
    this.session.post("Profiler.stop", (error, { profile }) => {
      if (error !== null) throw error;
      found = this.stacksOf(profile);
    });
    this.session.disconnect();
    return found;
  }

  private stacksOf({ nodes, samples = [] }: Profiler.Profile): Stack[] {
    const byId = new Map(nodes.map((node) => [node.id, node]));
    const stacks = new Map<number, Stack>();
    const visit = (id: number, outer: Stack): void => {
      const node = byId.get(id);
      if (node === undefined) return;
      const stack = [this.frameOf(node.callFrame), ...outer];
      stacks.set(id, stack);
      for (const child of node.children ?? []) visit(child, stack);
    };
    visit(nodes[0].id, []);
    return samples.map((id) => stacks.get(id) ?? []);
  }

  /** Names of the bundle may end in a number that Rollup added. */
  private frameOf({ url, lineNumber, columnNumber, functionName }: Runtime.CallFrame): Frame {
    return { file: this.fileOf(url, lineNumber, columnNumber), name: functionName.replace(/\$\d+$/, "") };
  }

  /** Such as "src/walk/walk"; what is not ours keeps its URL. */
  private fileOf(url: string, line: number, column: number): string {
    if (!url.startsWith("file:")) return url;
    const path = fileURLToPath(url);
    let map = this.maps.get(path);
    if (map === undefined) {
      const beside = `${path}.map`;
      map = existsSync(beside) ? new SourceMap(JSON.parse(readFileSync(beside, "utf8"))) : null;
      this.maps.set(path, map);
    }
    const source = map?.findEntry(line, column);
    const original = source !== undefined && "originalSource" in source ? source.originalSource : path;
    return original.replace(/^.*\/(?=(?:src|bench)\/)|^(?:\.\.\/)+/, "").replace(/\.[jt]s$/, "");
  }
}
