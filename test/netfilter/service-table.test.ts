// The Service table: exact round robin, conditions, nodes that lag, and a random comparison with a naive
// model.

import test, { type ExecutionContext } from "ava";
import { Random } from "../../src/core/random.ts";
import { EndpointCondition } from "../../src/netfilter/endpoint-lists.ts";
import { ServiceTable } from "../../src/netfilter/service-table.ts";
import { ip } from "./lab.ts";

const { READY, SERVING, TERMINATING } = EndpointCondition;
const UDP = 17;
const NODE = 1;
const OTHER = 2;

/** The last byte of the address the node would send its next connection to; "-" when there is none. */
function pick(table: ServiceTable, p: number, node = NODE, revision = table.revision): string {
  table.usable(p, node, revision);
  if (table.lists.count === 0) return "-";
  return String(table.epIp[table.lists.rows[table.nextInTurn(p, node, table.local[p] === 1)]] & 255);
}

const picks = (table: ServiceTable, p: number, n: number, node = NODE): string => {
  let all = "";
  for (let i = 0; i < n; i++) all += `${i ? " " : ""}${pick(table, p, node)}`;
  return all;
};

function table3(local = false) {
  const table = new ServiceTable();
  const p = table.addServicePort("s", ip("10.96.0.10"), 6, 80, local);
  const e = [1, 2, 3].map((host) => table.addEndpoint(p, ip(`10.0.0.${host}`), 80, NODE));
  return { table, p, e };
}

test("round robin: laps in the order added, each node with its own cursor", (t) => {
  const { table, p } = table3();
  t.is(picks(table, p, 7), "1 2 3 1 2 3 1");
  t.is(picks(table, p, 2, OTHER), "1 2");
  t.is(picks(table, p, 2), "2 3");
});

test("round robin: an added endpoint comes at the end of the lap", (t) => {
  const { table, p } = table3();
  t.is(picks(table, p, 2), "1 2");
  table.addEndpoint(p, ip("10.0.0.9"), 80, NODE);
  t.is(picks(table, p, 5), "3 9 1 2 3");
});

test("round robin: the successor of a removed endpoint is next, also past the end", (t) => {
  const { table, p, e } = table3();
  t.is(picks(table, p, 2), "1 2");
  table.removeEndpoint(e[1]);
  t.is(picks(table, p, 3), "3 1 3");
  const last = table.addEndpoint(p, ip("10.0.0.9"), 80, NODE);
  t.is(picks(table, p, 1), "9");
  table.removeEndpoint(last);
  t.is(picks(table, p, 2), "1 3");
  table.removeEndpoint(e[0]);
  table.removeEndpoint(e[2]);
  t.is(pick(table, p), "-");
  table.addEndpoint(p, ip("10.0.0.7"), 80, NODE);
  t.is(picks(table, p, 2), "7 7");
});

test("round robin: removing one that is not under the cursor changes nothing else", (t) => {
  const { table, p, e } = table3();
  t.is(picks(table, p, 1), "1");
  table.removeEndpoint(e[2]);
  t.is(picks(table, p, 3), "2 1 2");
});

test("an endpoint that becomes ready again takes its old place", (t) => {
  const { table, p, e } = table3();
  table.setEndpointConditions(e[1], SERVING);
  t.is(picks(table, p, 3), "1 3 1");
  table.setEndpointConditions(e[1], READY | SERVING);
  t.is(picks(table, p, 3), "2 3 1");
});

test("K1.3 serving, terminating endpoints are used for want of a ready one", (t) => {
  const { table, p, e } = table3();
  table.setEndpointConditions(e[0], SERVING | TERMINATING);
  t.is(picks(table, p, 2), "2 3");
  table.setEndpointConditions(e[1], SERVING | TERMINATING);
  table.setEndpointConditions(e[2], SERVING | TERMINATING);
  t.is(picks(table, p, 3), "1 2 3");
  table.setEndpointConditions(e[0], TERMINATING);
  t.is(picks(table, p, 2), "2 3");
  const fresh = table.addEndpoint(p, ip("10.0.0.9"), 80, NODE);
  t.is(picks(table, p, 2), "9 9");
  table.removeEndpoint(fresh);
  t.is(picks(table, p, 2), "2 3");
  table.removeEndpoint(e[1]);
  table.removeEndpoint(e[2]);
  t.is(pick(table, p), "-");
  t.false(table.hasAnyEndpoints(p, table.revision));
});

test("K1.3 policy Local: the lists of the nodes fall back each for itself", (t) => {
  const table = new ServiceTable();
  const p = table.addServicePort("s", ip("10.96.0.10"), 6, 80, true);
  const a = table.addEndpoint(p, ip("10.0.0.1"), 80, NODE);
  table.addEndpoint(p, ip("10.0.0.2"), 80, OTHER);
  t.is(picks(table, p, 2, NODE), "1 1");
  t.is(picks(table, p, 2, OTHER), "2 2");
  t.is(pick(table, p, 99), "-");
  table.setEndpointConditions(a, SERVING | TERMINATING);
  t.is(pick(table, p, NODE), "1");
  table.removeEndpoint(a);
  t.is(pick(table, p, NODE), "-");
  t.true(table.hasAnyEndpoints(p, table.revision));
});

test("K2.6 a lagging node sees exactly the old list, and picks from it in turn", (t) => {
  const { table, p, e } = table3();
  const before = table.follow();
  table.removeEndpoint(e[0]);
  table.addEndpoint(p, ip("10.0.0.9"), 80, NODE);
  table.setEndpointConditions(e[1], 0);
  t.is(picks(table, p, 3, OTHER), "3 9 3");
  let old = "";
  for (let i = 0; i < 4; i++) old += pick(table, p, NODE, before);
  t.is(old, "1231");
  t.is(pick(table, p, NODE, before + 1), "2", "one change later: 2 3");
  table.advance(before, table.revision);
  t.is(picks(table, p, 2, NODE), "3 9");
  t.is(table.eps.live, 3, "the removed endpoint's row is free again");
});

test("K2.6 a lagging node keeps a removed service port, and does not see an added one", (t) => {
  const { table, p } = table3();
  const before = table.follow();
  table.removeServicePort(p);
  const again = table.addServicePort("s2", ip("10.96.0.10"), 6, 80);
  table.addEndpoint(again, ip("10.0.0.8"), 80, NODE);
  t.is(table.find(ip("10.96.0.10"), 6, 80, before), p);
  t.is(pick(table, p, NODE, before), "1");
  t.is(table.find(ip("10.96.0.10"), 6, 80, before + 1), -1);
  t.is(table.find(ip("10.96.0.10"), 6, 80, table.revision), again);
  t.true(table.isClusterIp(ip("10.96.0.10"), before));
  t.false(table.isClusterIp(ip("10.96.0.10"), before + 1));
  table.advance(before, table.revision);
  t.is(table.ports.live, 1);
  t.is(table.eps.live, 1);
});

test("while nobody lags nothing is kept", (t) => {
  const { table, p, e } = table3();
  for (let i = 0; i < 100; i++) table.removeEndpoint(table.addEndpoint(p, ip("10.0.0.9"), 80, NODE));
  t.is(table.eps.live, 3);
  t.true(table.eps.used <= 4);
  table.removeServicePort(p);
  t.is(table.eps.live, 0);
  t.is(table.ports.live, 0);
  t.is(e.length, 3);
});

test("the same port number for two protocols, and two ports of one ClusterIP, are apart", (t) => {
  const table = new ServiceTable();
  const vip = ip("10.96.0.10");
  const rows = [table.addServicePort("a", vip, 6, 53), table.addServicePort("b", vip, UDP, 53)];
  rows.push(table.addServicePort("c", vip, 6, 54));
  t.deepEqual([table.find(vip, 6, 53, 9), table.find(vip, UDP, 53, 9), table.find(vip, 6, 54, 9)], rows);
  for (const [i, p] of rows.entries()) {
    t.true(table.isClusterIp(vip, table.revision));
    table.removeServicePort(p);
    t.is(table.ports.live, 2 - i);
  }
  t.false(table.isClusterIp(vip, table.revision));
});

// ---- a naive model: everything is an object, and every revision keeps a full copy ----

interface ModelEndpoint {
  ip: number;
  node: number;
  conditions: number;
  seq: number;
}
interface ModelPort {
  vip: number;
  local: boolean;
  seq: number;
  endpoints: ModelEndpoint[];
}
type Model = Map<number, ModelPort>;

const copyOf = (model: Model): Model =>
  new Map([...model].map(([k, p]) => [k, { ...p, endpoints: p.endpoints.map((e) => ({ ...e })) }]));

function usableOf(port: ModelPort, node: number): ModelEndpoint[] {
  const mine = port.endpoints.filter((e) => !port.local || e.node === node);
  const ready = mine.filter((e) => e.conditions & READY);
  return ready.length ? ready : mine.filter((e) => (e.conditions & 7) === (SERVING | TERMINATING));
}

class Comparison {
  readonly table = new ServiceTable();
  readonly history: Model[] = [new Map()];
  readonly rows = new Map<ModelEndpoint, number>();
  readonly cursors = new Map<string, number>();
  readonly reached: number[] = [];
  private readonly random: Random;
  private model: Model = new Map();

  constructor(seed: number) {
    this.random = new Random(seed, "service-table test");
  }

  private one<T>(of: readonly T[]): T {
    return of[this.random.below(of.length)];
  }

  change(): void {
    const { table, model, random } = this;
    const ports = [...model.keys()];
    const kind = random.below(10);
    const vip = ip("10.96.0.0") + random.below(6);
    if (kind === 0 || ports.length === 0) {
      if ([...model.values()].some((p) => p.vip === vip)) return;
      const local = random.below(3) === 0;
      const row = table.addServicePort("x", vip, 6, 80, local);
      this.model.set(row, { vip, local, seq: 0, endpoints: [] });
    } else if (kind === 1) {
      const row = this.one(ports);
      table.removeServicePort(row);
      model.delete(row);
      for (const key of [...this.cursors.keys()]) if (key.endsWith(`/${row}`)) this.cursors.delete(key);
    } else this.changeEndpoint(this.one(ports), kind);
    if (table.revision === this.history.length) this.history.push(copyOf(this.model));
  }

  private changeEndpoint(row: number, kind: number): void {
    const { table, random } = this;
    const port = this.model.get(row) as ModelPort;
    const conditions = this.one([3, 3, 3, 0, 2, 6, 6, 4]);
    if (kind < 6 || port.endpoints.length === 0) {
      const e = { ip: ip("10.0.0.0") + random.below(9), node: random.below(3), conditions, seq: ++port.seq };
      port.endpoints.push(e);
      this.rows.set(e, table.addEndpoint(row, e.ip, 80, e.node, conditions));
      return;
    }
    const e = this.one(port.endpoints);
    const r = this.rows.get(e) as number;
    if (kind < 8) {
      table.removeEndpoint(r);
      port.endpoints.splice(port.endpoints.indexOf(e), 1);
    } else {
      table.setEndpointConditions(r, conditions);
      e.conditions = conditions;
    }
  }

  /** Compares what a node at `revision` sees of every ClusterIP. */
  check(t: ExecutionContext, node: number, revision: number, turn: boolean): void {
    const { table } = this;
    const seen = this.history[revision];
    for (let n = 0; n < 6; n++) {
      const vip = ip("10.96.0.0") + n;
      const found = [...seen].find(([, p]) => p.vip === vip);
      const row = table.find(vip, 6, 80, revision);
      t.is(table.isClusterIp(vip, revision), found !== undefined);
      t.is(row, found === undefined ? -1 : found[0]);
      if (found === undefined) continue;
      const wanted = usableOf(found[1], node);
      table.usable(row, node, revision);
      const { rows, count } = table.lists;
      t.deepEqual(
        [...rows.slice(0, count)].map((r) => table.epIp[r]),
        wanted.map((e) => e.ip),
      );
      const anywhere = usableOf({ ...found[1], local: false }, node).length > 0;
      for (let host = 0; host < 9; host++) {
        const address = ip("10.0.0.0") + host;
        const serving: boolean = found[1].endpoints.some((e) => e.ip === address && e.conditions & SERVING);
        t.is(table.isServing(row, address, revision), serving);
      }
      if (turn && wanted.length > 0) this.turn(t, row, node, revision, wanted);
      t.is(table.hasAnyEndpoints(row, revision), anywhere);
    }
  }

  private turn(
    t: ExecutionContext,
    row: number,
    node: number,
    revision: number,
    wanted: ModelEndpoint[],
  ): void {
    const { table } = this;
    const key = `${node}/${row}`;
    const last = this.cursors.get(key) ?? 0;
    const next = wanted.find((e) => e.seq > last) ?? wanted[0];
    this.cursors.set(key, next.seq);
    table.usable(row, node, revision);
    t.is(table.epSeq[table.lists.rows[table.nextInTurn(row, node, table.local[row] === 1)]], next.seq);
  }

  run(t: ExecutionContext, steps: number): void {
    const { table, random } = this;
    for (let i = 0; i < 2; i++) this.reached.push(table.follow());
    for (let step = 0; step < steps; step++) {
      this.change();
      if (random.below(4) === 0) {
        const n = random.below(this.reached.length);
        const to = this.reached[n] + random.below(table.revision - this.reached[n] + 1);
        table.advance(this.reached[n], to);
        this.reached[n] = to;
      }
      if (random.below(40) === 0) for (let n = 0; n < 2; n++) this.catchUp(n);
      this.check(t, random.below(3), table.revision, true);
      for (const [n, revision] of this.reached.entries()) this.check(t, n, revision, false);
    }
    for (let n = 0; n < 2; n++) this.catchUp(n);
    let endpoints = 0;
    for (const p of this.model.values()) endpoints += p.endpoints.length;
    t.is(table.eps.live, endpoints);
    t.is(table.ports.live, this.model.size);
  }

  private catchUp(n: number): void {
    this.table.advance(this.reached[n], this.table.revision);
    this.reached[n] = this.table.revision;
  }
}

for (const seed of [1, 2, 3, 4]) {
  test(`600 random changes with two lagging nodes agree with a naive model, seed ${seed}`, (t) => {
    new Comparison(seed).run(t, 600);
  });
}
