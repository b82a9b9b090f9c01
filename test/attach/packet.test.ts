// A packet socket on one end of a veth: the kernel's unfinished frames are finished, by the checksum every
// other stack would compute, and kernel TCP with all its offloads speaks with ours.

import test from "ava";
import { finishOffload, VNET_HDR } from "../../src/attach/offload.ts";
import { cluster } from "../emulator/kit.ts";
import { goLive, real, run, start } from "./kit.ts";
import { bulk, download, type NetApi, PROGRAM, patternHash, requests, serve } from "./programs.ts";

const bytesOf = (hex: string): Buffer => Buffer.from(hex.replaceAll(/\s/g, ""), "hex");

/** Ones' complement sum of 16-bit words: 0xffff over anything whose checksum is right (RFC 1071). */
function onesSum(...parts: Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) {
    const even = part.length % 2 === 0 ? part : Buffer.concat([part, Buffer.of(0)]);
    for (let i = 0; i < even.length; i += 2) sum += Buffer.from(even).readUInt16BE(i);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

function assertRight(frame: Uint8Array): [ip: number, transport: number] {
  const b = Buffer.from(frame);
  const pseudo = Buffer.concat([b.subarray(26, 34), Buffer.of(0, b[23] as number, 0, 0)]);
  pseudo.writeUInt16BE(b.length - 34, 10);
  return [onesSum(b.subarray(14, 34)), onesSum(pseudo, b.subarray(34))];
}

const ETHERNET = "020000000001 020000000002 0800";

/** A TCP segment of the pattern with the checksum of its pseudo header only, as the kernel hands it out. */
function unfinished(data: number, flags: number, gso: number): Buffer {
  const frame = Buffer.concat([
    bytesOf(`${ETHERNET} 4500 0000 1234 4000 4006 0000 0a000001 0a000002`),
    bytesOf("1f90 9c40 fffffff0 00000001 8000 ffff 0000 0000 0101080a 00000001 00000002"),
    Buffer.from(Array.from({ length: data }, (_, i) => (i * 7) & 255)),
  ]);
  frame[47] = flags;
  frame.writeUInt16BE(frame.length - 14, 16);
  frame.writeUInt16BE(~onesSum(frame.subarray(14, 34)) & 0xffff, 24);
  const pseudo = Buffer.concat([frame.subarray(26, 34), Buffer.of(0, 6, 0, 0)]);
  pseudo.writeUInt16BE(frame.length - 34, 10);
  frame.writeUInt16BE(onesSum(pseudo), 50);
  const header = Buffer.alloc(VNET_HDR);
  header[0] = 1;
  header[1] = gso === 0 ? 0 : 1;
  header.writeUInt16LE(66, 2);
  header.writeUInt16LE(gso, 4);
  header.writeUInt16LE(34, 6);
  header.writeUInt16LE(16, 8);
  return Buffer.concat([header, frame]);
}

function finished(packet: Buffer): Buffer[] {
  const out: Buffer[] = [];
  finishOffload(packet, (frame) => out.push(Buffer.from(frame)));
  return out;
}

test("a checksum left to the device is computed", (t) => {
  for (const data of [0, 1, 100, 1447]) {
    const frames = finished(unfinished(data, 0x18, 0));
    t.is(frames.length, 1);
    t.deepEqual(assertRight(frames[0] as Buffer), [0xffff, 0xffff]);
  }
});

test("a frame that needs nothing passes as it is", (t) => {
  const packet = Buffer.concat([Buffer.alloc(VNET_HDR), bytesOf(`${ETHERNET} 0806 0001`)]);
  t.deepEqual(finished(Buffer.from(packet)), [packet.subarray(VNET_HDR)]);
});

test("a long segment is cut: sequence numbers wrap, ids count, FIN and PSH are the last one's", (t) => {
  const frames = finished(unfinished(3000, 0x19, 1448));
  t.deepEqual(
    frames.map((f) => f.length - 66),
    [1448, 1448, 104],
  );
  for (const frame of frames) t.deepEqual(assertRight(frame), [0xffff, 0xffff]);
  t.deepEqual(
    frames.map((f) => f.readUInt32BE(38)),
    [0xfffffff0, 1448 - 16, 2896 - 16],
  );
  t.deepEqual(
    frames.map((f) => f.readUInt16BE(18)),
    [0x1234, 0x1235, 0x1236],
  );
  t.deepEqual(
    frames.map((f) => f[47]),
    [0x10, 0x10, 0x19],
  );
  const data = Buffer.concat(frames.map((f) => f.subarray(66)));
  t.deepEqual(data, Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * 7) & 255)));
});

real("kernel TCP with its offloads over one end of a veth, both directions", [], async (t) => {
  const net = cluster((aks) => {
    aks.pod("ours", { node: "n1" });
    aks.pod("kernel", { node: "n0" });
  });
  await goLive(t, net, async (live) => {
    const [outer, inner] = [await live.namespace(), await live.namespace()];
    outer.tool(
      "ip",
      ["-batch", "-"],
      [`link add wire0 type veth peer name eth0 netns ${inner.path}`, "link set wire0 up"],
    );
    const attachment = await live.packet("wire0", "pod/kernel", outer);
    inner.tool("ip", ["-batch", "-"], live.configuration(attachment, "eth0"));
    serve(net.node("ours") as unknown as NetApi, 9000);
    const ask = async (what: string, amount: number): Promise<string> => {
      const args = [PROGRAM, what, net.pod("ours").ip, "9000", String(amount)];
      const { stdout, stderr } = await run(inner, process.execPath, ...args);
      return (stdout + stderr).trim();
    };
    t.is(await ask("bulk", 2_000_000), patternHash(2_000_000));
    t.is(await ask("download", 2_000_000), patternHash(2_000_000));
    t.is(await ask("requests", 30), "30");
    await start(t, inner, "listening", process.execPath, PROGRAM, "serve", "9000");
    const ours = net.node("ours") as unknown as NetApi;
    const { ip } = net.pod("kernel");
    t.is(await bulk(ours, ip, 9000, 1_000_000), patternHash(1_000_000));
    t.is(await download(ours, ip, 9000, 1_000_000), patternHash(1_000_000));
    t.is(await requests(ours, ip, 9000, 30), 30);
    t.is(attachment.counters.refused, 0);
    t.is(
      net.drops().find((drop) => drop.reason.endsWith("_CSUM")),
      undefined,
    );
  });
});
