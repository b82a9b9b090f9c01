// Drops by device and reason: every pair once, however many there are.

import test from "ava";
import { Drop, dropName } from "../../src/node/drop.ts";
import { DropCounters } from "../../src/node/drop-counters.ts";

test("a thousand devices and two reasons: each pair has its own count, in order of appearance", (t) => {
  const drops = new DropCounters();
  for (let round = 0; round < 3; round++) {
    for (let dev = 0; dev < 1000; dev++) {
      drops.count(dev, Drop.OTHERHOST);
      if (dev % 2 === 1) drops.count(dev, Drop.NO_SOCKET);
    }
  }
  t.is(drops.rows.used, 1500);
  t.true(drops.packets.slice(0, 1500).every((n) => n === 3));
  const pairs = Array.from({ length: 3 }, (_, r) => [drops.dev[r], drops.reason[r]]);
  t.deepEqual(pairs, [
    [0, Drop.OTHERHOST],
    [1, Drop.OTHERHOST],
    [1, Drop.NO_SOCKET],
  ]);
});

test("every reason has a name of its own; a number nobody gave says so", (t) => {
  const numbers = Object.values(Drop);
  t.is(new Set(numbers).size, numbers.length);
  for (const [name, reason] of Object.entries(Drop)) t.is(dropName(reason), name);
  t.is(dropName(99_999), "reason 99999");
});
