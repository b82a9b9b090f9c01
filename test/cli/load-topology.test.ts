// The loader against real files outside the package, where a bare "vnetem" resolves to nothing.

import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { loadTopology, TopologyFileError } from "../../src/cli/load-topology.ts";

const dir = realpathSync(mkdtempSync(join(tmpdir(), "vnetem-load-")));
test.after.always(() => rmSync(dir, { recursive: true }));

function file(name: string, lines: string[]): string {
  const path = join(dir, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, lines.join("\n"));
  return path;
}

async function refusal(path: string): Promise<string> {
  const error = await loadTopology(path).then(
    () => undefined,
    (e: unknown) => e,
  );
  if (!(error instanceof TopologyFileError)) throw new Error(`not a TopologyFileError: ${error}`);
  return error.message;
}

test("a .ts topology loses its types and imports relative .ts files", async (t) => {
  file("helper.ts", ["export interface Hop { n: number }", "export const hop = <T,>(n: T): T => n;"]);
  const path = file("typed.ts", [
    'import { hop, type Hop } from "./helper.ts";',
    "const first = { n: hop<number>(3) } satisfies Hop;",
    "export default first as Hop;",
    "export function run(_net: unknown): void {}",
  ]);
  const topology = await loadTopology(path);
  t.deepEqual(topology.default, { n: 3 });
  t.is(typeof topology.run, "function");
});

test("a .ts topology under node_modules loads, as the ones this package ships do", async (t) => {
  const path = file("node_modules/vnetem-like/topologies/a.ts", ["export const n: number = 7;"]);
  t.is((await loadTopology(path)).n, 7);
});

test(".mts, .js and .mjs load", async (t) => {
  t.is((await loadTopology(file("a.mts", ["export const n: number = 1;"]))).n, 1);
  file("js/package.json", ['{ "type": "module" }']);
  t.is((await loadTopology(file("js/b.js", ["export const n = 2;"]))).n, 2);
  t.is((await loadTopology(file("c.mjs", ["export const n = 3;"]))).n, 3);
});

test('"vnetem" is this package, wherever the topology lies', async (t) => {
  const path = file("self.ts", ['import * as vnetem from "vnetem";', "export default vnetem;"]);
  const own = await import(new URL("../../src/index.js", import.meta.url).href);
  t.is((await loadTopology(path)).default, own);
});

test("a missing file names the nearest one beside it", async (t) => {
  file("near/quickstart.ts", []);
  file("near/isolation.ts", []);
  file("near/notes.txt", []);
  const message = await refusal(join(dir, "near/quikstart.ts"));
  t.regex(message, /quikstart\.ts: no such file; did you mean .*near\/quickstart\.ts\?$/);
  t.regex(await refusal(join(dir, "near/isolation")), /did you mean .*near\/isolation\.ts\?$/);
  t.regex(await refusal(join(dir, "nowhere/a.ts")), /no such file, and no directory .*nowhere$/);
});

test("a directory and a foreign extension are refused by name", async (t) => {
  t.regex(await refusal(dir), /: not a file$/);
  t.regex(
    await refusal(file("a.yaml", ["seed: 7"])),
    /a\.yaml: a topology ends in \.ts, \.mts, \.js, \.mjs$/,
  );
});

test("a syntax error tells file and line", async (t) => {
  const unparsable = file("bad-type.ts", ["const a = 1;", "", "const b: = a;"]);
  t.regex(await refusal(unparsable), /bad-type\.ts:3: Unexpected token/);
  const enumeration = file("bad-enum.ts", ["export const a = 1;", "enum Colour { Red }"]);
  t.regex(await refusal(enumeration), /bad-enum\.ts:2: TypeScript enum/);
  const twice = file("bad-twice.ts", ["const a: number = 1;", "", "", "const a: number = 2;"]);
  t.regex(await refusal(twice), /bad-twice\.ts:4: Identifier 'a' has already been declared$/);
  const plain = file("bad.mjs", ["const a = 1;", "const = 2;"]);
  t.regex(await refusal(plain), /bad\.mjs:2: Unexpected token/);
});

test("a syntax error in an imported file names that file", async (t) => {
  file("inner.ts", ["", "let a: = 1;"]);
  t.regex(await refusal(file("outer.ts", ['import "./inner.ts";'])), /inner\.ts:2: /);
});

test("an import that is not there is one line", async (t) => {
  const gone = await refusal(file("imports-gone.ts", ['import "./gone.ts";']));
  t.regex(gone, /gone\.ts.* imported from .*imports-gone\.ts$/);
  file("exports-b.ts", ["export const b = 1;"]);
  const missing = await refusal(file("imports-a.ts", ['import { a } from "./exports-b.ts";', "a;"]));
  t.regex(missing, /imports-a\.ts:1: .*does not provide an export named 'a'$/);
});

test("what the topology throws passes untouched", async (t) => {
  const thrown = file("throws.ts", ['throw new RangeError("boom");']);
  await t.throwsAsync(loadTopology(thrown), { instanceOf: RangeError, message: "boom" });
  const parsed = file("parses.ts", ['export default JSON.parse("{a");']);
  const error = await t.throwsAsync(loadTopology(parsed), { instanceOf: SyntaxError });
  t.false(error instanceof TopologyFileError);
});
