// vnetem diagnose: one line or table for people, one JSON value for programs, and what a mistake says.

import { join } from "node:path";
import test from "ava";
import { cleanUp, TOPOLOGIES, vnetem } from "./command.ts";

const NSG = join(TOPOLOGIES, "nsg-mistake.ts");
const HUB = join(TOPOLOGIES, "hub-and-spoke.ts");

test.after.always(cleanUp);

test("diagnose connect prints hops and issues; 1 when unreachable", async (t) => {
  const { code, stdout } = await vnetem("diagnose", "connect", NSG, "client", "db:5432", "--proto", "udp");
  t.is(code, 1);
  const rule = "ruleName securityRules/deny-vnet, networkSecurityGroup data";
  t.deepEqual(stdout.split("\n").slice(0, 4), [
    "Unreachable",
    "  Source           10.1.0.5        client",
    "  VnetLocal        10.1.2.4        db",
    `    Inbound NetworkSecurityRule: reason VNET_NSG_DENY, host db, ${rule}`,
  ]);
  const hub = await vnetem("diagnose", "connect", HUB, "client", "db:5432", "--json");
  t.is(hub.code, 0);
  const answer = JSON.parse(hub.stdout);
  t.is(answer.connectionStatus, "Reachable");
  t.deepEqual(
    answer.hops.map((h: { type: string }) => h.type),
    ["Source", "VirtualAppliance", "VnetLocal"],
  );
});

test("explain and diagnose connect give the same reason", async (t) => {
  const explained = await vnetem("explain", NSG, "client", "db:5432", "--json");
  const connect = await vnetem("diagnose", "connect", NSG, "client", "db:5432", "--proto", "udp", "--json");
  const reason = JSON.parse(connect.stdout).hops[1].issues[0].context[0].reason;
  t.is(reason, "VNET_NSG_DENY");
  t.true(explained.stdout.includes(`dropped: ${reason}`));
});

test("diagnose ip-flow, next-hop, routes, rules and matrix", async (t) => {
  const flow = await vnetem("diagnose", "ip-flow", NSG, "db", "In", "5432", "client:40000", "--proto", "udp");
  t.deepEqual([flow.code, flow.stdout], [1, "Deny by securityRules/deny-vnet of data\n"]);
  const hop = await vnetem("diagnose", "next-hop", HUB, "n0", "db");
  t.is(hop.stdout, "VirtualAppliance 10.0.1.4 (via-hub)\n");
  const routes = await vnetem("diagnose", "routes", HUB, "db", "--json");
  t.is(JSON.parse(routes.stdout).value.filter((r: { source: string }) => r.source === "User").length, 2);
  const rules = await vnetem("diagnose", "rules", NSG, "db");
  t.true(rules.stdout.includes("DenyAllInbound"));
  const matrix = await vnetem("diagnose", "matrix", NSG, "jump", "db", "--json", "--port", "22");
  t.deepEqual(JSON.parse(matrix.stdout)[0].decidedBy, "securityRules/deny-vnet of data");
});

test("diagnose says what is wrong with a command line", async (t) => {
  const said = async (...args: string[]) => {
    const { code, stderr } = await vnetem("diagnose", ...args);
    t.is(code, 2);
    return stderr;
  };
  t.is(await said(), "vnetem: name a command; see vnetem --help\n");
  t.is(await said("conect", NSG), "vnetem: unknown command 'conect'; did you mean connect?\n");
  t.is(await said("routes", NSG, "db", "--jsn"), "vnetem: unknown option '--jsn'; did you mean --json?\n");
  t.is(await said("routes", NSG, "jmp"), 'vnetem: no pod, node or VM is named "jmp"; did you mean "jump"?\n');
  t.is(
    await said("connect", NSG, "client", "db:1", "--proto", "sctp"),
    'vnetem: --proto takes tcp, udp, icmp, not "sctp"\n',
  );
});
