// Programs over TCP that run on node:net and on the emulation's sockets alike: a server that hashes a stream
// or echoes requests, and a client of each. As a process of its own: programs.js serve PORT, bulk HOST PORT
// BYTES, download HOST PORT BYTES, requests HOST PORT COUNT.

import { createHash } from "node:crypto";
import type { EventEmitter } from "node:events";
import nodeNet from "node:net";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";

export const PROGRAM = fileURLToPath(import.meta.url);

/** What node:net and HostNet have in common. */
export interface NetApi {
  createServer(
    options: { allowHalfOpen: boolean },
    onConnection: (socket: Duplex) => void,
  ): { listen(port: number): EventEmitter };
  connect(options: { host: string; port: number }): Duplex;
}

const CHUNK = 10_000;
const LARGEST = 20_000;

/** Bytes that tell their place, so that a shifted, lost or repeated piece shows. */
function pattern(at: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = ((at + i) * 2_654_435_761) >>> 23;
  return bytes;
}

export function patternHash(length: number): string {
  const hash = createHash("sha256");
  for (let at = 0; at < length; at += CHUNK) hash.update(pattern(at, Math.min(CHUNK, length - at)));
  return hash.digest("hex");
}

async function writePattern(socket: Duplex, length: number): Promise<void> {
  for (let at = 0; at < length; at += CHUNK) {
    if (socket.write(pattern(at, Math.min(CHUNK, length - at)))) continue;
    await new Promise<void>((resolve, reject) => {
      const closed = (): void => reject(new Error("closed before everything was written"));
      socket.once("close", closed);
      socket.once("drain", () => {
        socket.off("close", closed);
        resolve();
      });
    });
  }
}

/** "H": the hash of what follows. "D" and a number: so much of the pattern. "E": everything comes back. */
export function serve(net: NetApi, port: number): EventEmitter {
  return net
    .createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => {});
      socket.once("data", (first: Buffer) => {
        const rest = first.subarray(1);
        if (first[0] === 0x45) {
          socket.write(rest);
          socket.pipe(socket);
        } else if (first[0] === 0x44) {
          void writePattern(socket, Number(rest.toString())).then(() => socket.end());
        } else {
          const hash = createHash("sha256").update(rest);
          socket.on("data", (bytes: Buffer) => hash.update(bytes));
          socket.on("end", () => socket.end(hash.digest("hex")));
        }
      });
    })
    .listen(port);
}

/** The server's hash of so many bytes we sent. */
export async function bulk(net: NetApi, host: string, port: number, length: number): Promise<string> {
  const socket = net.connect({ host, port });
  const answer = text(socket);
  socket.write("H");
  await writePattern(socket, length);
  socket.end();
  return answer;
}

/** Our hash of so many bytes the server sent. */
export function download(net: NetApi, host: string, port: number, length: number): Promise<string> {
  const socket = net.connect({ host, port });
  const hash = createHash("sha256");
  socket.write(`D${length}`);
  socket.on("data", (bytes: Buffer) => hash.update(bytes));
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("end", () => {
      resolve(hash.digest("hex"));
      socket.end();
    });
  });
}

/** Requests of many lengths, one at a time; how many came back as they were. */
export async function requests(net: NetApi, host: string, port: number, count: number): Promise<number> {
  const socket = net.connect({ host, port });
  let arrived = Buffer.alloc(0);
  let more: () => void = () => {};
  const failed = new Promise<never>((_, reject) => socket.on("error", reject));
  socket.on("data", (bytes: Buffer) => {
    arrived = Buffer.concat([arrived, bytes]);
    more();
  });
  socket.write("E");
  let right = 0;
  for (let i = 0; i < count; i++) {
    const request = pattern(i, 1 + ((i * 7919) % LARGEST));
    socket.write(request);
    while (arrived.length < request.length)
      await Promise.race([failed, new Promise<void>((resolve) => (more = resolve))]);
    if (arrived.subarray(0, request.length).equals(request)) right++;
    arrived = arrived.subarray(request.length);
  }
  socket.end();
  return right;
}

function text(socket: Duplex): Promise<string> {
  let all = "";
  socket.on("data", (bytes: Buffer) => (all += bytes.toString()));
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("end", () => resolve(all));
  });
}

async function main(what: string, ...args: string[]): Promise<void> {
  if (what === "serve") {
    serve(nodeNet as unknown as NetApi, Number(args[0])).on("listening", () => console.log("listening"));
    return;
  }
  const [host = "", port, amount] = args;
  const program = { bulk, download, requests }[what];
  console.log(await program?.(nodeNet as unknown as NetApi, host, Number(port), Number(amount)));
}

if (process.argv[1] === PROGRAM) await main(...(process.argv.slice(2) as [string, ...string[]]));
