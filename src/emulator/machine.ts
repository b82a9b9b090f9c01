// The machine under a node loses power or boots: its NIC is stopped as a stopped VM's is (V18, R11), what ran
// in its pods answers no more, and kubelet starts anew.

import { startMachine, stopMachine } from "../cluster/control/node-lifecycle.ts";
import type { Net } from "./net.ts";

export function power(net: Net, row: number, n: number, on: boolean): void {
  const cluster = net.clusters[row];
  net.walk.vnet.setVmRunning(cluster.nodes[n].ns, on);
  if (on) startMachine(cluster.control, n);
  else stopMachine(cluster.control, n);
}
