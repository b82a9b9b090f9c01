// Ethernet over a stream socket, as QEMU's `-netdev stream` and passt speak it: each frame behind its length,
// four bytes, most significant first (QEMU net/stream.c, passt tap.c). Over a Unix or TCP socket, without
// root. We listen, or connect to somebody who does. One peer at a time; a listener waits for the next when it
// goes.
// Absent: `-netdev dgram`, virtio headers (QEMU sends none unless both sides agree on them).

import type { Server, Socket } from "node:net";
import { AttachError } from "./attach-error.ts";
import { connectTo, listenAt, type SocketAddress } from "./listen.ts";
import type { Wire, WireEnd } from "./wire.ts";

const LENGTH = 4;
/** Longest frame QEMU sends (NET_BUFSIZE is 68 KiB, a frame without segmentation offload far less). */
const FRAME_MAX = 65_536;
/** Bytes that are sent together. */
const CHUNK = 65_536;
/** Bytes a slow peer may leave unread before frames are lost. */
const BACKLOG = 4 << 20;

/** "host:port", or the path of a Unix socket. @throws AttachError */
export function parseStream(text: string): SocketAddress {
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
  private readonly server: Server | null;
  private peer: Socket | null;
  private end: WireEnd | null = null;
  private enter: (work: () => void) => void = () => {};
  /** What came of a frame that is not there in full. */
  private rest: Buffer = Buffer.alloc(0);
  private readonly chunk = Buffer.allocUnsafe(CHUNK + LENGTH + FRAME_MAX);
  private filled = 0;

  private constructor(name: string, server: Server | null, peer: Socket | null) {
    this.name = name;
    this.server = server;
    this.peer = peer;
  }

  /** Waits for peers there. @throws AttachError when it cannot */
  static async listen(text: string): Promise<StreamWire> {
    return new StreamWire(`stream ${text}`, await listenAt(parseStream(text), text), null);
  }

  /** @throws AttachError when nobody listens */
  static async connect(text: string): Promise<StreamWire> {
    return new StreamWire(`stream ${text}`, null, await connectTo(parseStream(text), text));
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
    chunk.set(bytes.subarray(at, at + length), this.filled);
    this.filled += length;
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

  private adopt(socket: Socket): void {
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
