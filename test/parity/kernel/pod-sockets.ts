// Sockets that live in a pod's or the node's namespace while the harness serves them: echo servers, sinks,
// listeners, and those a case sends from. Served only when the case has come to rest, so that the order of
// frames is decided by the case and not by the scheduler.

import type { SocketSpec } from "../case.ts";
import {
  AF_INET,
  accept,
  bind,
  close,
  inetAddress,
  listen,
  receiveFrom,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  sendTo,
  setOption,
  socket,
} from "./libc.ts";
import type { Namespace } from "./namespaces.ts";

const SO_REUSEADDR = 2;
const buffer = new Uint8Array(65_536);
const sender = new Uint8Array(16);

export class ServedSocket {
  readonly #fd: number;
  readonly #spec: SocketSpec;
  readonly #connections = new Set<number>();

  constructor(namespace: Namespace, spec: SocketSpec) {
    this.#spec = spec;
    const type = spec.kind === "tcp-listen" ? SOCK_STREAM : SOCK_DGRAM;
    this.#fd = namespace.inside(() => socket(AF_INET, type | SOCK_NONBLOCK, 0));
    setOption(this.#fd, SOL_SOCKET, SO_REUSEADDR, 1);
    bind(this.#fd, inetAddress("0.0.0.0", spec.port));
    if (spec.kind === "tcp-listen") listen(this.#fd, 128);
  }

  /** Does what waits to be done; true when there was something. */
  serve(): boolean {
    return this.#spec.kind === "tcp-listen" ? this.#serveConnections() : this.#serveDatagrams();
  }

  sendTo(ip: string, port: number, bytes: Uint8Array): void {
    sendTo(this.#fd, bytes, inetAddress(ip, port));
  }

  #serveDatagrams(): boolean {
    let any = false;
    for (;;) {
      const n = receiveFrom(this.#fd, buffer, sender);
      if (n < 0) return any;
      any = true;
      if (this.#spec.kind === "udp-echo") sendTo(this.#fd, buffer.slice(0, n), sender);
    }
  }

  #serveConnections(): boolean {
    let any = false;
    for (let fd = accept(this.#fd); fd >= 0; fd = accept(this.#fd)) {
      this.#connections.add(fd);
      any = true;
    }
    for (const fd of this.#connections) {
      let n = receiveFrom(fd, buffer, sender);
      for (; n > 0; n = receiveFrom(fd, buffer, sender)) any = true;
      if (n < 0) continue;
      close(fd);
      this.#connections.delete(fd);
      any = true;
    }
    return any;
  }

  close(): void {
    for (const fd of this.#connections) close(fd);
    close(this.#fd);
  }
}
