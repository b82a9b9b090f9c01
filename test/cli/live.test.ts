// vnetem run --live: what is seen while a script runs. Tests have no terminal, so they see lines.

import { join } from "node:path";
import test from "ava";
import { frameLine, frameText } from "../../src/cli/live.ts";
import { Live } from "../../src/emulator/live.ts";
import { ms, sec } from "../../src/emulator/units.ts";
import { cluster, end } from "../emulator/kit.ts";
import { cleanUp, TOPOLOGIES, vnetem } from "./command.ts";

test.after.always(cleanUp);

test("without a terminal: a line for each second in which something changed, and the events", async (t) => {
  const { code, stdout, stderr } = await vnetem("run", join(TOPOLOGIES, "node-failure.ts"), "--live");
  t.is(stderr, "");
  t.is(code, 0);
  const lines = stdout.split("\n");
  const at = (time: string): string[] => lines.filter((line) => line.startsWith(`${time}  `));
  t.true(at("1 s").some((line) => line.startsWith("1 s  Started pod/web-")));
  t.is(at("1 s").at(-1), "1 s  client 1/1, web 6/6");
  t.deepEqual(at("7 s"), ["7 s  client 1/1, web 6/6; web 12/s"]);
  // A third of it is lost, once the node has no power.
  t.deepEqual(at("21 s"), ["21 s  client 1/1, web 6/6; web 8/s"]);
  t.is(at("55 s").at(-1), "55 s  client 1/1, web 4/6; web 8/s");
  t.is(at("85 s").at(-1), "85 s  client 1/1, web 4/6 (2 pending, 2 terminating); web 12/s");
  // Nothing has changed at 30 s.
  t.deepEqual(at("30 s"), []);
  t.false(stdout.includes("\u001b"));
});

test("--live wants a speed, and no --json", async (t) => {
  const wrong = await vnetem("run", join(TOPOLOGIES, "quickstart.ts"), "--live", "fast");
  t.is(wrong.stderr, 'vnetem: --live takes virtual seconds per second, not "fast"\n');
  const both = await vnetem("run", join(TOPOLOGIES, "quickstart.ts"), "--live", "--json");
  t.is(both.stderr, "vnetem: --live and --json exclude each other\n");
  t.deepEqual([wrong.code, both.code], [2, 2]);
});

test("a frame as a screen and as a line", (t) => {
  const net = cluster((aks) => {
    aks.deployment("web", { replicas: 3, udpEcho: 80 });
    aks.service("web", { port: 80, protocol: "UDP" });
    aks.pod("client");
  });
  const live = new Live(net);
  net.soon.terminatePod("web-0");
  net.traffic({ from: "client", to: "web:80", rate: 100, at: ms(5) });
  net.run({ until: sec(2) });
  const frame = live.frame();
  t.is(frameLine(frame), "client 1/1, web 2/2 (1 terminating); web 100/s");
  t.is(
    frameText(frame, ["an event"]),
    `2 s

client      1/1  ●
web         2/2  ●●○

web         100/s

an event`,
  );
  net.run({ until: sec(3) });
  t.is(live.frame().services[0]!.perSecond, 100);
  end(t, net);
});
