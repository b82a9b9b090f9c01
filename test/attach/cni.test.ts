// Real network namespaces become pods by CNI: `vnetem cni --attach` as a runtime calls it, against a running
// `vnetem attach --cni`.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { Libc } from "../../src/attach/libc.ts";
import { NetworkNamespace } from "../../src/attach/netns.ts";
import { type Outcome, real, run, start } from "./kit.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const TOPOLOGY = fileURLToPath(new URL("../../../topologies/attach-tap.ts", import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "vnetem-cni-"));
test.after.always(() => rmSync(dir, { recursive: true }));

const CONFIG = {
  cniVersion: "1.0.0",
  name: "azure",
  type: "azure-vnet",
  mode: "transparent",
  ipam: { type: "azure-vnet-ipam" },
};

/** One call of the plugin, as a container runtime makes it. */
function cni(socket: string, command: string, id: string, netns: string, ifname = "eth0"): Promise<Outcome> {
  const env = {
    PATH: process.env.PATH,
    CNI_COMMAND: command,
    CNI_CONTAINERID: id,
    CNI_NETNS: netns,
    CNI_IFNAME: ifname,
    CNI_PATH: "/opt/cni/bin",
    CNI_ARGS: `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${id}`,
  };
  const child = spawn(process.execPath, [MAIN, "cni", "--attach", socket], { env });
  child.stdin.end(JSON.stringify(CONFIG));
  const out: Outcome = { code: -1, stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out.stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (out.stderr += text));
  return new Promise((resolve) => child.on("close", (code) => resolve({ ...out, code: code ?? -1 })));
}

async function namespaces(t: ExecutionContext, count: number): Promise<NetworkNamespace[]> {
  t.timeout(120_000);
  const libc = await Libc.load();
  const made = Array.from({ length: count }, () => NetworkNamespace.create(libc));
  t.teardown(() => {
    for (const namespace of made) namespace.close();
  });
  return made;
}

const devices = async (where: NetworkNamespace): Promise<string> =>
  (await run(where, "ip", "-brief", "link")).stdout.replace(/ .*/g, "").trim();

real(
  "ADD makes a real namespace a pod with address and routes of the result; DEL undoes it",
  ["curl", "ping"],
  async (t) => {
    const [where, red, blue] = (await namespaces(t, 3)) as [
      NetworkNamespace,
      NetworkNamespace,
      NetworkNamespace,
    ];
    const socket = join(dir, "daemon");
    const daemon = await start(
      t,
      where,
      "is answered",
      process.execPath,
      MAIN,
      "attach",
      TOPOLOGY,
      "--cni",
      socket,
    );

    const addresses: string[] = [];
    for (const [id, namespace] of [
      ["red", red],
      ["blue", blue],
    ] as const) {
      const { code, stdout, stderr } = await cni(socket, "ADD", id, namespace.path);
      t.deepEqual([code, stderr], [0, ""], stdout);
      const { ips, interfaces } = JSON.parse(stdout);
      addresses.push(ips[0].address);
      t.true(
        interfaces.some(
          (i: { name: string; sandbox?: string }) => i.name === "eth0" && i.sandbox !== undefined,
        ),
      );
      const shown = await run(namespace, "ip", "-4", "-brief", "addr", "show", "eth0");
      t.true(shown.stdout.includes(` ${ips[0].address} `), shown.stdout);
      t.is(
        (await run(namespace, "ip", "-4", "route", "show", "default")).stdout.trim(),
        "default via 169.254.1.1 dev eth0",
      );
    }
    const [first, second] = addresses.map((address) => address.replace(/\/.*/, "")) as [string, string];
    t.not(first, second);
    const curl = await run(red, "curl", "-sS", "-m", "60", "http://10.0.0.11/");
    t.is(curl.stdout, `web-0 (10.224.0.5) answers ${first}\n`);
    const ping = await run(red, "ping", "-n", "-c", "2", "-i", "0.05", "-W", "60", second);
    t.regex(ping.stdout, /2 received/);

    t.is((await cni(socket, "CHECK", "red", red.path)).code, 1, "CHECK needs prevResult");
    for (const _ of ["once", "twice"]) t.is((await cni(socket, "DEL", "red", red.path)).code, 0);
    t.is(await devices(red), "lo");
    t.is((await run(blue, "curl", "-sS", "-m", "60", "http://10.0.0.11/")).stdout.slice(0, 5), "web-1");
    t.is(await daemon.stop("SIGKILL"), -1);
    t.is(await devices(blue), "lo");
  },
);

real(
  "ADD answers a CNI error, and makes nothing, when the namespace or the name cannot be had",
  [],
  async (t) => {
    const [where, red] = (await namespaces(t, 2)) as [NetworkNamespace, NetworkNamespace];
    const socket = join(dir, "errors");
    await start(t, where, "is answered", process.execPath, MAIN, "attach", TOPOLOGY, "--cni", socket);
    const none = await cni(socket, "ADD", "red", "/run/netns/nowhere");
    t.is(none.code, 1);
    t.like(JSON.parse(none.stdout), { code: 3, msg: "there is no network namespace /run/netns/nowhere" });
    red.tool("ip", ["link", "add", "eth0", "type", "veth", "peer", "name", "eth1"]);
    const used = await cni(socket, "ADD", "red", red.path);
    t.like(JSON.parse(used.stdout), { code: 3, msg: "the name eth0 is in use, and not by a TAP device" });
    red.tool("ip", ["link", "del", "eth0"]);
    const good = await cni(socket, "ADD", "red", red.path);
    t.is(good.code, 0, good.stdout);
  },
);

test("without a running emulation it says to try again later", async (t) => {
  t.timeout(60_000);
  const socket = join(dir, "nobody");
  const { code, stdout } = await cni(socket, "ADD", "red", "/run/netns/red");
  t.is(code, 1);
  t.like(JSON.parse(stdout), { code: 11, msg: `no vnetem attach --cni answers at ${socket}` });
  writeFileSync(socket, "");
  t.is(JSON.parse((await cni(socket, "ADD", "red", "/run/netns/red")).stdout).code, 11);
});
