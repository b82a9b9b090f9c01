// Ethernet over a stream socket, as QEMU's `-netdev stream` and passt speak it: each frame behind its length,
// four bytes, most significant first (QEMU net/stream.c, passt tap.c). Over a Unix or TCP socket, without
// root. We listen, or connect to somebody who does. One peer at a time; a listener waits for the next when it
// goes.
// Absent: `-netdev dgram`, virtio headers (QEMU sends none unless both sides agree on them).

import { lstatSync, unlinkSync } from "node:fs";
import net from "node:net";
import { AttachError } from "./attach-error.ts";
import type { Wire, WireEnd } from "./wire.ts";

const LENGTH = 4;
/** Longest frame QEMU sends (NET_BUFSIZE is 68 KiB, a frame without segmentation offload far less). */
const FRAME_MAX = 65_536;
/** Bytes that are sent together. */
const CHUNK = 65_536;
/** Bytes a slow peer may leave unread before frames are lost. */
const BACKLOG = 4 << 20;

export type StreamAddress = { path: string } | { host: string; port: number };

/** "host:port", or the path of a Unix socket. @throws AttachError */
export function parseStream(text: string): StreamAddress {
  const tcp = /^([^/]*):(\d+)$/.exec(text);
  if (tcp === null) {
    if (text === "") throw new AttachError("a stream is a path, or host:port");
    return { path: text };
  }
  const port = Number(tcp[2]);
  if (port < 1 || port > 65_535) throw new AttachError(`"${tcp[2]}" is no port number`);
  return { host: (tcp[1] as string) || "127.0.0.1", port };
}

export class StreamWire implements Wire {
  readonly name: string;
  readonly configured = false;
  private readonly server: net.Server | null;
  private peer: net.Socket | null;
  private end: WireEnd | null = null;
  private enter: (work: () => void) => void = () => {};
  /** What came of a frame that is not there in full. */
  private rest: Buffer = Buffer.alloc(0);
  private readonly chunk = Buffer.allocUnsafe(CHUNK + LENGTH + FRAME_MAX);
  private filled = 0;

  private constructor(name: string, server: net.Server | null, peer: net.Socket | null) {
    this.name = name;
    this.server = server;
    this.peer = peer;
  }

  /** Waits for peers there. @throws AttachError when it cannot */
  static async listen(text: string): Promise<StreamWire> {
    const address = parseStream(text);
    if ("path" in address) await removeStale(address.path);
    const server = net.createServer();
    await begun(server, "listening", () => server.listen(address), `cannot listen on ${text}`);
    return new StreamWire(`stream ${text}`, server, null);
  }

  /** @throws AttachError when nobody listens */
  static async connect(text: string): Promise<StreamWire> {
    const address = parseStream(text);
    const socket = new net.Socket();
    await begun(socket, "connect", () => socket.connect(address), `cannot connect to ${text}`);
    return new StreamWire(`stream ${text}`, null, socket);
  }

  open(end: WireEnd, enter: (work: () => void) => void): void {
    this.end = end;
    this.enter = enter;
    if (this.peer !== null) this.adopt(this.peer);
    this.server?.on("connection", (socket) => {
      if (this.peer !== null) {
        socket.destroy();
        end.say("a second peer was sent away");
        return;
      }
      end.say("a peer has connected");
      this.adopt(socket);
    });
  }

  send(bytes: Uint8Array, at: number, length: number): boolean {
    const { peer, chunk } = this;
    if (peer === null || peer.writableLength > BACKLOG) return false;
    chunk.writeUInt32BE(length, this.filled);
    this.filled += LENGTH;
    for (let i = 0; i < length; i++) chunk[this.filled++] = bytes[at + i] as number;
    if (this.filled >= CHUNK) this.flush();
    return true;
  }

  flush(): void {
    if (this.filled === 0) return;
    // The socket keeps what it is given until it is sent.
    this.peer?.write(Buffer.from(this.chunk.subarray(0, this.filled)));
    this.filled = 0;
  }

  close(): void {
    this.server?.close();
    this.peer?.destroy();
    this.peer = null;
  }

  private adopt(socket: net.Socket): void {
    this.peer = socket;
    this.rest = Buffer.alloc(0);
    this.filled = 0;
    socket.setNoDelay(true);
    socket.on("data", (bytes: Buffer) => this.enter(() => this.take(bytes)));
    socket.on("error", () => {});
    socket.on("close", () => {
      if (this.peer !== socket) return;
      this.peer = null;
      if (this.server === null) this.end?.lost(`${this.name}: the peer has gone`);
      else this.end?.say("the peer has gone");
    });
  }

  private take(bytes: Buffer): void {
    const all = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes]);
    let at = 0;
    while (all.length - at >= LENGTH) {
      const length = all.readUInt32BE(at);
      if (length > FRAME_MAX) {
        this.end?.say(`the peer says a frame has ${length} bytes, which is no Ethernet stream: cut off`);
        this.peer?.destroy();
        return;
      }
      if (all.length - at < LENGTH + length) break;
      at += LENGTH;
      this.end?.receive(all.subarray(at, at + length));
      at += length;
    }
    this.rest = all.subarray(at);
  }
}

/** Removes the socket of a process that did not come to do it itself; one that somebody listens on stays. */
async function removeStale(path: string): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return;
  const socket = new net.Socket();
  const refused = await new Promise<boolean>((resolve) => {
    socket.on("connect", () => resolve(false));
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNREFUSED"));
    socket.connect(path);
  });
  socket.destroy();
  if (refused) unlinkSync(path);
}

async function begun(
  emitter: net.Server | net.Socket,
  event: "listening" | "connect",
  begin: () => void,
  what: string,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      const used = error.code === "EADDRINUSE" ? "it is in use" : (error.code ?? error.message);
      reject(new AttachError(`${what}: ${used}`));
    };
    emitter.once("error", failed);
    emitter.once(event, () => {
      emitter.off("error", failed);
      resolve();
    });
    begin();
  });
}
