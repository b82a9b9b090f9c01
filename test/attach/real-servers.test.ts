// Real servers as pods: nginx answers emulated clients through a Service, and two ends of iperf3 meet through
// the emulation.

import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { cluster } from "../emulator/kit.ts";
import { goLive, real, run, start } from "./kit.ts";

const FILE_BYTES = 700_000;
const SENT = 8_000_000;

/** A directory nginx serves; its file's hash. */
function site(t: ExecutionContext): { dir: string; hash: string } {
  const dir = mkdtempSync(join(tmpdir(), "vnetem-nginx-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  chmodSync(dir, 0o755);
  mkdirSync(join(dir, "html"));
  const content = Buffer.alloc(FILE_BYTES, "a page of many lines\n");
  writeFileSync(join(dir, "html", "page"), content);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${dir}/t;`,
  );
  const server = `server { listen 8080; root ${dir}/html; }`;
  writeFileSync(
    join(dir, "nginx.conf"),
    `daemon off; master_process off; pid ${dir}/pid; error_log stderr notice; events {}
     http { access_log off; ${temporary.join(" ")} ${server} }`,
  );
  return { dir, hash: createHash("sha256").update(content).digest("hex") };
}

real("a real nginx behind a Service serves emulated clients", ["nginx"], async (t) => {
  const net = cluster((aks) => {
    aks.deployment("web", { replicas: 1, node: "n1" });
    aks.service("web", { port: 80, targetPort: 8080 });
    aks.pod("client", { node: "n0" });
  });
  const { dir, hash } = site(t);
  await goLive(t, net, async (live) => {
    const namespace = await live.namespace();
    await live.tap("eth0", "pod/web-0", namespace);
    await start(t, namespace, "getrlimit", "nginx", "-p", dir, "-c", join(dir, "nginx.conf"));
    const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
    Object.assign(agent, { createConnection: net.node("client").createConnection });
    const get = (path: string): Promise<[number | undefined, string]> =>
      new Promise((resolve, reject) => {
        const request = http.get({ host: "web", port: 80, path, agent }, (response) => {
          const read = createHash("sha256");
          response.on("data", (bytes: Buffer) => read.update(bytes));
          response.on("end", () => resolve([response.statusCode, read.digest("hex")]));
        });
        request.on("error", reject);
      });
    const pages = await Promise.all(Array.from({ length: 8 }, () => get("/page")));
    t.deepEqual(pages, Array(8).fill([200, hash]));
    t.is((await get("/none"))[0], 404);
    agent.destroy();
    // What ended after the answers ends before we do.
    await new Promise((resolve) => setTimeout(resolve, 50));
  });
});

real("two ends of iperf3 meet through a Service", ["iperf3"], async (t) => {
  const net = cluster((aks) => {
    aks.deployment("perf", { replicas: 1, node: "n1" });
    aks.service("perf", { port: 5201 });
    aks.pod("client", { node: "n0" });
  });
  await goLive(t, net, async (live) => {
    const [near, far] = [await live.namespace(), await live.namespace()];
    await live.tap("eth0", "pod/client", near);
    await live.tap("eth0", "pod/perf-0", far);
    for (const direction of [[], ["-R"]]) {
      const server = await start(t, far, "Server listening", "iperf3", "-s", "-1", "--forceflush");
      const args = ["-c", net.clusterIp("perf"), "-n", String(SENT), "-J", ...direction];
      const { stdout } = await run(near, "iperf3", ...args);
      const { error, end } = JSON.parse(stdout);
      t.is(error, undefined);
      // It stops when the sender's buffer has taken everything.
      t.true(end.sum_sent.bytes >= SENT && end.sum_received.bytes > SENT / 4, JSON.stringify(end));
      t.is(await server.over, 0);
      t.log(`${direction.join("") || "forth"}: ${Math.round(end.sum_received.bits_per_second / 1e6)} Mbit/s`);
    }
  });
});
