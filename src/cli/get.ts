// vnetem get: what kubectl get prints of a topology's cluster after its script has run.

import Table from "cli-table3";
import { didYouMean, UnknownNameError } from "../emulator/hosts.ts";
import type { Net } from "../index.ts";
import { GET_WHAT, type GetTable, type GetWhat, getTable } from "../observe/get.ts";
import { UsageError } from "./errors.ts";
import { openWith } from "./manifest-file.ts";
import { parseSeed } from "./topology.ts";

export interface GetCommandOptions {
  cluster?: string;
  namespace?: string;
  output?: string;
  seed?: string;
  /** The topology a manifest is applied to. */
  on?: string;
  json?: boolean;
}

/** Short names, as kubectl has them. */
const SHORT: Readonly<Record<string, GetWhat>> = {
  no: "nodes",
  node: "nodes",
  po: "pods",
  pod: "pods",
  svc: "services",
  service: "services",
  ep: "endpoints",
  deploy: "deployments",
  deployment: "deployments",
  ev: "events",
  event: "events",
};

export async function get(file: string, what: string, options: GetCommandOptions): Promise<number> {
  const wanted = GET_WHAT.find((w) => w === what) ?? SHORT[what];
  if (wanted === undefined) {
    const message = `the cluster doesn't have a resource type "${what}"${didYouMean(what, GET_WHAT)}`;
    throw new UsageError(`${message} (${GET_WHAT.join(", ")})`);
  }
  if (options.output !== undefined && options.output !== "wide") {
    throw new UsageError(`-o takes wide, not "${options.output}"`);
  }
  const { topology, run } = await openWith(file, options.on);
  const net = topology.build(parseSeed(options.seed));
  if (run === null) net.run({ until: 0 });
  else await run(net);
  const wide = options.output === "wide";
  const { namespace } = options;
  const cluster = clusterOf(net, options.cluster);
  const table = getTable(cluster, wanted, { wide, ...(namespace === undefined ? {} : { namespace }) });
  if (options.json) console.log(JSON.stringify(asObjects(net, table, wanted, cluster)));
  else if (table.rows.length === 0) console.log("No resources found");
  else printTable(table);
  return 0;
}

function clusterOf(net: Net, name: string | undefined): Net["clusters"][number] {
  const found = name === undefined ? net.clusters[0] : net.clusters.find((c) => c.name === name);
  if (found !== undefined) return found;
  const names = net.clusters.map((c) => c.name);
  throw new UnknownNameError(`no cluster is named "${name ?? ""}"${didYouMean(name ?? "", names)}`);
}

// Events with their exact times, all others as the columns say.
function asObjects(
  net: Net,
  { head, rows }: GetTable,
  what: GetWhat,
  cluster: Net["clusters"][number],
): object {
  const items =
    what === "events"
      ? cluster.control.events.list
      : rows.map((row) => Object.fromEntries(head.map((name, i) => [name, row[i]])));
  return { time: net.now, items };
}

/** As kubectl: no lines, three spaces between columns. */
export function printTable({ head, rows }: GetTable): void {
  const gap = "   ";
  const none = { top: "", "top-mid": "", "top-left": "", "top-right": "" };
  const bottom = { bottom: "", "bottom-mid": "", "bottom-left": "", "bottom-right": "" };
  const mid = { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" };
  const table = new Table({
    chars: { ...none, ...bottom, ...mid, left: "", right: "", middle: gap },
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
  });
  table.push(head, ...rows);
  for (const line of table.toString().split("\n")) console.log(line.trimEnd());
}
