// `bulk` and `request` for a moment: what they report, and that they notice a byte that is not what was sent.

import test from "ava";
import { measureHttp } from "../../bench/http.ts";
import { measureIdle } from "../../bench/idle.ts";
import { measureBulk, measureRequests } from "../../bench/tcp.ts";
import { BulkRig, RequestRig } from "../../bench/tcp-rig.ts";

const LITTLE = { warm: 2, slice: 0.01 };

for (const flowCache of [true, false]) {
  test(`bulk, ${flowCache ? "through the cache" : "every packet walks"}`, async (t) => {
    const r = await measureBulk({ seconds: 0.02, flowCache }, LITTLE);
    t.is(r.flowCache, flowCache);
    t.true(r.bytes >= 131_072 && r.bytes % 131_072 === 0);
    t.true(r.frames > r.bytes / 1448 && r.frames < r.bytes / 500);
    t.true(r.gbps > 0 && r.gbpsPerCore > 0);
    t.deepEqual([r.wrong, r.failed, r.retransmitted, r.dropped], [0, 0, 0, {}]);
  });

  test(`request, ${flowCache ? "through the cache" : "every packet walks"}`, async (t) => {
    const r = await measureRequests({ seconds: 0.02, flowCache }, LITTLE);
    t.true(r.connections >= 16 && r.connections % 16 === 0);
    // SYN, SYN-ACK, ACK, request, response, FIN, FIN, ACK at the least.
    t.true(r.frames >= 8 * r.connections && r.frames < 12 * r.connections);
    t.deepEqual([r.wrong, r.failed, r.dropped], [0, 0, {}]);
  });
}

test("the rigs leave nothing behind, but ends in TIME_WAIT", (t) => {
  const bulk = new BulkRig(true);
  bulk.batch(1_000_000);
  t.is(bulk.done, 1_000_000);
  t.is(bulk.net.walk.k.skb.live, 0);
  const request = new RequestRig(1000, true);
  const sockets = request.net.walk.sock.tcp.ids.live;
  request.batch(32);
  t.is(request.done, 32);
  request.net.run();
  t.is(request.net.walk.k.skb.live, 0);
  t.is(request.net.walk.sock.tcp.ids.live, sockets);
});

test("a byte that was changed where it waits is wrong", (t) => {
  const bulk = new BulkRig(true);
  const buffers = bulk.net.walk.sock.tcp.receiveBuffers;
  const read = buffers.read.bind(buffers);
  let reads = 0;
  buffers.read = (row, seq, to, start, length) => {
    read(row, seq, to, start, length);
    if (++reads === 1) to[start] ^= 1;
  };
  bulk.batch(100_000);
  t.true(bulk.wrong > 0);
  t.is(bulk.done, 100_000);
});

test("http, in pods and over loopback", async (t) => {
  const r = await measureHttp({ seconds: 0.01 }, 50, 50);
  t.is(r.wrong, 0);
  t.true(r.requests >= 50 && r.requests % 50 === 0);
  t.is(r.spread.repeats, r.loopback.spread.repeats);
  t.true(r.requestsPerSecond > 0 && r.loopback.requestsPerSecond > 0 && r.ratio > 0);
});

test("idle: sockets, conntrack and cache of connections that say nothing", (t) => {
  const r = measureIdle(100);
  t.deepEqual([r.connections, r.failed], [100, 0]);
  t.true(r.socketsMb > 0 && r.conntrackMb > 0 && r.flowCacheMb > 0);
  const more = measureIdle(4_000);
  t.true(more.bytesPerSocket < 1_200, `${more.bytesPerSocket} bytes per socket`);
});
