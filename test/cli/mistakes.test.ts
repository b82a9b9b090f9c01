// Mistyped commands, flags, files and names: one line that names the nearest valid one, exit 2, no stack,
// nothing on stdout. And help, which is no mistake.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { cleanUp, dir, QUICKSTART, TOPOLOGIES, vnetem } from "./command.ts";

test.after.always(cleanUp);

writeFileSync(join(dir, "plain-file"), "");
mkdirSync(join(dir, "folder"));
mkdirSync(join(dir, "topologies"));
writeFileSync(join(dir, "topologies/quickstart.ts"), "");
writeFileSync(join(dir, "qiuckstart.config.js"), "");
writeFileSync(join(dir, "no-default.ts"), "export const a = 1;\n");
writeFileSync(join(dir, "bad-run.ts"), 'import q from "./q.ts";\nexport default q;\nexport const run = 3;\n');
writeFileSync(join(dir, "q.ts"), `export { default } from ${JSON.stringify(QUICKSTART)};\n`);

/** Arguments, and what the line must say. */
const ROWS: [string[], RegExp][] = [
  [[], /^vnetem: name a command; see vnetem --help$/],
  [["rnu", QUICKSTART], /^vnetem: unknown command 'rnu'; did you mean run\?$/],
  [["explian"], /^vnetem: unknown command 'explian'; did you mean explain\?$/],
  [["xyzzy"], /^vnetem: unknown command 'xyzzy'; did you mean \w+\?$/],
  [["help", "rnu"], /^vnetem: unknown command 'rnu'; did you mean run\?$/],
  [["--verzion"], /^vnetem: unknown option '--verzion'; did you mean --version\?$/],
  [["run"], /^vnetem: missing required argument 'topology'$/],
  [["run", QUICKSTART, "--sed", "4"], /^vnetem: unknown option '--sed'; did you mean --seed\?$/],
  [["run", QUICKSTART, "--pacp=x"], /^vnetem: unknown option '--pacp'; did you mean --pcap\?$/],
  [["run", QUICKSTART, "--seed"], /^vnetem: option '--seed <n>' argument missing$/],
  [["run", QUICKSTART, "--seed", "four"], /^vnetem: --seed takes a whole number, not "four"$/],
  [["run", QUICKSTART, "--seed", "1e3"], /^vnetem: --seed takes a whole number, not "1e3"$/],
  [["run", QUICKSTART, "extra"], /^vnetem: too many arguments for 'run'/],
  [
    ["run", join(TOPOLOGIES, "quikstart.ts")],
    /^vnetem: .*quikstart\.ts: no such file; did you mean .*quickstart\.ts\?$/,
  ],
  [["run", "qiuckstart"], /^vnetem: qiuckstart: no such file; did you mean topologies\/quickstart\.ts\?$/],
  [["run", "folder"], /^vnetem: folder: not a file$/],
  [["run", "plain-file"], /^vnetem: plain-file: a topology ends in \.ts, \.mts, \.js, \.mjs$/],
  [["run", "no-default.ts"], /^vnetem: no-default\.ts has no default export made by defineTopology\(\)$/],
  [["run", "bad-run.ts"], /^vnetem: bad-run\.ts: the export "run" is no function$/],
  [["run", QUICKSTART, "--pcap", "plain-file"], /^vnetem: cannot write plain-file\/quickstart\.pcapng: /],
  [
    ["run", QUICKSTART, "--pcap", "/proc/nope"],
    /^vnetem: cannot write \/proc\/nope\/quickstart\.pcapng: ENOENT/,
  ],
  [["run", QUICKSTART, "--record", "folder"], /^vnetem: cannot write folder: /],
  [
    ["explain", QUICKSTART, "clinet", "web:80"],
    /^vnetem: no pod, node or VM is named "clinet"; did you mean "client"\?$/,
  ],
  [
    ["explain", QUICKSTART, "client", "wbe:80"],
    /^vnetem: no pod, node, VM or Service is named "wbe"; did you mean "web"\?$/,
  ],
  [["explain", QUICKSTART, "client", "web:eighty"], /^vnetem: "eighty" is no port number$/],
  [["explain", QUICKSTART, "client", "web-0"], /^vnetem: "web-0" names no port, as "web-0:80" does$/],
  [
    ["explain", QUICKSTART, "client", "web", "--proto", "ucp"],
    /^vnetem: --proto takes udp, tcp or icmp, not "ucp"; did you mean "udp"\?$/,
  ],
  [["explain", QUICKSTART, "client"], /^vnetem: missing required argument 'to'$/],
  [
    ["show", QUICKSTART, "n0", "rout"],
    /^vnetem: there is no table "rout"; did you mean "route"\? \(link, addr, /,
  ],
  [["show", QUICKSTART, "n7", "route"], /^vnetem: no pod, node or VM is named "n7"; did you mean "n0"\?$/],
  [["bench", "vpi"], /^vnetem: .*"vpi".*did you mean "vip"\?/],
  [["bench", "vip", "--flows", "many"], /^vnetem: .*flows.*"many"/],
  [["cni", "--nod", "n0"], /^vnetem: unknown option '--nod'; did you mean --node\?$/],
];

for (const [args, line] of ROWS) {
  test(`vnetem ${args.map((a) => a.replace(/.*\//, "")).join(" ")}`, async (t) => {
    const { code, stdout, stderr } = await vnetem(...args);
    t.is(code, 2, stderr);
    t.is(stdout, "");
    t.regex(stderr, /^[^\n]*\n$/, "one line");
    t.regex(stderr.trimEnd(), line);
  });
}

test("help names every command and option, and is no failure", async (t) => {
  const main = await vnetem("--help");
  t.is(main.code, 0);
  t.is(main.stderr, "");
  for (const name of ["run", "explain", "show", "bench", "cni"]) {
    t.regex(main.stdout, new RegExp(`^  ${name} `, "m"));
    const help = await vnetem(name, "--help");
    t.is(help.code, 0);
    t.is(help.stderr, "");
    t.regex(help.stdout, new RegExp(`^Usage: vnetem ${name} `));
    t.true((await vnetem("help", name)).stdout.startsWith(`Usage: vnetem ${name} `));
  }
  const version = await vnetem("--version");
  t.regex(version.stdout, /^\d+\.\d+\.\d+\n$/);
  t.is(version.code, 0);
});

test("a saved emulation that cannot be read is an error of the CNI specification", async (t) => {
  writeFileSync(join(dir, "garbage.vnetem"), "garbage");
  for (const [state, code] of [
    ["garbage.vnetem", 6],
    ["nowhere.vnetem", 5],
  ] as const) {
    const found = await vnetem("cni", "--state", state);
    t.is(found.code, 1);
    t.is(found.stderr, "");
    t.like(JSON.parse(found.stdout), { cniVersion: "1.1.0", code });
  }
});
