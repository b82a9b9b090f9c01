// vnetem explain: one packet's way there and back.

import { didYouMean } from "../emulator/hosts.ts";
import { sec } from "../index.ts";
import { explainText } from "../observe/explain-text.ts";
import { UsageError } from "./errors.ts";
import { openWith } from "./manifest-file.ts";
import { parseSeed } from "./topology.ts";

export interface ExplainOptions {
  proto?: string;
  seed?: string;
  /** The topology a manifest is applied to. */
  on?: string;
  after?: boolean;
  json?: boolean;
}

const PROTOCOLS = ["udp", "tcp", "icmp"] as const;

export async function explain(
  file: string,
  from: string,
  to: string,
  options: ExplainOptions,
): Promise<number> {
  const protocol = PROTOCOLS.find((p) => p === (options.proto ?? "udp"));
  if (protocol === undefined) {
    const hint = didYouMean(options.proto ?? "", PROTOCOLS);
    throw new UsageError(`--proto takes udp, tcp or icmp, not "${options.proto}"${hint}`);
  }
  const { topology, run } = await openWith(file, options.on);
  const net = topology.build(parseSeed(options.seed));
  // Neighbours are known and flows may exist only when the script ran before.
  if ((options.after || options.on !== undefined) && run !== null) await run(net);
  else net.run({ until: sec(0) });
  const explanation = net.explain(from, to, { protocol });
  if (options.json) console.log(JSON.stringify(explanation));
  else console.log(explainText(explanation, `${protocol} from ${from} to ${to}`));
  return explanation.verdict === "delivered" ? 0 : 1;
}
