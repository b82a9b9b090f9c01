// The path that `bench vip --beside kernel` measures, in this machine's kernel: whether everything sent
// arrives, at every backend its share. Conntrack verifies the checksums; without them nothing would be
// translated.

import { readdirSync, readlinkSync } from "node:fs";
import test from "ava";
import { KernelPath } from "../../bench/kernel/path.ts";
import { KernelUnavailable } from "../../bench/kernel/unavailable.ts";

const BACKENDS = 4;
const BATCH = 64;
const SETTINGS = {
  flows: 2 * BATCH,
  portsPerClient: BATCH,
  firstPort: 1024,
  frameBytes: 64,
  backends: BACKENDS,
  port: 8080,
  batch: BATCH,
};

async function missing(): Promise<string | null> {
  try {
    (await KernelPath.open({ ...SETTINGS, backends: 1 })).close();
    return null;
  } catch (e) {
    if (e instanceof KernelUnavailable && process.env.CI !== "true") return e.message;
    throw e;
  }
}

const openNamespaces = (): number =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith("net:");
    } catch {
      // The descriptor of the listing itself.
      return false;
    }
  }).length;

const why = await missing();
const kernel = why === null ? test.serial : test.serial.skip;

for (const frameBytes of [64, 65, 1518]) {
  kernel(
    `${frameBytes}-byte frames: all arrive, each backend gets its share${why === null ? "" : ` (${why})`}`,
    async (t) => {
      const before = openNamespaces();
      const path = await KernelPath.open({ ...SETTINGS, frameBytes });
      // The first few of each socket find room in its buffer, which are not counted.
      for (let i = 0; i < 20 && path.received().includes(0); i++) path.send(0.01);
      t.false(path.received().includes(0));
      // An even number of batches: each client's turn is over.
      const settle = (): void => {
        while (path.count().offered % (2 * BATCH) !== 0) path.send(0);
      };
      settle();
      const [count, received] = [path.count(), path.received()];
      path.send(0.02);
      settle();
      const sent = path.count().offered - count.offered;
      t.true(sent >= 2 * BATCH);
      t.is(path.count().delivered - count.delivered, sent);
      t.deepEqual(
        path.received().map((n, i) => n - received[i]!),
        new Array(BACKENDS).fill(sent / BACKENDS),
      );
      path.close();
      t.is(openNamespaces(), before);
    },
  );
}
