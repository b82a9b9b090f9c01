// One CNI command against a node of an emulation: what `vnetem cni` runs between opening and saving it.

import { type CniAnswer, runCni } from "../cni/plugin.ts";
import { NodeBackend } from "../cni/plugins/backend.ts";
import { didYouMean, UnknownNameError } from "./hosts.ts";
import type { Net } from "./net.ts";

/**
 * @param node name of the node whose runtime calls; the first node when left out
 * @param env CNI_COMMAND and its companions (CNI specification 1.1.0)
 * @throws UnknownNameError
 */
export function cniCommand(
  net: Net,
  node: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
  stdin: string,
): CniAnswer {
  const nodes = net.clusters.flatMap((c) => c.nodes);
  const found = node === undefined ? nodes[0] : nodes.find((n) => n.name === node);
  if (found === undefined) {
    const names = nodes.map((n) => n.name);
    throw new UnknownNameError(`no node is named "${node ?? ""}"${didYouMean(node ?? "", names)}`);
  }
  const answer = runCni({ env, stdin }, new NodeBackend(net.cni, found.cni));
  net.run({ for: 0 });
  return answer;
}
