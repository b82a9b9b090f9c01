// Share what is equal: all nodes of a cluster have one table of Services, and a change of endpoints costs
// what changed, on any number of nodes. Work is counted in calls and in cells written, not in time.

import test, { type ExecutionContext } from "ava";
import { defineTopology } from "../../src/emulator/define.ts";
import type { Net } from "../../src/emulator/net.ts";
import { ms } from "../../src/emulator/units.ts";

function network(nodes: number, syncDelay = 0): Net {
  return defineTopology({ frames: 256 }, (t) => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    const subnet = vnet.subnet("nodes", "10.224.0.0/12");
    const aks = t.cluster("aks", { subnet, cni: "azure-overlay", kubeProxy: { syncDelay } });
    aks.nodes(nodes);
    for (let s = 0; s < 20; s++) {
      aks.deployment(`d${s}`, { replicas: 10, udpEcho: 8080 });
      aks.service(`d${s}`, {
        ports: [
          { port: 80, targetPort: 8080, protocol: "UDP" },
          { port: 81, targetPort: 8080 },
        ],
      });
    }
    aks.pod("client", { node: "n0" });
  }).build();
}

/** Typed arrays reachable from an object, with their place. */
function columns(root: object, path = "", seen = new Set<object>()): Map<string, ArrayLike<number>> {
  const out = new Map<string, ArrayLike<number>>();
  if (seen.has(root)) return out;
  seen.add(root);
  for (const [key, value] of Object.entries(root)) {
    // Not from here into the kernel, which is another matter.
    if (key === "k" || key === "listener") continue;
    if (typeof value !== "object" || value === null || value instanceof DataView) continue;
    const at = `${path}.${key}`;
    if (ArrayBuffer.isView(value)) out.set(at, value as unknown as ArrayLike<number>);
    else for (const [k, v] of columns(value, at, seen)) out.set(k, v);
  }
  return out;
}

/** Cells that another look finds changed. */
function written(state: object, change: () => void): number {
  const before = new Map([...columns(state)].map(([k, v]) => [k, Array.from(v)]));
  change();
  let n = 0;
  for (const [k, v] of columns(state)) {
    const old = before.get(k) ?? [];
    for (let i = 0; i < v.length; i++) if (v[i] !== (old[i] ?? 0)) n++;
  }
  return n;
}

/** Calls of the methods of these objects' classes while `change` runs. */
function calls(objects: object[], change: () => void): number {
  let n = 0;
  const undo: (() => void)[] = [];
  for (const prototype of new Set(objects.map((o) => Object.getPrototypeOf(o) as Record<string, unknown>))) {
    for (const name of Object.getOwnPropertyNames(prototype)) {
      const descriptor = Object.getOwnPropertyDescriptor(prototype, name)!;
      const { value } = descriptor;
      if (typeof value !== "function" || name === "constructor") continue;
      prototype[name] = function (this: unknown, ...args: unknown[]) {
        n++;
        return (value as (...a: unknown[]) => unknown).apply(this, args);
      };
      undo.push(() => Object.defineProperty(prototype, name, descriptor));
    }
  }
  change();
  for (const u of undo) u();
  return n;
}

function end(t: ExecutionContext, net: Net): void {
  net.run({ for: ms(40_000) });
  t.is(net.walk.k.skb.live, 0);
}

/** Everything that knows of Services: the table, its lists and what nodes keep. */
function parts(net: Net): object[] {
  const { nf } = net.walk;
  const { table } = net.clusters[0]!;
  return [table, table.lists, table.cursors, table.revisions, nf, nf.t, nf.t.flows];
}

test("200 nodes have one table, and no rows of their own in it", (t) => {
  const net = network(200);
  const { nf } = net.walk;
  const { table, nodes } = net.clusters[0]!;
  t.is(nodes.length, 200);
  t.deepEqual(nf.services, [table]);
  t.deepEqual(new Set(nodes.map((n) => nf.table[n.ns])), new Set([0]));
  t.is(table.ports.live, 40);
  t.is(table.eps.live, 400);
  const small = network(20);
  const cells = (n: Net): number =>
    [...columns(n.clusters[0]!.table).values()].reduce((sum, c) => sum + c.length, 0);
  t.is(cells(net), cells(small));
  // A node has a cursor for a port once it has used it.
  const rows = (n: Net): number =>
    n.clusters[0]!.table.cursors.ns.filter((ns, c) => c > 0 || ns !== 0).length;
  const before = rows(net);
  net.soon.udp("client", "d0:80", "x");
  net.run({ for: ms(1) });
  t.true(rows(net) - before <= 1);
  end(t, net);
  end(t, small);
});

for (const [what, change] of [
  ["a pod goes", (net: Net) => net.clusters[0]!.removePod(net.pods.byName.get("d3-4")!)],
  ["a pod comes", (net: Net) => net.clusters[0]!.addPod(5)],
  ["a Service goes", (net: Net) => net.clusters[0]!.removeService(7)],
] as const) {
  test(`${what}: as much work on 20 nodes as on 200`, (t) => {
    const [small, large] = [network(20), network(200)];
    const work = [small, large].map((net) => {
      // Flows on one node: that node has something to clean, the others have not.
      for (let i = 0; i < 30; i++) net.soon.udp("client", `d3:80`, "x", { sourcePort: 5000 + i });
      net.run({ for: ms(1) });
      let cells = 0;
      const state = parts(net);
      const n = calls(state, () => {
        cells = written({ state }, () => change(net));
      });
      return { n, cells };
    });
    t.is(work[0]!.n, work[1]!.n);
    t.true(work[0]!.n > 5 && work[0]!.n < 200, `${work[0]!.n} calls`);
    // Other addresses, other places in the hash tables: no more than that.
    for (const { cells } of work) t.true(cells > 5 && cells < 250, `${cells} cells`);
    end(t, small);
    end(t, large);
  });
}

test("with a delay a change is one event, whatever the number of nodes", (t) => {
  for (const nodes of [2, 100]) {
    const net = network(nodes, ms(100));
    const events = net.walk.k.clock.size;
    net.clusters[0]!.removePod(net.pods.byName.get("d3-4")!);
    t.is(net.walk.k.clock.size, events + 1);
    end(t, net);
  }
});
