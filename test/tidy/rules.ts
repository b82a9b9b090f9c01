// The house rules that a compiler does not check. Each rule reads sources and answers findings, one plain
// line each: file:line, what is wrong, what to do instead. test/tidy.test.ts runs them, and shows each one a
// bad snippet first. Exceptions have a name and a reason in allowed.ts.

import type { Func, Import, Source } from "./source.ts";
import { lineAt } from "./source.ts";

export interface Finding {
  path: string;
  line: number;
  text: string;
}

export type Rule = (sources: readonly Source[]) => Finding[];

/** Folders of src/ in the order of docs/architecture.md; those on one line are siblings. */
export const LAYERS: readonly (readonly string[])[] = [
  ["core"],
  ["wire"],
  ["node"],
  ["link", "ip", "netfilter", "socket", "vnet"],
  ["walk"],
  ["cni"],
  ["cluster"],
  ["observe"],
  ["emulator"],
  ["attach"],
  ["cli"],
];

const DATA_PLANE = /^src\/(?:link|ip|netfilter|socket|vnet|walk)\//;
const IN_SRC = /^src\//;
const IN_CLI = /^src\/cli\//;

/** How a function is called that runs while a network is built or printed, and not once per packet. */
export const BUILD_TIME = /^(?:constructor|(?:create|build|compile|define|describe|seal|grow)(?=[A-Z]|$))/;

function folderOf(path: string): string | undefined {
  return /^src\/(\w+)\//.exec(path)?.[1];
}

function rankOf(folder: string): number {
  return LAYERS.findIndex((layer) => layer.includes(folder));
}

export const importDirection: Rule = (sources) =>
  inFolder(sources, IN_SRC).flatMap((source) => {
    if (source.path === "src/index.ts") return indexImports(source);
    const folder = folderOf(source.path);
    if (folder === undefined || rankOf(folder) === -1) {
      return [finding(source, 1, "not in a folder of the design: use one of the folders listed in LAYERS")];
    }
    return source.imports.flatMap((imp) => {
      const wrong = imp.target === undefined ? undefined : wrongTarget(folder, imp.target);
      return wrong === undefined ? [] : [finding(source, imp.line, `imports ${imp.specifier}: ${wrong}`)];
    });
  });

function indexImports(source: Source): Finding[] {
  return source.imports
    .filter((imp) => !/^src\/(?:emulator|observe|attach)\//.test(imp.target ?? ""))
    .map((imp) =>
      finding(source, imp.line, `exports ${imp.specifier}: export from emulator/, observe/ and attach/ only`),
    );
}

function wrongTarget(from: string, target: string): string | undefined {
  if (from === "cli") {
    const allowed = /^src\/(?:cli\/|emulator\/|observe\/|attach\/|index\.ts$)|^bench\//.test(target);
    return allowed ? undefined : "the command uses the public API only, src/index.ts";
  }
  if (!IN_SRC.test(target)) return "src/ uses nothing outside src/";
  const to = folderOf(target);
  if (to === undefined) return "only cli/ imports src/index.ts";
  if (to === from) return undefined;
  if (rankOf(to) === rankOf(from))
    return `${to}/ is a sibling of ${from}/: share state in node/, join in walk/`;
  return rankOf(to) < rankOf(from) ? undefined : `${to}/ lies below ${from}/: turn the dependency round`;
}

export const virtualTime: Rule = (sources) => [
  ...matches(sources, IN_SRC, [
    [/\bDate\.now\b|\bnew Date\b|\bDate\(/g, "reads the wall clock: use the virtual clock, core/clock.ts"],
    [/\bperformance\b|\bhrtime\b/g, "reads the wall clock: use the virtual clock, core/clock.ts"],
    [
      /\bMath\.random\b|\brandomBytes\b|\brandomUUID\b|\bgetRandomValues\b/g,
      "is not seeded: use core/random.ts",
    ],
  ]),
  ...matches(outside(sources, IN_CLI), IN_SRC, [
    [/\bset(?:Timeout|Interval|Immediate)\b/g, "waits in real time: put an event on the virtual clock"],
    [/\bprocess\.\w/g, "depends on the machine: pass it in from cli/"],
  ]),
  ...outside(sources, IN_CLI).flatMap((source) =>
    importsOf(
      source,
      /^node:(?:perf_hooks|timers|crypto|os)\b/,
      "depends on the machine: pass it in from cli/",
    ),
  ),
];

export const sameOnEveryMachine: Rule = (sources) =>
  matches(sources, IN_SRC, [
    [/\blocaleCompare\b|\bIntl\b|\.toLocale\w*/g, "depends on the machine's language: compare with < and >"],
  ]);

export const noViews: Rule = (sources) =>
  matches(sources, DATA_PLANE, [
    [/\bnew DataView\b/g, "makes a view per packet: use the slab's own view and an offset"],
    [/\.subarray\(/g, "makes a view per packet: pass the offset"],
    [
      /\bBigInt\b|\bBigU?int64Array\b|\b\d+n\b/g,
      "is slow and allocates: use two int32 words or a Float64Array",
    ],
  ]);

export const noClosures: Rule = (sources) =>
  inFolder(sources, DATA_PLANE).flatMap((source) =>
    [...source.code.matchAll(/=>|\bfunction\b/g)]
      .filter((match) => insidePacketCode(source.functions, match.index) && !inType(source.code, match.index))
      .map((match) =>
        finding(
          source,
          lineAt(source.code, match.index),
          "makes a closure per packet: use a loop or a function",
        ),
      ),
  );

/** Inside a body, and no function around it is a build-time one. */
function insidePacketCode(functions: readonly Func[], at: number): boolean {
  const around = functions.filter((f) => f.open < at && at < f.close);
  return around.length > 0 && !around.some((f) => BUILD_TIME.test(f.name));
}

/** `let f: (a: number) => void` and `x as () => void` are types. */
function inType(code: string, arrow: number): boolean {
  const statement = code.slice(
    Math.max(code.lastIndexOf(";", arrow), code.lastIndexOf("{", arrow)) + 1,
    arrow,
  );
  return /\b(?:let|const|var)\s+\w+\s*:\s*\([^=]*\)\s*$|\bas\s*\([^=]*\)\s*$|\btype\s+\w+\s*=/.test(
    statement,
  );
}

export const constantAssertText: Rule = (sources) =>
  inFolder(sources, DATA_PLANE).flatMap((source) =>
    source.codeLines.flatMap((line, i) =>
      /\bassert\(.*\$\(/.test(line)
        ? [finding(source, i + 1, "builds the assert's text for every packet: use a constant string")]
        : [],
    ),
  );

// spelled in halves so that this file passes its own rule
const MARKS: readonly (readonly [RegExp, string])[] = [
  [
    new RegExp("\\b(?:TO" + "DO|FIX" + "ME|X" + "XX)\\b"),
    "promises work: do it, or write the gap into docs/",
  ],
  [new RegExp("@ts-" + "(?:ignore|expect-error|nocheck)"), "silences the compiler: fix the type"],
  [new RegExp("biome-" + "ignore|eslint-" + "disable"), "silences the linter: change the code or biome.json"],
];

export const noMarks: Rule = (sources) => [
  ...sources.flatMap((source) =>
    source.textLines.flatMap((line, i) =>
      MARKS.flatMap(([pattern, advice]) => {
        const match = pattern.exec(line);
        return match === null ? [] : [finding(source, i + 1, `${match[0]} ${advice}`)];
      }),
    ),
  ),
  ...matches(sources, /./, [[/\bas any\b|<any>/g, "silences the compiler: fix the type"]]),
];

export const LINE_WIDTH = 110;

export const lineWidth: Rule = (sources) =>
  sources.flatMap((source) =>
    source.textLines.flatMap((line, i) =>
      [...line].length > LINE_WIDTH
        ? [finding(source, i + 1, `${[...line].length} columns: break the line at ${LINE_WIDTH}`)]
        : [],
    ),
  );

export const FILE_LINES = 500;

export const fileLength: Rule = (sources) =>
  inFolder(sources, /^(?:src|bench)\//)
    .filter((source) => source.textLines.length > FILE_LINES)
    .map((source) =>
      finding(source, FILE_LINES + 1, `${source.textLines.length} lines: split it by subject`),
    );

export const FUNCTION_LINES = 90;

export const functionLength: Rule = (sources) =>
  inFolder(sources, /^(?:src|bench)\//).flatMap((source) =>
    source.functions
      .map((f) => ({ f, lines: f.last - f.first + 1 }))
      .filter(({ lines }) => lines > FUNCTION_LINES)
      .map(({ f, lines }) => finding(source, f.first, `${f.name} has ${lines} lines: split it (aim at 70)`)),
  );

const ROOTS =
  /^src\/(?:index|cli\/main)\.ts$|^bench\/|^topologies\/|^test\/(?:.*\.test|property-seed|parity\/run)\.ts$/;

export const noDeadFiles: Rule = (sources) => {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const seen = new Set(sources.filter((source) => ROOTS.test(source.path)).map((source) => source.path));
  for (const path of seen) {
    for (const { target } of byPath.get(path)?.imports ?? []) {
      if (target !== undefined && byPath.has(target)) seen.add(target);
    }
  }
  return sources
    .filter((source) => !seen.has(source.path))
    .map((source) =>
      finding(source, 1, "no index, command, bench or test reaches it: import it or delete it"),
    );
};

export const startsWithWhat: Rule = (sources) =>
  inFolder(sources, IN_SRC)
    .filter((source) => !/^(?:#!.*\n)?\s*\/[/*]/.test(source.text))
    .map((source) =>
      finding(source, 1, "has no head: say in a comment what it is, what it mirrors, what is absent"),
    );

/** Packages that `dependencies` must name: what src/ and bench/ import. `declared` is what it does name. */
export function dependencies(sources: readonly Source[], declared: readonly string[]): Finding[] {
  const used = new Set<string>();
  const undeclared = inFolder(sources, /^(?:src|bench)\//).flatMap((source) =>
    source.imports.flatMap((imp) => {
      const name = packageOf(imp);
      if (name === undefined || name === "vnetem") return [];
      used.add(name);
      return declared.includes(name)
        ? []
        : [finding(source, imp.line, `imports ${name}: add it to "dependencies" and docs/dependencies.md`)];
    }),
  );
  const unused = declared
    .filter((name) => !used.has(name))
    .map((name) => ({
      path: "package.json",
      line: 1,
      text: `${name}: nothing in src/ or bench/ uses it: remove it`,
    }));
  return [...undeclared, ...unused];
}

function packageOf(imp: Import): string | undefined {
  if (imp.target !== undefined || imp.specifier.startsWith("node:")) return undefined;
  return /^(?:@[^/]+\/)?[^/]+/.exec(imp.specifier)?.[0];
}

function importsOf(source: Source, pattern: RegExp, advice: string): Finding[] {
  if (!IN_SRC.test(source.path)) return [];
  return source.imports
    .filter((imp) => pattern.test(imp.specifier))
    .map((imp) => finding(source, imp.line, `${imp.specifier} ${advice}`));
}

function matches(
  sources: readonly Source[],
  where: RegExp,
  patterns: readonly (readonly [RegExp, string])[],
): Finding[] {
  return inFolder(sources, where).flatMap((source) =>
    patterns.flatMap(([pattern, advice]) =>
      [...source.code.matchAll(pattern)].map((match) =>
        finding(source, lineAt(source.code, match.index), `${match[0].trim()} ${advice}`),
      ),
    ),
  );
}

function inFolder(sources: readonly Source[], where: RegExp): Source[] {
  return sources.filter((source) => where.test(source.path));
}

function outside(sources: readonly Source[], where: RegExp): Source[] {
  return sources.filter((source) => !where.test(source.path));
}

function finding(source: Source, line: number, text: string): Finding {
  return { path: source.path, line, text };
}
