// Which stage of a packet's way a sample of the profiler belongs to. A sample is a stack of functions; the
// innermost one that has a stage of its own decides, so what helpers of core/ and wire/ take counts for
// whoever called them. What walks is called by the function that walk/walk.ts called: the kernel's name.

/** A function on the stack: its file, such as "src/walk/walk", and its name. */
export interface Frame {
  file: string;
  name: string;
}

export const SOURCE = "source: sequence numbers and templates";
export const LOOK_AHEAD = "flow cache: look ahead";
export const MATCH = "flow cache: match and count";
export const WRITE = "flow cache: write the frame";
export const DELIVER = "flow cache: slot, columns, delivery";
export const REMEMBER = "flow cache: remember a flow";
export const FORGET = "flow cache: forget, tell counters";
export const LEGS = "legs: the way between two hooks";
export const SINK = "sink: payload, sequence, checksums";
export const EVENTS = "walk: events and queues";
export const BETWEEN = "walk: between stages";
export const CHECK = "benchmark: is it the right pod";
export const CLOCK = "benchmark: clock, histogram";
export const COLLECTOR = "garbage collector";
export const OTHER = "other";

/** Functions with a stage of their own, in files whose other functions have the one named "". */
export const FUNCTIONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "bench/check": { "": CHECK },
  "bench/histogram": { "": CLOCK },
  "bench/pauses": { "": CLOCK },
  "bench/rig": { batch: CLOCK },
  "bench/timed": { slice: CLOCK },
  "src/core/clock": { "": EVENTS },
  "src/socket/flows": { "": SOURCE },
  "src/socket/sink": { "": SINK },
  "src/socket/source": { "": SOURCE },
  "src/walk/flow-cache": {
    "": MATCH,
    record: REMEMBER,
    finish: REMEMBER,
    add: REMEMBER,
    sweep: REMEMBER,
    clear: FORGET,
    forget: FORGET,
    tell: FORGET,
  },
  "src/walk/flow-leg": { "": LEGS, begin: REMEMBER, remember: REMEMBER },
  "src/walk/leg-end": { "": LEGS },
  "src/walk/leg-stages": { "": LEGS },
  "src/walk/flow-steady": { "": REMEMBER },
  "src/walk/flow-emit": { "": MATCH, lookAhead: LOOK_AHEAD, write: WRITE, batch: DELIVER, tell: DELIVER },
  "src/walk/flow-paths": { "": REMEMBER, count: MATCH, evict: FORGET, effect: FORGET, flush: FORGET },
};
/** What the cache's other files do is done for every frame. */
const FLOW_CACHE = /^src\/walk\/flow-/;

const WALK = "src/walk/walk";
const REPLACE = { file: "bench/rig", name: "replaceOne" };

/** @param stack the innermost function first */
export function stageOf(stack: readonly Frame[]): string {
  if (stack[0]?.name === "(garbage collector)") return COLLECTOR;
  if (stack.some(({ file, name }) => file === REPLACE.file && name === REPLACE.name)) return replacing(stack);
  for (const [i, { file, name }] of stack.entries()) {
    const own = FUNCTIONS[file];
    const stage = own?.[name] ?? own?.[""] ?? (FLOW_CACHE.test(file) ? MATCH : undefined);
    if (stage !== undefined) return stage;
    if (file === WALK) return walking(name, stack[i - 1]);
  }
  return OTHER;
}

/** The function of a stage that walk.ts called; its own loops when it called none. */
function walking(name: string, called: Frame | undefined): string {
  if (called !== undefined && called.file !== WALK && !/^src\/(?:core|node)\//.test(called.file))
    return `walk: ${called.name}`;
  return name === "frame" ? BETWEEN : EVENTS;
}

/** A replacement takes the plugin, the cluster, conntrack, the flow cache: by folder. */
function replacing(stack: readonly Frame[]): string {
  const inner = stack.find(({ file }) => /^src\/(?!core|wire|node)/.test(file));
  return `replacement: ${inner === undefined ? "benchmark" : (inner.file.split("/")[1] ?? "")}`;
}
