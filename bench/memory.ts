// What the tables that flows fill take: the bytes of every typed array reachable from them. Of connections
// and of the cache's entries, whose tables are as large from the start as the benchmark will need, those of
// rows that are used; of the others all, since tables double.

import { REC } from "../src/netfilter/nf-conn.ts";
import { ENTRY } from "../src/walk/flow-entry.ts";
import type { Walk } from "../src/walk/walk.ts";

/** Bytes of the tables that grow with the number of flows. */
export interface FlowMemory {
  /** Connections of all nodes, with their indices. */
  conntrack: number;
  /** Entries of the flow cache, with their index. */
  flowCache: number;
  /** Paths, and what each of them stands on. */
  dependencies: number;
}

export function flowMemory({ k, link, ip, nf, vnet, cache }: Walk): FlowMemory {
  const { t } = nf;
  const around = [k, link, ip, nf, vnet];
  const used = (t.ids.used * REC) / t.rec.length;
  const cached = (cache.size * ENTRY) / cache.words.length;
  return {
    // Rows come in order; the index is hit everywhere.
    conntrack: used * bytesOf(t, [...around, cache, t.index]) + bytesOf(t.index, []),
    flowCache: cached * bytesOf(cache, [...around, t, cache.paths, cache.index]) + bytesOf(cache.index, []),
    dependencies: bytesOf(cache.paths, around) + bytesOf(k.consulted, []),
  };
}

export const total = (m: FlowMemory): number => m.conntrack + m.flowCache + m.dependencies;

/** Bytes of all TCP sockets, with their indices and whatever they hold. */
export const socketMemory = ({ k, sock }: Walk): number => bytesOf(sock.tcp, [k]);

/** Bytes behind `root`, but for what stands behind one of `without`. */
function bytesOf(root: object, without: readonly object[]): number {
  const seen = new Set<object>(without);
  const waiting: object[] = [root];
  let bytes = 0;
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    if (next instanceof ArrayBuffer) bytes += next.byteLength;
    else if (ArrayBuffer.isView(next)) waiting.push(next.buffer);
    else for (const value of Object.values(next)) if (typeof value === "object" && value) waiting.push(value);
  }
  return bytes;
}
