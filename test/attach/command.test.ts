// vnetem attach as a user starts it: a command in the place of a pod, what it says when something is missing
// or in use, and that nothing stays behind however it ends.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { Libc } from "../../src/attach/libc.ts";
import { NetworkNamespace } from "../../src/attach/netns.ts";
import { here, type Outcome, real, run, start } from "./kit.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const TOPOLOGY = fileURLToPath(new URL("../../../topologies/attach-tap.ts", import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "vnetem-attach-"));
test.after.always(() => rmSync(dir, { recursive: true }));

const DEVICE = "vnetem0";
const ATTACH = [MAIN, "attach", TOPOLOGY];
const TAP = [...ATTACH, "--tap", DEVICE, "--as", "pod/client"];

const HINT = "at the other end, for an interface eth0:\n";

/** A network namespace for the command itself: what it leaves there shows, and hurts nobody. */
async function namespace(t: ExecutionContext): Promise<NetworkNamespace> {
  t.timeout(120_000);
  const made = NetworkNamespace.create(await Libc.load());
  t.teardown(() => made.close());
  return made;
}

const devices = async (where: NetworkNamespace): Promise<string> =>
  (await run(where, "ip", "-brief", "link")).stdout.replace(/ .*/g, "").trim();

const vnetem = (where: NetworkNamespace, ...args: string[]): Promise<Outcome> =>
  run(where, process.execPath, ...ATTACH, ...args);

real("a command runs as the pod, and its exit code is ours", ["curl"], async (t) => {
  const where = await namespace(t);
  const curl = await vnetem(
    where,
    "--as",
    "pod/client",
    "--",
    "curl",
    "-sS",
    "-m",
    "60",
    "http://10.0.0.11/",
  );
  t.deepEqual([curl.code, curl.stderr], [0, ""]);
  t.is(curl.stdout, "web-0 (10.224.0.5) answers 10.224.0.37\n");
  const { code } = await vnetem(where, "--as", "pod/client", "--", "sh", "-c", "exit 7");
  t.is(code, 7);
  const none = await vnetem(where, "--as", "pod/client", "--", "no-such-program");
  t.deepEqual(
    [none.code, none.stderr],
    [2, "vnetem: cannot run no-such-program: spawn no-such-program ENOENT\n"],
  );
  t.is(await devices(where), "lo");
});

real(
  "a TAP device has MAC, address and routes of the pod; on SIGINT, SIGTERM and SIGKILL it goes",
  [],
  async (t) => {
    const where = await namespace(t);
    for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
      const child = await start(t, where, "pod/client is TAP device vnetem0\n", process.execPath, ...TAP);
      const { stdout } = await run(where, "ip", "-4", "-brief", "addr", "show", DEVICE);
      t.regex(stdout, /^vnetem0 +\w+ +10\.224\.0\.37\/16 *\n$/);
      const routes = (await run(where, "ip", "-4", "route")).stdout.trim().split(/ *\n/);
      t.deepEqual(routes, [
        "10.0.0.0/16 via 169.254.1.1 dev vnetem0",
        "10.224.0.0/12 via 169.254.1.1 dev vnetem0",
        "10.244.0.0/16 via 169.254.1.1 dev vnetem0",
        "169.254.1.1 dev vnetem0 scope link",
      ]);
      const code = await child.stop(signal);
      t.is(code, signal === "SIGKILL" ? -1 : 0, signal);
      t.is(await devices(where), "lo", signal);
    }
  },
);

real("a TAP device that was there is used as it is, and stays", [], async (t) => {
  const where = await namespace(t);
  where.tool("ip", ["tuntap", "add", DEVICE, "mode", "tap"]);
  const { code, stdout } = await run(where, process.execPath, ...TAP, "--for", "0.2");
  t.is(code, 0);
  t.true(stdout.startsWith(`pod/client is TAP device ${DEVICE}\n${HINT}  ip link set dev eth0 `), stdout);
  t.regex(stdout, /\n {2}ip route add default via 169\.254\.1\.1 dev eth0\n/);
  t.is((await run(where, "ip", "-4", "addr", "show", DEVICE)).stdout, "");
  t.is(await devices(where), `lo\n${DEVICE}`);
});

real("what goes over the wire is counted, in plain lines without a terminal", ["ping"], async (t) => {
  const where = await namespace(t);
  const child = await start(t, where, "pod/client is", process.execPath, ...TAP);
  const ping = await run(where, "ping", "-n", "-c", "3", "-i", "0.05", "-W", "60", "10.224.0.5");
  t.is(ping.code, 0);
  await child.stop("SIGINT");
  const counters = /\npod\/client in (\d+) \([\d.]+ \w+\) out (\d+) \([\d.]+ \w+\); \d+ dropped\n$/;
  const line = counters.exec(child.said());
  t.true(line !== null && Number(line[1]) >= 3 && Number(line[2]) >= 3, child.said());
  t.false(child.said().includes("\r"));
});

real("an error that nobody expects leaves nothing behind", [], async (t) => {
  const where = await namespace(t);
  const file = join(dir, "boom.ts");
  const fails = "export const start = (net: any) => net.at(2e8).call(() => { throw new Error('boom'); });";
  writeFileSync(file, `export { default } from "${TOPOLOGY}";\n${fails}\n`);
  const { code, stderr } = await run(where, process.execPath, MAIN, "attach", file, ...TAP.slice(3));
  t.is(code, 1);
  t.regex(stderr, /Error: boom/);
  t.is(await devices(where), "lo");
});

real("it says in one line what is missing, in use or not allowed", ["setpriv"], async (t) => {
  const where = await namespace(t);
  const says = async (message: string, command: string, ...args: string[]): Promise<void> => {
    const { code, stderr } = await run(where, command, ...args);
    t.deepEqual([code, stderr], [2, `vnetem: ${message}\n`]);
  };
  const noRights = ["--inh-caps=-all", "--bounding-set=-all", process.execPath];
  const made = `ip tuntap add ${DEVICE} mode tap user ...`;
  await says(
    `a TAP device needs root or CAP_NET_ADMIN, or one made for you: ${made}`,
    "setpriv",
    ...noRights,
    ...TAP,
  );
  const asCommand = [...ATTACH, "--as", "pod/client", "--", "true"];
  await says("a network namespace needs root or CAP_SYS_ADMIN", "setpriv", ...noRights, ...asCommand);
  const tap = (name: string): string[] => [...ATTACH, "--tap", name, "--as", "pod/client"];
  await says("the name lo is in use, and not by a TAP device", process.execPath, ...tap("lo"));
  await says(
    '"an-interface-name" is no name for an interface (at most 15 letters)',
    process.execPath,
    ...tap("an-interface-name"),
  );
  const packet = [...ATTACH, "--packet", "vne-none", "--as", "pod/client"];
  await says("there is no interface vne-none", process.execPath, ...packet);
  const onLo = [...ATTACH, "--packet", "lo", "--as", "pod/client"];
  await says("a packet socket needs root or CAP_NET_RAW", "setpriv", ...noRights, ...onLo);
  const noNamespace = "there is no network namespace /run/netns/nowhere";
  await says(noNamespace, process.execPath, ...TAP, "--netns", "nowhere");
  await start(t, where, "pod/client is", process.execPath, ...TAP);
  await says(`the TAP device ${DEVICE} is in use by another program`, process.execPath, ...TAP);
});

test("a stream needs no root, says what the other end must be told, and takes its socket away", async (t) => {
  t.timeout(60_000);
  const socket = join(dir, "stream");
  const args = [...ATTACH, "--stream", socket, "--as", "pod/client", "--for", "0.2"];
  const { code, stdout, stderr } = await here(process.execPath, args);
  t.deepEqual([code, stderr], [0, ""]);
  t.true(stdout.startsWith(`pod/client is stream ${socket}\n${HINT}`), stdout);
  t.regex(stdout, / {2}ip addr add 10\.224\.0\.37\/16 dev eth0/);
  t.false(existsSync(socket));
});

test("without koffi, and with a command line that makes no sense", async (t) => {
  t.timeout(120_000);
  const hooks =
    "export const resolve = (s, c, n) => { if (s === 'koffi') throw Error('none'); return n(s, c); }";
  const data = (code: string): string => `data:text/javascript,${encodeURIComponent(code)}`;
  const without = data(`import { register } from "node:module"; register(${JSON.stringify(data(hooks))});`);
  const says = async (message: string, ...args: string[]): Promise<void> => {
    const { code, stderr } = await here(process.execPath, args);
    t.deepEqual([code, stderr], [2, `vnetem: ${message}\n`]);
  };
  const needs = "needs the package koffi to call libc: npm install koffi (none)";
  // Node 26 warns of register(); registerHooks() is not in Node 20.
  await says(needs, "--no-deprecation", "--import", without, ...TAP);
  const what = "--tap NAME, --packet NAME, --stream PATH, --cni PATH";
  await says(`name what to attach: ${what}, or a command after --`, ...ATTACH);
  await says(
    "each interface stands for a host, --as pod/NAME, in the same order: 1 to attach and 0 --as",
    ...[...ATTACH, "--tap", DEVICE],
  );
  await says(
    'no pod, node or VM is named "clent"; did you mean "client"?',
    ...ATTACH,
    "--tap",
    DEVICE,
    "--as",
    "pod/clent",
  );
  await says("client is a pod: say pod/client", ...ATTACH, "--tap", DEVICE, "--as", "vm/client");
});
