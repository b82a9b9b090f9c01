// Each of the 91 upstream tests of K 6 has a test that carries its name, or a line in docs/fidelity.md that
// says why it has none. The names are in facts/upstream.ts.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { titlesOf } from "./facts/names.ts";
import { UPSTREAM } from "./facts/upstream.ts";
import { findRoot, readSources } from "./tidy/source.ts";

const root = findRoot();
const titles = readSources(root, ["test"])
  .filter((source) => source.path.endsWith(".test.ts"))
  .flatMap(titlesOf);
const leftOut = readLeftOut(readFileSync(join(root, "docs/fidelity.md"), "utf8"));

/** The table under "## Upstream tests left out": a name and the reason. */
function readLeftOut(page: string): string[] {
  const section = /^## Upstream tests left out\n([\s\S]*?)(?=^## |$(?![\s\S]))/m.exec(page)?.[1] ?? "";
  return [...section.matchAll(/^\| ((?!test \||---)[^|]+) \| ([^|]+) \|$/gm)].map(([, name]) => name!);
}

test("the list has all 91, in order, and names none twice", (t) => {
  const numbers = UPSTREAM.map((u) => u.number);
  t.deepEqual(
    [...new Set(numbers)],
    Array.from({ length: 91 }, (_, i) => i + 1),
  );
  t.deepEqual(
    numbers,
    [...numbers].sort((a, b) => a - b),
  );
  const names = UPSTREAM.map((u) => u.name);
  t.deepEqual(
    names.filter((name, i) => names.indexOf(name) !== i),
    [],
  );
  t.deepEqual(readLeftOut("## Upstream tests left out\n\n| test | why |\n|---|---|\n| a b | so |\n"), [
    "a b",
  ]);
});

test("every upstream test has a test of its name, or a line in docs/fidelity.md", (t) => {
  const missing = UPSTREAM.filter(
    ({ name }) => !leftOut.includes(name) && !titles.some(({ text }) => text.includes(name)),
  );
  t.deepEqual(missing, [], "name each in a test's title, or leave it out with a reason");
});

test("what docs/fidelity.md leaves out is on the list, and has no test", (t) => {
  t.deepEqual(
    leftOut.filter((name) => !UPSTREAM.some((u) => u.name === name)),
    [],
  );
  t.deepEqual(
    leftOut.filter((name) => titles.some(({ text }) => text.includes(name))),
    [],
  );
});
