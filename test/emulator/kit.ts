// What the emulator's tests share: small topologies, and the one way every test ends.

import type { ExecutionContext } from "ava";
import { type ClusterBuilder, defineTopology, type TopologyBuilder } from "../../src/emulator/define.ts";
import { type Problem, TopologyError } from "../../src/emulator/errors.ts";
import type { Net } from "../../src/emulator/net.ts";
import type { ClusterOptions } from "../../src/emulator/spec.ts";
import { sec } from "../../src/emulator/units.ts";

export type Describe = (aks: ClusterBuilder, t: TopologyBuilder) => void;

/** One cluster of `nodes` nodes in 10.224.0.0/16. */
export function cluster(describe: Describe, options: Partial<ClusterOptions> = {}, nodes = 2, seed = 7): Net {
  return clusterTopology(describe, options, nodes, seed).build();
}

export function clusterTopology(
  describe: Describe,
  options: Partial<ClusterOptions> = {},
  nodes = 2,
  seed = 7,
): ReturnType<typeof defineTopology> {
  return defineTopology({ seed, frames: 1024 }, (t) => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    const aks = t.cluster("aks", { subnet: vnet.subnet("nodes", "10.224.0.0/16"), ...options });
    aks.nodes(nodes);
    describe(aks, t);
  });
}

/** A client on n0 and a UDP Service "web" with `replicas` backends, its echo servers on port 8080. */
export const web =
  (replicas: number): Describe =>
  (aks) => {
    aks.deployment("web", { replicas, udpEcho: 8080 });
    aks.service("web", { port: 80, targetPort: 8080, protocol: "UDP" });
    aks.pod("client", { node: "n0" });
  };

/** Runs until every timer that holds a frame is over: nothing may be left. */
export function end(t: ExecutionContext, net: Net): void {
  net.run({ for: sec(60) });
  t.is(net.walk.k.skb.live, 0, "frames that never ended");
  t.is(net.walk.k.backlog.size + net.walk.k.softnet.size, 0);
}

/** The problems of a description, as "path: message". */
export function problemsOf(describe: (t: TopologyBuilder) => void, options = {}): string[] {
  return linesOf(() => defineTopology(options, describe).build());
}

/** The problems a call complains of; it must complain of something, in the one way there is. */
export function linesOf(call: () => unknown): string[] {
  try {
    call();
  } catch (error) {
    if (!(error instanceof TopologyError)) throw error;
    return error.problems.map(({ path, message }: Problem) => `${path}: ${message}`);
  }
  return [];
}
