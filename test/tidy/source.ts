// Source files as the tidy rules see them: the text, the code (comments, strings and regular expressions
// blanked out at their places, so that every offset and line agrees with the text), imports and functions.
// TypeScript 7 offers no parser to JavaScript, so this reads the little the rules need by itself. It relies
// on the layout Biome enforces: statements end in semicolons, braces close.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";

export interface Import {
  line: number;
  /** As written: "../core/assert.ts", "ava". */
  specifier: string;
  /** Path from the repository's root when relative, else undefined. */
  target: string | undefined;
}

export interface Func {
  name: string;
  /** Lines, counted from 1, header and closing brace included. */
  first: number;
  last: number;
  /** Offsets of the braces of the body. */
  open: number;
  close: number;
}

export interface Source {
  path: string;
  text: string;
  code: string;
  textLines: string[];
  codeLines: string[];
  imports: Import[];
  functions: Func[];
}

export function makeSource(path: string, text: string): Source {
  const code = blank(text);
  return {
    path,
    text,
    code,
    textLines: text.replace(/\n$/, "").split("\n"),
    codeLines: code.replace(/\n$/, "").split("\n"),
    imports: findImports(path, text, code),
    functions: findFunctions(code),
  };
}

/** The repository: the nearest directory above this file whose package.json is ours. */
export function findRoot(): string {
  for (let dir = dirname(fileURLToPath(import.meta.url)); ; dir = dirname(dir)) {
    const manifest = join(dir, "package.json");
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).name === "vnetem") return dir;
    if (dir === dirname(dir)) throw new Error("no package.json of vnetem above the tests");
  }
}

/** Every .ts file of the folders, sorted by path; a folder that does not exist has none. */
export function readSources(root: string, folders: readonly string[]): Source[] {
  const paths = folders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) =>
        posix.join(folder, name.replaceAll("\\", "/")),
      ),
    )
    .filter((path) => path.endsWith(".ts") && !path.endsWith(".d.ts"));
  return paths.sort().map((path) => makeSource(path, readFileSync(join(root, path), "utf8")));
}

export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let i = text.indexOf("\n"); i !== -1 && i < offset; i = text.indexOf("\n", i + 1)) line++;
  return line;
}

/**
 * Comments, the insides of strings and of regular expressions become spaces. A template keeps its backquotes
 * and its expressions, whose ${ and } become "$(" and ")" so that braces still only mean blocks and objects.
 */
export function blank(text: string): string {
  const out = text.split("");
  const templates: number[] = []; // brace depth at each open ${
  let depth = 0;
  let i = 0;
  const skip = (to: number): void => {
    for (; i < to; i++) if (text[i] !== "\n") out[i] = " ";
  };
  const template = (): void => {
    while (i < text.length && text[i] !== "`") {
      if (text[i] === "$" && text[i + 1] === "{") {
        out[i + 1] = "(";
        i += 2;
        templates.push(depth);
        return;
      }
      skip(i + (text[i] === "\\" ? 2 : 1));
    }
    i++;
  };
  while (i < text.length) {
    const c = text[i] as string;
    if (c === "/" && text[i + 1] === "/") skip(endOr(text, text.indexOf("\n", i)));
    else if (c === "/" && text[i + 1] === "*") skip(endOr(text, text.indexOf("*/", i) + 2));
    else if (c === '"' || c === "'") {
      i++;
      skip(endOfQuoted(text, i, c));
      i++;
    } else if (c === "`") {
      i++;
      template();
    } else if (c === "/" && startsRegex(out, i)) {
      i++;
      skip(endOfRegex(text, i));
      i++;
    } else {
      if (c === "{") depth++;
      if (c === "}" && templates.at(-1) === depth) {
        templates.pop();
        out[i++] = ")";
        template();
        continue;
      }
      if (c === "}") depth--;
      i++;
    }
  }
  return out.join("");
}

function endOr(text: string, at: number): number {
  return at <= 1 ? text.length : at;
}

function endOfQuoted(text: string, from: number, quote: string): number {
  let i = from;
  while (i < text.length && text[i] !== quote && text[i] !== "\n") i += text[i] === "\\" ? 2 : 1;
  return i;
}

function endOfRegex(text: string, from: number): number {
  let inClass = false;
  let i = from;
  for (; i < text.length && text[i] !== "\n"; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === "[") inClass = true;
    else if (text[i] === "]") inClass = false;
    else if (text[i] === "/" && !inClass) break;
  }
  return i;
}

/** A slash begins a regular expression where an operand may stand. */
function startsRegex(out: readonly string[], at: number): boolean {
  let i = at - 1;
  while (i >= 0 && /\s/.test(out[i] as string)) i--;
  if (i < 0) return true;
  const before = out.slice(Math.max(0, i - 10), i + 1).join("");
  return /[(,=:[!&|?{};+\-*%^~<>]$/.test(before) || /\b(?:return|typeof|case|in|of|void|throw)$/.test(before);
}

// The opening quote of every module name: from "x", import "x", import("x"), new URL("x", import.meta.url).
const MODULE_NAMES = [
  /\b(?:import|export)\b[^;"'`()]*?\bfrom\s*(?=["'])/g,
  /\bimport\s*\(?\s*(?=["'])/g,
  /\bnew URL\(\s*(?=["'][^"']*["'],\s*import\.meta\.url)/g,
];

function findImports(path: string, text: string, code: string): Import[] {
  const found: Import[] = [];
  for (const pattern of MODULE_NAMES) {
    for (const match of code.matchAll(pattern)) {
      const quote = match.index + match[0].length;
      const specifier = text.slice(quote + 1, code.indexOf(code[quote] as string, quote + 1));
      const target = specifier.startsWith(".") ? posix.join(posix.dirname(path), specifier) : undefined;
      // an address of a compiled file stands for its source
      const source = pattern === MODULE_NAMES[2] ? target?.replace(/\.js$/, ".ts") : target;
      found.push({ line: lineAt(text, match.index), specifier, target: source });
    }
  }
  return found.sort((a, b) => a.line - b.line);
}

const CONTROL = new Set(["if", "for", "while", "switch", "catch", "with", "await"]);

/** Every function with a body in braces: declarations, methods, accessors, arrows. Outer ones come first. */
function findFunctions(code: string): Func[] {
  const found: Func[] = [];
  for (let open = code.indexOf("{"); open !== -1; open = code.indexOf("{", open + 1)) {
    const header = functionHeader(code, open);
    if (header === undefined) continue;
    const close = closing(code, open);
    found.push({
      name: header.name,
      first: lineAt(code, header.at),
      last: lineAt(code, close),
      open,
      close,
    });
  }
  return found;
}

function functionHeader(code: string, open: number): { name: string; at: number } | undefined {
  let before = code.slice(0, open).trimEnd();
  if (before.endsWith("=>")) {
    const line = before.slice(before.lastIndexOf("\n") + 1);
    const name = /\b(?:const|let)\s+(\w+)\b/.exec(line)?.[1];
    return { name: name ?? "(arrow)", at: before.length - 2 };
  }
  // what stands between the parameters and the body is nothing or a return type, an object type included
  if (before.endsWith("}")) before = before.slice(0, opening(before, before.length - 1, "{", "}")) + "object";
  const tail = /\)(?:\s*:\s*[\w\s.,<>[\]|&"']+)?$/.exec(before);
  if (tail === null) return undefined;
  const paren = opening(before, tail.index);
  if (paren === -1) return undefined;
  const name = /(\w+)\s*(?:<[^;()\n]*>)?\s*$/.exec(before.slice(Math.max(0, paren - 200), paren))?.[1];
  if (name === undefined || CONTROL.has(name)) return undefined;
  return { name: name === "function" ? "(function)" : name, at: paren };
}

function closing(code: string, open: number): number {
  let depth = 0;
  for (let i = open; i < code.length; i++) {
    if (code[i] === "{") depth++;
    else if (code[i] === "}" && --depth === 0) return i;
  }
  return code.length;
}

function opening(code: string, close: number, left = "(", right = ")"): number {
  let depth = 0;
  for (let i = close; i >= 0; i--) {
    if (code[i] === right) depth++;
    else if (code[i] === left && --depth === 0) return i;
  }
  return -1;
}
