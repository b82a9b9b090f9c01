// Imports a topology file for the command line: .ts, .mts, .js or .mjs, on every Node version we support.
//
// TypeScript is stripped by our own hook (topology-hooks.ts) and not by Node: Node 20 cannot strip, later
// versions refuse files under node_modules, and one way for all gives one set of error messages.
// Whatever is wrong with the file itself (missing, bad syntax, an import that is not there) becomes one
// TopologyFileError with a one-line message; an error the topology throws while it loads passes untouched.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import * as nodeModule from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, extname, join, relative, resolve as resolvePath } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { closest } from "fastest-levenshtein";
import * as hooks from "./topology-hooks.ts";

const EXTENSIONS = [".ts", ".mts", ".js", ".mjs"];

/** The file cannot be read as a topology. The message is one line that names the file. */
export class TopologyFileError extends Error {
  override readonly name = "TopologyFileError";
}

/** Imports `path` (relative to the working directory) and returns the module's exports. */
export async function loadTopology(path: string): Promise<Record<string, unknown>> {
  const file = resolvePath(path);
  checkFile(path, file);
  installHooks();
  try {
    return (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  } catch (error) {
    throw fileError(error, file) ?? error;
  }
}

function checkFile(path: string, file: string): void {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) throw new TopologyFileError(`${path}: no such file${didYouMean(file)}`);
  if (!stat.isFile()) throw new TopologyFileError(`${path}: not a file`);
  if (!EXTENSIONS.includes(extname(file))) {
    throw new TopologyFileError(`${path}: a topology ends in ${EXTENSIONS.join(", ")}`);
  }
}

function didYouMean(file: string): string {
  const dir = dirname(file);
  const shown = relative("", dir) || ".";
  if (!statSync(dir, { throwIfNoEntry: false })?.isDirectory()) return `, and no directory ${shown}`;
  const found = [...topologiesIn(dir), ...topologiesIn(join(dir, "topologies"))];
  if (found.length === 0) return `, and no topology in ${shown}`;
  const wanted = basename(file);
  const names = found.map((path) => basename(path));
  const same = names.find((name) => basename(name, extname(name)) === wanted);
  const nearest = found[names.indexOf(same ?? closest(wanted, names))] ?? "";
  return `; did you mean ${relative("", nearest)}?`;
}

/** In the order of the alphabet: of equally near names the first is meant. */
function topologiesIn(dir: string): string[] {
  if (!statSync(dir, { throwIfNoEntry: false })?.isDirectory()) return [];
  const names = readdirSync(dir).filter(
    (name) => EXTENSIONS.includes(extname(name)) && !/\.(?:config|d)\.\w+$/.test(name),
  );
  return names.sort().map((name) => join(dir, name));
}

// The types of Node 20 do not know registerHooks.
type ModuleWithHooks = typeof nodeModule & {
  registerHooks?: (both: Pick<typeof hooks, "resolve" | "load">) => unknown;
};

let installed = false;

/** Once per thread, because Node keeps hooks for the life of the process. */
function installHooks(): void {
  if (installed) return;
  installed = true;
  // registerHooks (Node 22.15 and later) runs in this thread and takes the functions; the older register
  // runs them in a thread of its own and takes the address of the module that exports them.
  const { register, registerHooks } = nodeModule as ModuleWithHooks;
  if (registerHooks !== undefined) registerHooks({ resolve: hooks.resolve, load: hooks.load });
  else register(new URL("./topology-hooks.js", import.meta.url));
}

/** The error when it is about a file of the topology and not thrown by the topology's own code. */
function fileError(error: unknown, entry: string): TopologyFileError | undefined {
  if (!(error instanceof Error)) return undefined;
  const message = error.message.split("\n")[0] as string;
  if ((error as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND") {
    return new TopologyFileError(message, { cause: error });
  }
  if (!(error instanceof SyntaxError)) return undefined;
  // our hook begins the message with the place, V8's linker the stack, V8's parser tells no place at all
  const place = /^(file:\/\/\S+?):(\d+)(?:: |\n)/;
  const found = place.exec(error.message) ?? place.exec(error.stack ?? "");
  if (found !== null) {
    const where = `${relative("", fileURLToPath(found[1] as string))}:${found[2]}`;
    return new TopologyFileError(`${where}: ${message.replace(place, "")}`, { cause: error });
  }
  if (/^\s+at .*file:\/\//m.test(error.stack ?? "")) return undefined; // JSON.parse in the topology, say
  return new TopologyFileError(`${relative("", entry)}${lineByCheck(entry)}: ${message}`, { cause: error });
}

/** `:line` of the syntax error, asked of `node --check`, or a remark that `entry` itself has none. */
function lineByCheck(entry: string): string {
  const dir = mkdtempSync(join(tmpdir(), "vnetem-check-"));
  try {
    const copy = join(dir, "topology.mjs");
    const isTypeScript = /\.m?ts$/.test(entry);
    writeFileSync(copy, isTypeScript ? hooks.strip(pathToFileURL(entry).href) : readFileSync(entry));
    const { stderr } = spawnSync(process.execPath, ["--check", copy], { encoding: "utf8" });
    const line = /topology\.mjs:(\d+)/.exec(stderr);
    return line === null ? " (in a file it imports)" : `:${line[1]}`;
  } finally {
    rmSync(dir, { recursive: true });
  }
}
