// vnetem diagnose: the questions of Network Watcher, asked of a topology as built, or after its script.

import Table from "cli-table3";
import type { ConnectivityInformation, EffectiveGroup, MatrixCell, Net } from "../index.ts";
import { sec } from "../index.ts";
import { UsageError } from "./errors.ts";
import { openTopology, parseSeed } from "./topology.ts";

export interface DiagnoseOptions {
  seed?: string;
  after?: boolean;
  json?: boolean;
  proto?: string;
  port?: string;
}

type Protocol = "tcp" | "udp" | "icmp";

export async function ipFlow(
  file: string,
  host: string,
  direction: string,
  local: string,
  remote: string,
  options: DiagnoseOptions,
): Promise<number> {
  const net = await open(file, options);
  const sides = { In: "Inbound", Out: "Outbound", inbound: "Inbound", outbound: "Outbound" } as const;
  const known = sides[direction as keyof typeof sides] ?? direction;
  const protocol = protocolOf(options, ["tcp", "udp"]) as "tcp" | "udp";
  const answer = net.diagnose.ipFlow(host, { direction: known as "Inbound", protocol, local, remote });
  const by =
    answer.ruleName === undefined ? "no rules" : `${answer.ruleName} of ${answer.networkSecurityGroup}`;
  say(options, answer, `${answer.access} by ${by}`);
  return answer.access === "Allow" ? 0 : 1;
}

export async function nextHop(
  file: string,
  host: string,
  destination: string,
  options: DiagnoseOptions,
): Promise<number> {
  const answer = (await open(file, options)).diagnose.nextHop(host, destination);
  const via = answer.nextHopIpAddress === undefined ? "" : ` ${answer.nextHopIpAddress}`;
  say(options, answer, `${answer.nextHopType}${via} (${answer.routeTableId})`);
  return 0;
}

export async function routes(file: string, host: string, options: DiagnoseOptions): Promise<number> {
  const answer = (await open(file, options)).diagnose.routes(host);
  const rows = answer.value.map((r) => [
    r.source,
    r.state,
    r.addressPrefix.join(" "),
    r.nextHopType,
    r.nextHopIpAddress.join(" "),
  ]);
  say(options, answer, table(["Source", "State", "Address Prefix", "Next Hop Type", "Next Hop IP"], rows));
  return 0;
}

export async function rules(file: string, host: string, options: DiagnoseOptions): Promise<number> {
  const answer = (await open(file, options)).diagnose.rules(host);
  const rows = answer.value.flatMap((group) =>
    group.effectiveSecurityRules.map((r) => [
      associationText(group),
      r.direction,
      r.priority,
      r.name.replace(/^\w+\//, ""),
      r.sourceAddressPrefixes.join(" "),
      r.sourcePortRanges.join(" "),
      r.destinationAddressPrefixes.join(" "),
      r.destinationPortRanges.join(" "),
      r.protocol,
      r.access,
    ]),
  );
  const sides = ["Source", "Ports", "Destination", "Ports"];
  say(options, answer, table(["On", "Direction", "Priority", "Name", ...sides, "Protocol", "Access"], rows));
  return 0;
}

export async function connect(
  file: string,
  from: string,
  to: string,
  options: DiagnoseOptions,
): Promise<number> {
  const net = await open(file, options);
  const answer = net.diagnose.connect(from, to, { protocol: protocolOf(options, ["tcp", "udp", "icmp"]) });
  say(options, answer, connectText(answer));
  return answer.connectionStatus === "Reachable" ? 0 : 1;
}

export async function matrix(file: string, hosts: string[], options: DiagnoseOptions): Promise<number> {
  const net = await open(file, options);
  const port = Number(options.port ?? 80);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new UsageError("--port takes 1 to 65535");
  const protocol = protocolOf(options, ["tcp", "udp", "icmp"]);
  const cells = net.diagnose.matrix(hosts, { protocol, port });
  say(options, cells, table(["From", "To", "", "At", "Decided by"], cells.map(cellRow)));
  return 0;
}

/** The logs of what the topology's script does; every VNet logs. */
export async function flowLogs(
  file: string,
  vnet: string | undefined,
  options: DiagnoseOptions,
): Promise<number> {
  const { topology, run } = await openTopology(file);
  for (const described of topology.spec.vnets) described.flowLogs = true;
  const net = topology.build(parseSeed(options.seed));
  if (run !== null) await run(net);
  else net.run({ until: sec(1) });
  const answer = net.diagnose.flowLogs(vnet);
  const rows = answer.records.flatMap(({ macAddress, flowRecords }) =>
    flowRecords.flows.flatMap(({ aclID, flowGroups }) =>
      flowGroups.flatMap(({ rule, flowTuples }) => flowTuples.map((t) => [macAddress, aclID, rule, t])),
    ),
  );
  say(options, answer, table(["MAC", "ACL", "Rule", "Tuple"], rows));
  return 0;
}

async function open(file: string, options: DiagnoseOptions): Promise<Net> {
  const { topology, run } = await openTopology(file);
  const net = topology.build(parseSeed(options.seed));
  if (options.after && run !== null) await run(net);
  else net.run({ until: sec(0) });
  return net;
}

function protocolOf(options: DiagnoseOptions, known: readonly Protocol[]): Protocol {
  const protocol = known.find((p) => p === (options.proto ?? "tcp").toLowerCase());
  if (protocol === undefined)
    throw new UsageError(`--proto takes ${known.join(", ")}, not "${options.proto}"`);
  return protocol;
}

function say(options: DiagnoseOptions, answer: object, text: string): void {
  console.log(options.json ? JSON.stringify(answer) : text);
}

function table(head: string[], rows: (string | number)[][]): string {
  const drawn = new Table({ head, style: { head: [], border: [], compact: true } });
  drawn.push(...rows);
  return drawn.toString();
}

function associationText({ association, networkSecurityGroup }: EffectiveGroup): string {
  const { subnet, networkInterface, virtualNetwork } = association;
  return `${(subnet ?? networkInterface ?? virtualNetwork)?.id}: ${networkSecurityGroup.id}`;
}

function connectText({ connectionStatus, hops }: ConnectivityInformation): string {
  const lines: string[] = [connectionStatus];
  for (const { type, address, resourceId, issues } of hops) {
    lines.push(`  ${type.padEnd(16)} ${address.padEnd(15)} ${resourceId}`);
    for (const { origin, type: issue, context } of issues) {
      const words = context.flatMap((c) => Object.entries(c).map(([k, v]) => `${k} ${v}`));
      lines.push(`    ${origin} ${issue}: ${words.join(", ")}`);
    }
  }
  return lines.join("\n");
}

function cellRow({ source, destination, access, reason, at, decidedBy }: MatrixCell): string[] {
  return [source, destination, reason ?? access, at ?? "", decidedBy];
}
