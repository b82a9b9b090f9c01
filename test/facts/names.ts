// Which facts the tests name: in titles, and in the `facts` of parity cases.

import { CASES } from "../parity/cases/index.ts";
import type { Source } from "../tidy/source.ts";
import type { Fact } from "./rows.ts";

export interface Name {
  /** "test/vnet/statements.test.ts" or "parity 4.1/ageing". */
  where: string;
  text: string;
}

/**
 * Titles of the tests of a file that run everywhere: test("...") and test.serial("..."), not test.skip, nor
 * those that need a kernel to ask.
 */
export function titlesOf(source: Source): Name[] {
  return [...source.code.matchAll(/\btest(?:\.serial)?\(\s*(["`])/g)].map((match) => {
    const start = match.index + match[0].length;
    const end = source.code.indexOf(match[1] as string, start);
    return { where: source.path, text: source.text.slice(start, end) };
  });
}

/** What the parity cases say they stand for. */
export function caseFacts(): Name[] {
  return CASES.flatMap((c) => c.facts.map((text) => ({ where: `parity ${c.name}`, text })));
}

/** True when the text names the fact: see the head of rows.ts. */
export function isNamed(fact: Fact, text: string): boolean {
  if (idsIn(text).includes(fact.id)) return true;
  const said = text.toLowerCase();
  const inSection = sectionsIn(text).includes(fact.section);
  return fact.words.some(
    (words) => said.includes(words.toLowerCase()) && (inSection || /^K\d\.\d /.test(words)),
  );
}

/** Ids as rows.ts writes them: "A8.13", "A8.36/peering", "K4.1/ageing". */
export function idsIn(text: string): string[] {
  return text.match(/\bA8\.\d+(?:\/[a-z-]+)?|\bK\d\.\d\/[a-z0-9-]+/g) ?? [];
}

function sectionsIn(text: string): string[] {
  return text.match(/\bK\d\.\d\b/g) ?? [];
}
