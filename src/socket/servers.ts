// The programs a topology puts into its hosts: servers that echo or swallow, and their end.

import { PROTO_UDP } from "../wire/ipv4.ts";
import { udpOpen } from "./open.ts";
import { SocketKind, type Sockets } from "./sockets.ts";
import { tcpClose, tcpListen } from "./tcp/calls.ts";
import { SOMAXCONN } from "./tcp/constants.ts";
import { TcpFlag, TcpState } from "./tcp/state.ts";

export interface ServerPorts {
  udpEcho: readonly number[];
  udpSink: readonly number[];
  tcpEcho: readonly number[];
  tcpSink: readonly number[];
  /** DNS over UDP and TCP, whose answers the emulator has; absent: none. */
  dns?: readonly number[];
}

export function openServers(s: Sockets, ns: number, ports: ServerPorts): void {
  for (const port of ports.udpEcho) udpOpen(s, ns, { kind: SocketKind.ECHO, port });
  for (const port of ports.udpSink) udpOpen(s, ns, { kind: SocketKind.SINK, port });
  for (const port of ports.tcpEcho) tcpListen(s.tcp, ns, SOMAXCONN, { kind: SocketKind.ECHO, port });
  for (const port of ports.tcpSink) tcpListen(s.tcp, ns, SOMAXCONN, { kind: SocketKind.SINK, port });
  for (const port of ports.dns ?? []) {
    udpOpen(s, ns, { kind: SocketKind.ANSWER, port });
    tcpListen(s.tcp, ns, SOMAXCONN, { kind: SocketKind.SCRIPT, port });
  }
}

/** The servers of a pod in its node's namespace end, connections and all. */
export function closeServers(s: Sockets, ns: number, ports: ServerPorts): void {
  for (const port of [...ports.udpEcho, ...ports.udpSink]) {
    const sock = s.bound(PROTO_UDP, ns, 0, port);
    if (sock >= 0) s.remove(sock);
  }
  const t = s.tcp;
  for (const port of [...ports.tcpEcho, ...ports.tcpSink]) {
    const listener = t.listener(ns, 0, port);
    if (listener >= 0) tcpClose(t, listener);
    for (let row = t.ofNs.firstOf(ns); row >= 0; ) {
      const next = t.ofNs.next[row];
      if (t.localPort[row] === port && (t.flags[row] & TcpFlag.DEAD) === 0) tcpClose(t, row);
      row = next;
    }
  }
}

/** Every process of the namespace exits: its TCP sockets are closed as close() does (do_exit, exit_files). */
export function exitNamespace(s: Sockets, ns: number): void {
  const t = s.tcp;
  for (let row = listenerOf(s, ns); row >= 0; row = listenerOf(s, ns)) tcpClose(t, row);
  for (let row = t.ofNs.firstOf(ns); row >= 0; ) {
    const next = t.ofNs.next[row];
    if ((t.flags[row] & TcpFlag.DEAD) === 0) tcpClose(t, row);
    row = next;
  }
}

function listenerOf(s: Sockets, ns: number): number {
  const t = s.tcp;
  for (let row = t.ofNs.firstOf(ns); row >= 0; row = t.ofNs.next[row]) {
    if (t.state[row] === TcpState.LISTEN) return row;
  }
  return -1;
}
