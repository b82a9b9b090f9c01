// Sockets of ours that others come to: a Unix or TCP address, listened on.

import { lstatSync, unlinkSync } from "node:fs";
import net from "node:net";
import { AttachError } from "./attach-error.ts";

export type SocketAddress = { path: string } | { host: string; port: number };

/** @param text how the user wrote the address @throws AttachError */
export async function listenAt(address: SocketAddress, text: string): Promise<net.Server> {
  if ("path" in address) await removeStale(address.path);
  const server = net.createServer();
  await begun(server, "listening", () => server.listen(address), `cannot listen on ${text}`);
  return server;
}

/** @throws AttachError when nobody listens */
export async function connectTo(address: SocketAddress, text: string): Promise<net.Socket> {
  const socket = new net.Socket();
  await begun(socket, "connect", () => socket.connect(address), `cannot connect to ${text}`);
  return socket;
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
