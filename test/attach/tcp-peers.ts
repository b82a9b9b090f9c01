// The kernel's TCP and ours, through a TAP device, in both directions, over a link that loses and reorders
// frames of both ways. What arrives is checked by hash. How much is up to the caller.

import type { ExecutionContext } from "ava";
import type { NetworkNamespace } from "../../src/attach/netns.ts";
import type { Net } from "../../src/emulator/net.ts";
import { us } from "../../src/emulator/units.ts";
import type { NetemConfig } from "../../src/link/netem-config.ts";
import { cluster } from "../emulator/kit.ts";
import { goLive, run, start } from "./kit.ts";
import { bulk, download, type NetApi, PROGRAM, patternHash, requests, serve } from "./programs.ts";

const PORT = 9000;

export interface Lengths {
  bytes: number;
  requests: number;
}

/** Each is what both links of the pod whose place is taken do. */
export const LINKS: Readonly<Record<string, NetemConfig | null>> = {
  "no loss": null,
  "1 % loss": { delay: us(200), loss: 0.01 },
  "5 % loss and reordering": { delay: us(500), loss: 0.05, reorder: { probability: 0.05 } },
};

/** Everything the two say to one another over one kind of link. */
export async function tcpPeers(
  t: ExecutionContext,
  link: NetemConfig | null,
  lengths: Lengths,
): Promise<void> {
  const net = cluster((aks) => {
    aks.pod("ours", { node: "n1" });
    aks.pod("kernel", { node: "n0" });
  });
  await goLive(t, net, async (live) => {
    const namespace = await live.namespace();
    await live.tap("eth0", "pod/kernel", namespace);
    if (link !== null) {
      net.impair("kernel/eth0", link);
      net.impair(outerEnd(net), link);
    }
    await kernelAsks(t, net, namespace, lengths);
    await weAsk(t, net, namespace, lengths);
  });
  const lost = net.drops().reduce((sum, drop) => sum + (drop.reason === "NETEM_LOSS" ? drop.packets : 0), 0);
  t.is(lost > 0, link !== null, `${lost} frames lost on the link`);
  t.is(
    net.drops().find((drop) => drop.reason.endsWith("_CSUM")),
    undefined,
  );
}

/** The node's end of the pod's veth. */
function outerEnd(net: Net): string {
  const { dev } = net.walk.k;
  return `n0/${dev.name[dev.peer[net.hosts.host("kernel").dev] as number]}`;
}

async function kernelAsks(
  t: ExecutionContext,
  net: Net,
  namespace: NetworkNamespace,
  { bytes, requests: count }: Lengths,
): Promise<void> {
  serve(net.node("ours") as unknown as NetApi, PORT);
  const ask = async (what: string, amount: number): Promise<string> => {
    const args = [PROGRAM, what, net.pod("ours").ip, String(PORT), String(amount)];
    const { stdout, stderr } = await run(namespace, process.execPath, ...args);
    return (stdout + stderr).trim();
  };
  t.is(await ask("bulk", bytes), patternHash(bytes), "the kernel sends");
  t.is(await ask("download", bytes), patternHash(bytes), "the kernel receives");
  t.is(await ask("requests", count), String(count), "the kernel asks");
}

async function weAsk(
  t: ExecutionContext,
  net: Net,
  namespace: NetworkNamespace,
  { bytes, requests: count }: Lengths,
): Promise<void> {
  await start(t, namespace, "listening", process.execPath, PROGRAM, "serve", String(PORT));
  const ours = net.node("ours") as unknown as NetApi;
  const { ip } = net.pod("kernel");
  t.is(await bulk(ours, ip, PORT, bytes), patternHash(bytes), "we send");
  t.is(await download(ours, ip, PORT, bytes), patternHash(bytes), "we receive");
  t.is(await requests(ours, ip, PORT, count), count, "we ask");
}
