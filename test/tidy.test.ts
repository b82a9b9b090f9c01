// The repository lints itself. Every rule is one test: first it must find the fault in a bad snippet and
// leave a good one alone, then it runs over the sources and prints its findings, one line each.

import { existsSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import test, { type ExecutionContext } from "ava";
import { ALLOWED } from "./tidy/allowed.ts";
import * as rules from "./tidy/rules.ts";
import { findRoot, makeSource, readSources, type Source } from "./tidy/source.ts";

const root = findRoot();
const sources = readSources(root, ["src", "bench", "test", "topologies"]);
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const dependencyNames = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });

type Snippet = readonly [path: string, ...lines: string[]];

interface Case {
  rule: rules.Rule;
  /** Each must give at least one finding. */
  bad: readonly Snippet[];
  /** Together they must give none. */
  good: readonly Snippet[];
}

function snippet([path, ...lines]: Snippet): Source {
  return makeSource(path, `${lines.join("\n")}\n`);
}

function lines(findings: readonly rules.Finding[]): string[] {
  return findings.map((f) => `${f.path}:${f.line} ${f.text}`);
}

function report(t: ExecutionContext, rule: string, findings: readonly rules.Finding[]): void {
  const excused = ALLOWED.filter((entry) => entry.rule === rule);
  const wrong = findings.filter((f) => !excused.some((entry) => entry.path === f.path));
  const stale = excused.filter((entry) => !findings.some((f) => f.path === entry.path));
  const all = [
    ...lines(wrong),
    ...stale.map((e) => `${e.path}: allowed.ts excuses ${rule} for nothing: delete it`),
  ];
  for (const line of all) t.log(line);
  t.is(all.length, 0, `${all.length} findings of the rule: ${rule}`);
}

function tidy(name: string, { rule, bad, good }: Case): void {
  test(name, (t) => {
    for (const wrong of bad) {
      t.true(rule([snippet(wrong)]).length > 0, `the rule must refuse:\n${wrong.join("\n")}`);
    }
    t.deepEqual(lines(rule(good.map(snippet))), [], "the rule must accept the good snippets");
    report(t, name, rule(sources));
  });
}

tidy("import direction", {
  rule: rules.importDirection,
  bad: [
    ["src/core/a.ts", 'import { w } from "../wire/w.ts";'],
    ["src/ip/a.ts", 'import type { L } from "../link/l.ts";'],
    ["src/ip/a.ts", "import {", "  type L,", '} from "../link/l.ts";'],
    ["src/walk/a.ts", 'export * from "../emulator/e.ts";'],
    ["src/walk/a.ts", 'const e = await import("../cluster/e.ts");'],
    ["src/node/a.ts", 'import "../index.ts";'],
    ["src/observe/a.ts", 'import { b } from "../../bench/b.ts";'],
    ["src/cli/a.ts", 'import { k } from "../node/kernel.ts";'],
    ["src/index.ts", 'export { k } from "./node/kernel.ts";'],
    ["src/fabric/a.ts", "export const a = 1;"],
    ["src/a.ts", "export const a = 1;"],
  ],
  good: [
    ["src/walk/a.ts", 'import { w } from "../wire/w.ts";', 'import { l } from "../link/l.ts";'],
    ["src/walk/b.ts", '// import { e } from "../emulator/e.ts";', "const s = 'import \"../cli/c.ts\"';"],
    ["src/cli/a.ts", 'import { v } from "../index.ts";', 'import { b } from "../../bench/b.ts";'],
    ["src/index.ts", 'export { v } from "./emulator/v.ts";', 'export { p } from "./observe/p.ts";'],
    ["test/a.test.ts", 'import { e } from "../src/emulator/e.ts";'],
  ],
});

tidy("virtual time and seeded chance", {
  rule: rules.virtualTime,
  bad: [
    ["src/core/a.ts", "const t = Date.now();"],
    ["src/cli/a.ts", "const t = new Date();"],
    ["src/cli/a.ts", "const t = performance.now();"],
    ["src/node/a.ts", "const t = process.hrtime.bigint();"],
    ["src/ip/a.ts", "const r = Math.random();"],
    ["src/ip/a.ts", "setTimeout(tick, 5);"],
    ["src/emulator/a.ts", 'import { randomInt } from "node:crypto";'],
    ["src/emulator/a.ts", "const seed = process.env.SEED;"],
  ],
  good: [
    ["src/core/a.ts", "// not Date.now", 'const text = "Math.random";'],
    ["src/cli/a.ts", "setInterval(draw, 100);", "process.exitCode = 1;"],
    ["bench/a.ts", "const t = performance.now();"],
  ],
});

tidy("same on every machine", {
  rule: rules.sameOnEveryMachine,
  bad: [["src/emulator/a.ts", "names.sort((a, b) => a.localeCompare(b));"]],
  good: [["src/emulator/a.ts", "names.sort();"]],
});

tidy("no views in the data plane", {
  rule: rules.noViews,
  bad: [
    ["src/link/a.ts", "const v = new DataView(b);"],
    ["src/walk/a.ts", "send(b.subarray(14));"],
    ["src/ip/a.ts", "const n = BigInt(x);"],
    ["src/ip/a.ts", "const n = 5n;"],
  ],
  good: [
    ["src/core/a.ts", "const v = new DataView(b);"],
    ["src/link/a.ts", "const len5n = 5; // .subarray("],
  ],
});

tidy("no closures in the data plane", {
  rule: rules.noClosures,
  bad: [
    ["src/link/a.ts", "export function forward(f: number): void {", "  ports.forEach((p) => emit(p));", "}"],
    [
      "src/link/a.ts",
      "class Bridge {",
      "  rx(f: number): number {",
      "    return find((p) => p === f);",
      "  }",
      "}",
    ],
    ["src/ip/a.ts", "export const out = (f: number): void => {", "  later(() => send(f));", "};"],
    ["src/ip/a.ts", "function out(f: number) {", "  return function () {", "    send(f);", "  };", "}"],
  ],
  good: [
    ["src/link/a.ts", "export const ttl = (b: Bytes, o: number): number => b[o + 8];"],
    [
      "src/link/b.ts",
      "type Emit = (f: number) => void;",
      "interface Tap {",
      "  see: (f: number) => void;",
      "}",
    ],
    [
      "src/link/c.ts",
      "class B {",
      "  constructor(n: string[]) {",
      "    this.x = n.map((p) => p);",
      "  }",
      "}",
    ],
    ["src/link/d.ts", "export function compileRules(r: R[]): C {", "  return r.map((x) => x.y);", "}"],
    ["src/link/e.ts", "function f(): void {", "  let emit: (f: number) => void;", "}"],
    ["src/emulator/a.ts", "function f(): void {", "  names.map((n) => n);", "}"],
  ],
});

tidy("constant assert text in the data plane", {
  rule: rules.constantAssertText,
  // biome-format would turn a template without an expression into a string, hence the joined pieces
  bad: [["src/ip/a.ts", `assert(n < 5, \`too many: $${"{n}"}\`);`]],
  good: [["src/ip/a.ts", 'assert(n < 5, "too many");']],
});

tidy("no marks and no silencing", {
  rule: rules.noMarks,
  bad: [
    ["src/ip/a.ts", `// TO${"DO"}: later`],
    ["src/ip/a.ts", `/* FIX${"ME"} */`],
    ["test/a.ts", `// @ts-${"ignore"}`],
    ["bench/a.ts", `// biome-${"ignore"} lint: no`],
    ["src/ip/a.ts", "const a = b as any;"],
  ],
  good: [["src/ip/a.ts", '// as any other host does, answers "MAXXXX"', "const a = b as unknown;"]],
});

tidy("line width", {
  rule: rules.lineWidth,
  bad: [
    ["docs.ts", `// ${"x".repeat(rules.LINE_WIDTH - 2)}`],
    ["docs.ts", `  "${"x".repeat(rules.LINE_WIDTH)}",`],
  ],
  good: [["docs.ts", `// ${"é".repeat(rules.LINE_WIDTH - 3)}`]],
});

tidy("file length", {
  rule: rules.fileLength,
  bad: [["src/ip/a.ts", ...Array<string>(rules.FILE_LINES + 1).fill("x();")]],
  good: [["src/ip/a.ts", ...Array<string>(rules.FILE_LINES).fill("x();")]],
});

tidy("function length", {
  rule: rules.functionLength,
  bad: [
    ["src/ip/a.ts", "export function long(): Map<string, number> {", ...body(rules.FUNCTION_LINES - 1), "}"],
    ["src/ip/a.ts", "const long = (", "  a: number,", "): void => {", ...body(rules.FUNCTION_LINES), "};"],
    ["src/ip/a.ts", "class A {", "  get long(): number {", ...body(rules.FUNCTION_LINES), "  }", "}"],
  ],
  good: [
    ["src/ip/a.ts", "export function fits(): void {", ...body(rules.FUNCTION_LINES - 2), "}"],
    ["src/ip/b.ts", "export const table = {", ...Array<string>(rules.FUNCTION_LINES).fill("  a: 1,"), "};"],
  ],
});

function body(count: number): string[] {
  return ["  if (a) {", "    b();", "  }", ...Array<string>(count - 3).fill("  x();")];
}

tidy("no dead files", {
  rule: rules.noDeadFiles,
  bad: [["src/ip/a.ts", "export const a = 1;"]],
  good: [
    ["src/index.ts", 'export { a } from "./emulator/a.ts";'],
    ["src/emulator/a.ts", 'import type { B } from "./b.ts";'],
    ["src/emulator/b.ts", "export interface B {}"],
    ["src/cli/main.ts", 'const at = new URL("./hooks.js", import.meta.url);'],
    ["src/cli/hooks.ts", "export const a = 1;"],
    ["test/a.test.ts", 'import "./kit/k.ts";'],
    ["test/kit/k.ts", "export {};"],
  ],
});

tidy("every file says what it is", {
  rule: rules.startsWithWhat,
  bad: [["src/ip/a.ts", "export const a = 1;", "// late"]],
  good: [
    ["src/ip/a.ts", "// Mirrors ip_rcv().", "export const a = 1;"],
    ["src/cli/main.ts", "#!/usr/bin/env node", "// The command.", "run();"],
  ],
});

test("what the rules take for code", (t) => {
  const code = (text: string): string => makeSource("a.ts", text).code;
  t.is(code('a("b // c"); // d'), 'a("      ");     ');
  t.is(code("x = a / b / c;"), "x = a / b / c;");
  t.is(code("x = /[/']{/.test(y);"), "x = /     /.test(y);");
  t.is(code(`\`a\${ {b: \`c\`}.b }}\` + d`), "` $( {b: ` `}.b ) ` + d");
  t.is(code("a /* {\n } */ b"), "a     \n      b");
  t.is(code("'\\'' + `\\``"), "'  ' + `  `");
});

test("what the rules take for a function", (t) => {
  const names = (...lines: string[]): string[] =>
    makeSource("a.ts", lines.join("\n")).functions.map((f) => f.name);
  t.deepEqual(names("class A<T> {", "  get b(): { c: T } {", "    if (c) {", "    }", "  }", "}"), ["b"]);
  t.deepEqual(names("export async function* f<T extends { a: 1 }>(x: T, y = {}): Map<T, U> {", "}"), ["f"]);
  t.deepEqual(names("const g = (a: number): a is B => {", "};", "h(() => {", "});"), ["g", "(arrow)"]);
  t.deepEqual(names("for (const a of b()) {", "}", "switch (a(b)) {", "}", "const o = { p: 1 };"), []);
  t.deepEqual(names("try {", "} catch (e) {", "} finally {", "}", "interface I {", "  m(): void;", "}"), []);
});

test("dependencies", (t) => {
  const importing = snippet(["src/wire/a.ts", 'import { u8 } from "buffer-layout";']);
  t.is(rules.dependencies([importing], []).length, 1, "undeclared");
  t.is(rules.dependencies([], ["ip-address"]).length, 1, "unused");
  t.is(rules.dependencies([importing], ["buffer-layout"]).length, 0);
  report(t, "dependencies", rules.dependencies(sources, dependencyNames));
});

test("docs/dependencies.md has a row for every dependency, with the version of package.json", (t) => {
  const table = readFileSync(join(root, "docs/dependencies.md"), "utf8");
  const all: Record<string, string> = { ...manifest.dependencies, ...manifest.devDependencies };
  const row = (name: string): string => `| \`${name}\` | ${all[name]} |`;
  const missing = Object.keys(all).filter((name) => !table.includes(row(name)));
  t.deepEqual(missing.map(row), []);
  const rows = [...table.matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1] as string);
  t.deepEqual(
    rows.filter((name) => all[name] === undefined),
    [],
    "rows of packages we do not depend on",
  );
});

test("the lock file holds no download address", (t) => {
  const packages = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const entries = Object.entries<{ resolved?: string; integrity?: string }>(packages);
  t.deepEqual(
    entries.filter(([, entry]) => entry.resolved !== undefined).map(([path]) => path),
    [],
  );
  t.deepEqual(
    entries.filter(([path, entry]) => path !== "" && entry.integrity === undefined).map(([path]) => path),
    [],
  );
});

// Consumers compile against our .d.ts files; they do not have our types/ folder.
const UNTYPED = ["buffer-layout", "amaro", "benchmark", "cli-progress"];

function untypedImports(entry: string, read: (path: string) => string | undefined): string[] {
  const wrong: string[] = [];
  const seen = new Set([entry]);
  for (const path of seen) {
    const text = read(path);
    if (text === undefined) continue;
    for (const imp of makeSource(path, text).imports) {
      if (UNTYPED.includes(imp.specifier)) wrong.push(`${path}:${imp.line} imports ${imp.specifier}`);
      if (imp.target !== undefined) seen.add(posix.normalize(imp.target.replace(/\.(?:js|ts)$/, ".d.ts")));
    }
  }
  return wrong;
}

test("published declarations need no types that are not published", (t) => {
  const bad: Record<string, string> = {
    "dist/src/index.d.ts": 'export { A } from "./wire/a.js";',
    "dist/src/wire/a.d.ts": 'import { Structure } from "buffer-layout";\nexport declare const A: Structure;',
  };
  t.is(untypedImports("dist/src/index.d.ts", (path) => bad[path]).length, 1);
  const read = (path: string): string | undefined =>
    existsSync(join(root, path)) ? readFileSync(join(root, path), "utf8") : undefined;
  t.deepEqual(untypedImports("dist/src/index.d.ts", read), []);
});
