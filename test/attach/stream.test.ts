// The Ethernet stream of QEMU's `-netdev stream` and passt: its bytes, peers that come, go and misbehave, and
// passt itself as an emulated VM, behind which is a real server. Only that one needs root, for a namespace.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import nodeNet from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { macOf } from "../../src/attach/interface-config.ts";
import type { Attachment, LiveNet } from "../../src/attach/live-net.ts";
import { StreamWire } from "../../src/attach/stream.ts";
import { defineTopology } from "../../src/emulator/define.ts";
import { cluster, web } from "../emulator/kit.ts";
import { arpRequest, goLive, real, start } from "./kit.ts";
import { download, type NetApi, PROGRAM, patternHash, requests } from "./programs.ts";

const dir = mkdtempSync(join(tmpdir(), "vnetem-stream-"));
test.after.always(() => rmSync(dir, { recursive: true, force: true }));

/** A peer, and everything it has received. */
class Peer {
  readonly socket: nodeNet.Socket;
  received = Buffer.alloc(0);
  private more: () => void = () => {};

  constructor(path: string) {
    this.socket = nodeNet.connect(path);
    this.socket.on("error", () => {});
    this.socket.on("data", (bytes: Buffer) => {
      this.received = Buffer.concat([this.received, bytes]);
      this.more();
    });
  }

  async until(found: (bytes: Buffer) => boolean): Promise<void> {
    while (!found(this.received)) await new Promise<void>((resolve) => (this.more = resolve));
  }

  closed(): Promise<void> {
    return new Promise((resolve) => this.socket.on("close", () => resolve()));
  }
}

const prefixed = (frame: Uint8Array): Buffer => {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(frame.length);
  return Buffer.concat([header, frame]);
};

/** Length 42, any MACs, ARP, IPv4 over Ethernet, reply. */
const ARP_REPLIES = /0000002a.{24}08060001080006040002/g;
const arpReplies = (bytes: Buffer): number => [...bytes.toString("hex").matchAll(ARP_REPLIES)].length;

async function listening(
  t: ExecutionContext,
  name: string,
  work: (live: LiveNet, attachment: Attachment, path: string, news: string[]) => Promise<void>,
): Promise<void> {
  const net = cluster(web(1), { cni: "azure-bridge" }, 1);
  const path = join(dir, name);
  await goLive(t, net, async (live) => {
    const news: string[] = [];
    live.onNews = (_attachment, text) => news.push(text);
    await work(live, await live.stream(path, "pod/web-0"), path, news);
  });
  t.false(existsSync(path), "the socket goes with us");
}

const once = async (found: () => boolean): Promise<void> => {
  while (!found()) await new Promise((resolve) => setImmediate(resolve));
};

test("frames behind their lengths, in pieces and together", async (t) => {
  await listening(t, "pieces", async (live, { counters }, path) => {
    const peer = new Peer(path);
    const asked = prefixed(arpRequest(live.net, "web-0"));
    for (const byte of asked) {
      peer.socket.write(Uint8Array.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await peer.until((bytes) => arpReplies(bytes) === 1);
    peer.socket.write(Buffer.concat([asked, asked, asked.subarray(0, 7)]));
    peer.socket.write(asked.subarray(7));
    await peer.until((bytes) => arpReplies(bytes) === 4);
    t.is(counters.in, 4);
    peer.socket.destroy();
  });
});

test("a peer that goes makes room for another; a second one at a time is sent away", async (t) => {
  await listening(t, "peers", async (live, { counters }, path, news) => {
    const asked = prefixed(arpRequest(live.net, "web-0"));
    const first = new Peer(path);
    await once(() => news.length === 1);
    await new Peer(path).closed();
    first.socket.write(asked.subarray(0, 10));
    first.socket.end();
    await once(() => news.length === 3);
    const second = new Peer(path);
    second.socket.write(asked);
    await second.until((bytes) => arpReplies(bytes) === 1);
    t.deepEqual(news, [
      "a peer has connected",
      "a second peer was sent away",
      "the peer has gone",
      "a peer has connected",
    ]);
    t.is(counters.in, 1, "half a frame is none");
    second.socket.destroy();
  });
});

test("a length that no frame has cuts the peer off", async (t) => {
  await listening(t, "length", async (_live, { counters }, path, news) => {
    const peer = new Peer(path);
    peer.socket.write(Buffer.from("GET / HTTP/1.1\r\n\r\n"));
    await peer.closed();
    await once(() => news.length === 3);
    t.is(news[1], "the peer says a frame has 1195725856 bytes, which is no Ethernet stream: cut off");
    t.is(counters.in, 0);
  });
});

test("without a peer frames are lost, and counted", async (t) => {
  await listening(t, "alone", async (live, { counters }) => {
    live.net.soon.udp("client", "web-0:8080", "hello");
    live.time.enter();
    t.true(counters.lost > 0);
    t.is(counters.out, 0);
  });
});

test("a socket left behind is used again; what is in use, or not there, is named", async (t) => {
  const path = join(dir, "stale");
  const listen = `require("net").createServer().listen(${JSON.stringify(path)}`;
  const code = `${listen}, () => process.kill(process.pid, 9))`;
  const child = spawn(process.execPath, ["-e", code]);
  await new Promise((resolve) => child.on("exit", resolve));
  t.true(existsSync(path));
  const wire = await StreamWire.listen(path);
  await t.throwsAsync(StreamWire.listen(path), { message: `cannot listen on ${path}: it is in use` });
  wire.close();
  await t.throwsAsync(StreamWire.connect(path), { message: `cannot connect to ${path}: ENOENT` });
  writeFileSync(join(dir, "file"), "");
  await t.throwsAsync(StreamWire.listen(join(dir, "file")), { message: /is in use$/ });
  await t.throwsAsync(StreamWire.connect("127.0.0.1:1"), { message: /ECONNREFUSED$/ });
  await t.throwsAsync(StreamWire.listen("127.0.0.1:99999"), { message: '"99999" is no port number' });
});

real("passt in the place of a VM takes emulated clients to a real server", ["passt"], async (t) => {
  const net = defineTopology({ seed: 7, frames: 1024 }, (topology) => {
    const vnet = topology.vnet("prod", { addressSpace: ["10.9.0.0/16"] });
    const subnet = vnet.subnet("s", "10.9.1.0/24");
    topology.vm("edge", { subnet, address: "10.9.1.4" });
    topology.vm("client", { subnet, address: "10.9.1.5" });
  }).build();
  const path = join(dir, "passt");
  await goLive(t, net, async (live) => {
    const namespace = await live.namespace();
    // passt takes its defaults from the interface with the default route.
    namespace.tool(
      "ip",
      ["-batch", "-"],
      [
        "link add up0 type veth peer name up1",
        "addr add 192.0.2.2/24 dev up0",
        "link set up0 up",
        "link set up1 up",
        "route add default via 192.0.2.1",
      ],
    );
    await start(t, namespace, "listening", process.execPath, PROGRAM, "serve", "8080");
    // Its gateway address stands for the loopback of where it runs.
    const guest = [
      "-4",
      "-a",
      "10.9.1.5",
      "-n",
      "24",
      "-g",
      "10.9.1.4",
      "-M",
      macOf(net, net.hosts.host("edge")),
    ];
    const how = ["-f", "-e", "--runas", "0", "-s", path];
    await start(t, namespace, "You can now start qemu", "passt", ...how, ...guest);
    const { counters } = await live.stream(`connect:${path}`, "vm/edge");
    const client = net.node("client") as unknown as NetApi;
    // Not bulk(): passt of Debian 12 passes no FIN of the server on after one of the client.
    t.is(await download(client, "10.9.1.4", 8080, 300_000), patternHash(300_000));
    t.is(await requests(client, "10.9.1.4", 8080, 20), 20);
    t.deepEqual([counters.refused, counters.lost], [0, 0]);
  });
});
