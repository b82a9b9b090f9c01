// Every row of the fact sheets that this release stands for has a test that names it, or a line in
// docs/fidelity.md that says why it has none. The rows are in facts/rows.ts.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { caseFacts, idsIn, isNamed, type Name, titlesOf } from "./facts/names.ts";
import { FACTS, type Fact } from "./facts/rows.ts";
import { findRoot, makeSource, readSources } from "./tidy/source.ts";

const root = findRoot();
const titles = readSources(root, ["test"])
  .filter((source) => source.path.endsWith(".test.ts") && source.path !== "test/facts.test.ts")
  .flatMap(titlesOf);
const names: readonly Name[] = [...titles, ...caseFacts()];
const leftOut = readLeftOut(readFileSync(join(root, "docs/fidelity.md"), "utf8"));

/** The table under "## Fact rows left out": ids, separated by commas, and the reason. */
function readLeftOut(page: string): Map<string, string> {
  const section = /^## Fact rows left out\n([\s\S]*?)(?=^## |$(?![\s\S]))/m.exec(page)?.[1] ?? "";
  const rows = [...section.matchAll(/^\| ((?:K\d|A8)[^|]*) \| ([^|]+) \|$/gm)];
  return new Map(rows.flatMap(([, ids, why]) => ids!.split(", ").map((id) => [id, why!] as const)));
}

/** "A8.30 to A8.32, A8.34": 30, 31, 32, 34. */
function numbersIn(text: string): number[] {
  return [...text.matchAll(/A8\.(\d+)(?: to A8\.(\d+))?/g)].flatMap(([, from, to = from]) =>
    Array.from({ length: Number(to) - Number(from) + 1 }, (_, i) => Number(from) + i),
  );
}

const fact = (id: string, words: string[] = []): Fact => ({
  id,
  section: id.slice(0, id.startsWith("A8") ? 2 : 4),
  text: "",
  words,
});

test("what names a fact, and what does not", (t) => {
  t.true(isNamed(fact("A8.1"), "A8.1 ARP for the gateway"));
  t.true(isNamed(fact("A8.81"), "A8.80 A8.81 the address"));
  t.false(isNamed(fact("A8.1"), "A8.13 TTL"));
  t.false(isNamed(fact("A8.36/peering"), "A8.36 the 401st user route"));
  t.false(isNamed(fact("A8.36"), "A8.36/peering refused"));
  t.true(isNamed(fact("K4.1/ageing", ["ageing:"]), "K4.1 Ageing: 3 s"));
  t.true(isNamed(fact("K4.1/ageing"), "as K4.1/ageing says"));
  t.false(isNamed(fact("K4.1/ageing", ["ageing:"]), "K4.2 ageing: another section"));
  t.false(isNamed(fact("K4.1/ageing", ["ageing:"]), "K4.1 the section alone"));
  t.true(isNamed(fact("K3.6/redirects", ["K4.3 with rules"]), "K4.3 with rules no redirect"));
});

test("titles are found, comments and skipped tests are not", (t) => {
  const lines = ['// test("A8.1 no")', 'test("A8.2 yes", f);', "test(`A8.3 yes`, f);"];
  const more = ['test.skip("A8.4 no", f);', 'test.serial(\n  "A8.5 yes",\n  f,\n);', 'const s = "A8.6 no";'];
  const found = titlesOf(makeSource("test/a.test.ts", [...lines, ...more].join("\n")));
  t.deepEqual(
    found.flatMap((name) => idsIn(name.text)),
    ["A8.2", "A8.3", "A8.5"],
  );
  t.deepEqual(
    [...readLeftOut("## Fact rows left out\n\n| id | why |\n|---|---|\n| A8.1, A8.2 | so |\n")],
    [
      ["A8.1", "so"],
      ["A8.2", "so"],
    ],
  );
});

// Without this a statement that nobody wrote into rows.ts would not be missed.
test("statements 1 to 98 of the Azure sheet are rows, or belong to later parts", (t) => {
  const page = readFileSync(join(root, "docs/fidelity.md"), "utf8");
  const later = numbersIn(/^## Fact rows left out\n([^|]*)/m.exec(page)?.[1] ?? "");
  t.deepEqual(numbersIn("A8.3 to A8.5, A8.9"), [3, 4, 5, 9]);
  const rows = FACTS.flatMap(({ id }) => Number(/^A8\.(\d+)/.exec(id)?.[1] ?? 0) || []);
  const all = Array.from({ length: 98 }, (_, i) => i + 1);
  t.deepEqual(
    [...new Set([...rows, ...later])].sort((a, b) => a - b),
    all,
  );
  t.deepEqual(
    later.filter((n) => rows.includes(n)),
    [],
  );
});

// So many rows the sheet's tables and sentences have, counted by hand.
test("no K row is lost: as many per section as the sheet has", (t) => {
  const count: Record<string, number> = {};
  for (const { section } of FACTS) if (section !== "A8") count[section] = (count[section] ?? 0) + 1;
  t.deepEqual(count, {
    "K1.4": 20,
    "K1.5": 15,
    "K3.2": 10,
    "K3.4": 46,
    "K3.6": 11,
    "K4.1": 27,
    "K4.2": 19,
    "K4.3": 22,
    "K5.2": 10,
  });
});

test("ids are unique, and titles name no row that does not exist", (t) => {
  const ids = FACTS.map((f) => f.id);
  t.deepEqual(
    ids.filter((id, i) => ids.indexOf(id) !== i),
    [],
  );
  const strange = names.flatMap(({ where, text }) =>
    idsIn(text).flatMap((id) => (ids.includes(id) ? [] : [`${where}: ${id} in "${text}"`])),
  );
  t.deepEqual(strange, []);
});

test("every row has a test that names it, or a line in docs/fidelity.md that says why not", (t) => {
  const missing = FACTS.filter((f) => !leftOut.has(f.id) && !names.some((n) => isNamed(f, n.text)));
  for (const f of missing) t.log(`${f.id}: ${f.text}`);
  t.is(missing.length, 0, "name each in a test's title (see facts/rows.ts), or leave it out with a reason");
});

test("what docs/fidelity.md leaves out exists, and has no test", (t) => {
  const unknown = [...leftOut.keys()].filter((id) => !FACTS.some((f) => f.id === id));
  t.deepEqual(unknown, []);
  const tested = FACTS.filter((f) => leftOut.has(f.id)).flatMap((f) => {
    const name = names.find((n) => isNamed(f, n.text));
    return name === undefined ? [] : [`${f.id} is left out, yet ${name.where} has "${name.text}"`];
  });
  t.deepEqual(tested, []);
});
