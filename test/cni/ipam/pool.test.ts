// The pool every IPAM allocates from, against a model made of plain arrays.

import test from "ava";
import fc from "fast-check";
import { type AddressOrder, AddressPool, AddressState } from "../../../src/cni/ipam/address-pool.ts";
import { FreeSet } from "../../../src/cni/ipam/free-set.ts";

test("the set of free rows finds the next member like a scan does", (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 70_000 }),
      fc.array(fc.tuple(fc.boolean(), fc.nat()), { maxLength: 60 }),
      fc.nat(),
      (size, steps, from) => {
        const set = new FreeSet(1);
        set.resize(size);
        const model = new Set<number>();
        for (const [add, n] of steps) {
          if (add) set.add(n % size);
          else set.remove(n % size);
          if (add) model.add(n % size);
          else model.delete(n % size);
        }
        const start = from % size;
        const sorted = [...model].sort((a, b) => a - b);
        const next = sorted.find((row) => row >= start) ?? -1;
        return (
          set.count === model.size &&
          set.nextFrom(start) === next &&
          set.nextAround(start) === (next >= 0 ? next : (sorted[0] ?? -1))
        );
      },
    ),
  );
  t.pass();
});

test("members survive growth", (t) => {
  const set = new FreeSet(10);
  set.fill();
  set.resize(5000);
  t.is(set.count, 10);
  t.is(set.nextFrom(10), -1);
  set.add(4999);
  t.is(set.nextFrom(10), 4999);
});

const ORDERS: AddressOrder[] = ["next", "lowest", "seeded"];

for (const order of ORDERS) {
  test(`A8.81 order ${order}: the same owner requesting again gets the same address`, (t) => {
    const pool = new AddressPool(order, 3);
    pool.addRange(100, 199, 0);
    const row = pool.request(7);
    t.is(pool.request(7), row);
    t.is(pool.count(AddressState.ASSIGNED), 1);
  });

  test(`A8.80 order ${order}: a released address is available at once`, (t) => {
    const pool = new AddressPool(order, 3);
    pool.addRange(100, 115, 0);
    for (let owner = 0; owner < 16; owner++) t.true(pool.request(owner) >= 0);
    t.is(pool.request(99), -1);
    const row = pool.release(5);
    t.is(pool.state[row], AddressState.AVAILABLE);
    t.is(pool.request(99), row);
  });

  test(`order ${order}: never one address to two owners, and nothing is lost`, (t) => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat({ max: 30 })), { maxLength: 200 }), (steps) => {
        const pool = new AddressPool(order, 11);
        pool.addRange(1, 20, 10);
        const held = new Map<number, number>();
        for (const [take, owner] of steps) {
          if (take) {
            const row = pool.request(owner);
            if (row < 0) {
              if (held.size !== 19 || held.has(owner)) return false;
              continue;
            }
            const address = pool.address[row];
            if (held.has(owner) ? held.get(owner) !== address : [...held.values()].includes(address))
              return false;
            held.set(owner, address);
          } else {
            if (pool.release(owner) >= 0 !== held.has(owner)) return false;
            held.delete(owner);
          }
        }
        return (
          pool.count(AddressState.ASSIGNED) === held.size &&
          pool.count(AddressState.AVAILABLE) === 19 - held.size &&
          pool.free.count === 19 - held.size
        );
      }),
    );
    t.pass();
  });
}

test("order lowest gives the lowest, order next goes on and comes round", (t) => {
  const lowest = new AddressPool("lowest");
  const next = new AddressPool("next");
  for (const pool of [lowest, next]) pool.addRange(10, 13, 0);
  const give = (pool: AddressPool, owner: number): number => pool.address[pool.request(owner)];
  t.deepEqual([give(lowest, 1), give(lowest, 2)], [10, 11]);
  lowest.release(1);
  t.is(give(lowest, 3), 10);
  t.deepEqual([give(next, 1), give(next, 2)], [10, 11]);
  next.release(1);
  t.deepEqual([give(next, 3), give(next, 4), give(next, 5)], [12, 13, 10]);
});

test("order seeded: one seed, one sequence; another seed, another", (t) => {
  const sequence = (seed: number): number[] => {
    const pool = new AddressPool("seeded", seed);
    pool.addRange(0, 255, -1);
    return Array.from({ length: 20 }, (_, owner) => pool.address[pool.request(owner)]);
  };
  t.deepEqual(sequence(5), sequence(5));
  t.notDeepEqual(sequence(5), sequence(6));
});

test("addresses come and go; rows are used again; addresses are found", (t) => {
  const pool = new AddressPool("lowest");
  for (const address of [5, 6, 7]) pool.add(address);
  t.is(pool.find(6), 1);
  pool.remove(1);
  t.is(pool.find(6), -1);
  t.is(pool.size, 2);
  t.is(pool.add(9), 1);
  t.is(pool.find(9), 1);
  t.is(pool.size, 3);
  for (let address = 100; address < 200; address++) pool.add(address);
  t.is(pool.size, 103);
  t.is(pool.find(199), 102);
});

test("a pool is plain data: structuredClone keeps it", (t) => {
  const pool = new AddressPool("next");
  pool.addRange(0, 63, -1);
  for (let owner = 0; owner < 9; owner++) pool.request(owner);
  t.notThrows(() => structuredClone(pool));
});
