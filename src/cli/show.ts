// vnetem show: a table of a node, pod or VM after the topology's script has run, as the Linux tool prints it.

import { didYouMean } from "../emulator/hosts.ts";
import { SHOW_WHAT, type ShowWhat, showJson } from "../observe/show.ts";
import { UsageError } from "./errors.ts";
import { openWith } from "./manifest-file.ts";
import { parseSeed } from "./topology.ts";

export interface ShowOptions {
  seed?: string;
  /** The topology a manifest is applied to. */
  on?: string;
  json?: boolean;
}

export async function show(file: string, host: string, what: string, options: ShowOptions): Promise<number> {
  if (!SHOW_WHAT.includes(what as ShowWhat)) {
    throw new UsageError(
      `there is no table "${what}"${didYouMean(what, SHOW_WHAT)} (${SHOW_WHAT.join(", ")})`,
    );
  }
  const { topology, run } = await openWith(file, options.on);
  const net = topology.build(parseSeed(options.seed));
  if (run !== null) await run(net);
  const table = what as ShowWhat;
  if (options.json)
    console.log(JSON.stringify(showJson(net.walk, net.hosts.host(host).ns, table, net.names)));
  else console.log(net.show(host, table).trimEnd());
  return 0;
}
