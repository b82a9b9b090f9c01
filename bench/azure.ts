// What large Azure networks cost: node dist/bench/azure.js. A new and a remembered flow without a security
// group, with one that has no rules of its own, and with a full one (1,000 rules per direction, on NIC and
// subnet) beside a full route table (400 routes), the least of several rounds in turns; effective routes of
// 1,000 NICs; a reachability matrix; 500 peered VNets. One line of JSON each.

import { defineTopology, type TopologyBuilder } from "../src/emulator/define.ts";
import type { Net } from "../src/emulator/net.ts";
import type { SecurityRuleSpec } from "../src/emulator/spec.ts";
import { effectiveRouteTable } from "../src/observe/effective.ts";

const RULES = 1000;
const ROUTES = 400;
const NICS = 1000;
const FLOWS = 20_000;
const HOSTS = 33;
const PEERS = 500;
const RATE = 1_000_000;
const ROUNDS = 5;
/** Azure has 1,000 rules for both directions together (V84). */
const OPTIONS = { seed: 1, limits: { rulesPerGroup: 2 * RULES } };

/** The last one allows what is sent here, so all are in the way. */
function rules(direction: "Inbound" | "Outbound"): SecurityRuleSpec[] {
  return Array.from({ length: RULES }, (_, i) => ({
    ...{ name: `${direction}-${i}`, priority: 100 + i, direction },
    ...(i < RULES - 1
      ? {
          access: "Deny",
          protocol: "Tcp",
          source: `10.${i % 200}.${i % 250}.0/24`,
          destinationPorts: 1000 + i,
        }
      : { access: "Allow", protocol: "Udp", source: "10.0.0.0/8" }),
  }));
}

function routes() {
  return Array.from({ length: ROUTES }, (_, i) => ({
    ...{ prefix: `172.${16 + (i >> 8)}.${i & 255}.0/24`, nextHop: "None" },
  }));
}

type Setting = "none" | "empty" | "full";

function secure(t: TopologyBuilder, setting: Setting): { nsg?: string; routeTable?: string } {
  if (setting === "none") return {};
  const full = setting === "full";
  t.nsg("group", full ? [...rules("Inbound"), ...rules("Outbound")] : []);
  t.routeTable("table", full ? routes() : []);
  return { nsg: "group", routeTable: "table" };
}

/** Nanoseconds per packet of the first packets of flows, and of the following ones. */
function flows(setting: Setting): { first: number; next: number } {
  const net = defineTopology(OPTIONS, (t) => {
    const more = secure(t, setting);
    const subnet = t.vnet("v", { addressSpace: ["10.0.0.0/16"] }).subnet("s", "10.0.0.0/24", more);
    t.vm("a", { subnet, ...(more.nsg === undefined ? {} : { nsg: more.nsg }) });
    t.vm("b", { subnet, udpSink: 9000 });
  }).build();
  // Compiled and warm.
  send(net, 1000, 50_000);
  return { first: send(net, FLOWS, 10_000), next: again(net) };
}

function send(net: Net, count: number, firstPort: number): number {
  const stream = net.traffic({ from: "a", to: "b:9000", flows: count, rate: RATE, firstPort });
  const ns = time(() => net.run({ for: (count / RATE) * 1e9 }));
  if (count !== FLOWS) stream.stop();
  return ns / count;
}

/** The streams of send() go on with flows that are known. */
function again(net: Net): number {
  net.run({ for: (FLOWS / RATE) * 1e9 });
  return time(() => net.run({ for: (FLOWS / RATE) * 1e9 })) / FLOWS;
}

function time(run: () => void): number {
  const start = process.hrtime.bigint();
  run();
  return Number(process.hrtime.bigint() - start);
}

function say(what: string, figures: object): void {
  console.log(JSON.stringify({ what, ...figures }));
}

const round = (n: number) => Math.round(n);
const SETTINGS = ["none", "empty", "full"] as const;
const rounds = Array.from({ length: ROUNDS }, () => SETTINGS.map(flows));
const least = (n: number, what: "first" | "next") =>
  round(Math.min(...rounds.map((r) => r[n]?.[what] as number)));
for (const [n, setting] of SETTINGS.entries()) {
  say(`security group and route table: ${setting}`, {
    newFlowNs: least(n, "first"),
    knownFlowNs: least(n, "next"),
  });
}

const many = defineTopology(OPTIONS, (t) => {
  const more = secure(t, "full");
  const subnet = t.vnet("v", { addressSpace: ["10.0.0.0/16"] }).subnet("s", "10.0.0.0/20", more);
  for (let i = 0; i < NICS; i++) t.vm(`m${i}`, { subnet });
}).build();
let lines = 0;
const routesNs = time(() => {
  for (let nic = 0; nic < NICS; nic++) lines += effectiveRouteTable(many.walk.vnet, nic)?.length ?? 0;
});
say("effective routes of 1,000 NICs", { ms: round(routesNs / 1e6), lines });

const names = Array.from({ length: HOSTS }, (_, i) => `m${i}`);
let cells = 0;
const matrixNs = time(() => {
  cells = many.diagnose.matrix(names, { protocol: "udp", port: 9000 }).length;
});
say("reachability matrix, 1,000 rules per direction", { ms: round(matrixNs / 1e6), pairs: cells });

const peered = defineTopology({ seed: 1 }, (t) => {
  const hub = t.vnet("hub", { addressSpace: ["10.255.0.0/16"] });
  hub.subnet("s", "10.255.0.0/24");
  for (let i = 0; i < PEERS; i++) {
    const first = i < 255 ? `10.${i}.0.0/16` : `${11 + ((i - 255) >> 8)}.${(i - 255) & 255}.0.0/16`;
    const spoke = t.vnet(`v${i}`, { addressSpace: [first] });
    spoke.subnet("s", first.replace("/16", "/24"));
    hub.peer(spoke);
    spoke.peer(hub);
  }
});
say("500 peered VNets of 65,536 addresses, built", { ms: round(time(() => peered.build()) / 1e6) });
