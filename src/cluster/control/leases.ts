// kubelet's lease (pkg/kubelet, component-helpers lease): every renewal is a request over a TCP connection
// that the node keeps to the API server, so whatever cuts frames off cuts the node off. The API server notes
// when it heard of whom; a kubelet whose request found no answer by the next renewal connects anew.
// Absent: TLS, the node status beside the lease, watches: a kubelet that gets an answer knows everything.

import { SocketKind } from "../../socket/sockets.ts";
import {
  tcpAbort,
  tcpAccept,
  tcpClose,
  tcpConnect,
  tcpListen,
  tcpReceive,
  tcpSend,
} from "../../socket/tcp/calls.ts";
import { SOMAXCONN } from "../../socket/tcp/constants.ts";
import { TcpEvent, TcpState } from "../../socket/tcp/state.ts";
import type { ControlPlane } from "./control-plane.ts";
import { kubeletHears } from "./kubelet.ts";

/** Where the API server answers. */
export const API_PORT = 443;

/** A node's connection. */
export interface LeaseExchange {
  kind: "lease";
  generation: number;
  node: number;
  isOpen: boolean;
  waiting: boolean;
}

/** One of the API server's. */
export interface ApiExchange {
  kind: "api";
  generation: number;
  request: string;
}

const scratch = new Uint8Array(4096);
const text = new TextDecoder();
const REQUEST_MOST = 65_536;
const OK = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

/** The API server listens in this namespace; the nodes begin to renew their leases, one after the other. */
export function startLeases(cp: ControlPlane, ns: number, addr: number): void {
  const t = cp.cluster.walk.sock.tcp;
  const row = tcpListen(t, ns, SOMAXCONN, { kind: SocketKind.SCRIPT, port: API_PORT });
  cp.exchanges.set(row, { kind: "api", generation: t.generation[row], request: "" });
  cp.apiServer = addr;
  const { leaseRenewal, nodeMonitorPeriod } = cp.settings;
  if (leaseRenewal === 0) return;
  for (const n of cp.nodes.keys()) {
    cp.nodes[n].renewed = cp.now;
    cp.after(Math.floor((leaseRenewal * n) / cp.nodes.length), { kind: "lease", node: n });
  }
  cp.after(nodeMonitorPeriod, { kind: "monitor" });
}

/** A renewal is due. */
export function renewLease(cp: ControlPlane, n: number): void {
  cp.after(cp.settings.leaseRenewal, { kind: "lease", node: n });
  const node = cp.nodes[n];
  if (!node.alive) return;
  const t = cp.cluster.walk.sock.tcp;
  const known = cp.exchanges.get(node.lease);
  if (known?.kind === "lease" && known.node === n && known.generation === t.generation[node.lease]) {
    if (known.isOpen && !known.waiting) return send(cp, node.lease, known);
    // No answer to the last one.
    node.connected = false;
    cp.exchanges.delete(node.lease);
    tcpAbort(t, node.lease);
  }
  const row = tcpConnect(t, cp.cluster.nodes[n].ns, cp.apiServer, API_PORT, { kind: SocketKind.SCRIPT });
  node.lease = row;
  if (row < 0) {
    node.connected = false;
    return;
  }
  const generation = t.generation[row];
  cp.exchanges.set(row, { kind: "lease", generation, node: n, isOpen: false, waiting: true });
}

function send(cp: ControlPlane, row: number, e: LeaseExchange): void {
  const { name } = cp.nodes[e.node];
  e.waiting = true;
  const path = `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${name}`;
  write(cp, row, `PUT ${path} HTTP/1.1\r\nHost: kubernetes\r\nContent-Length: 0\r\n\r\n`);
}

function write(cp: ControlPlane, row: number, message: string): void {
  const bytes = new TextEncoder().encode(message);
  tcpSend(cp.cluster.walk.sock.tcp, row, bytes, 0, bytes.length);
}

export function leaseHappened(cp: ControlPlane, row: number, e: LeaseExchange, events: number): void {
  const t = cp.cluster.walk.sock.tcp;
  if (events & TcpEvent.CONNECTED) {
    e.isOpen = true;
    send(cp, row, e);
  }
  if (events & TcpEvent.READ) {
    let n = tcpReceive(t, row, scratch, 0, scratch.length);
    const isAnswer = n > 0;
    while (n > 0) n = tcpReceive(t, row, scratch, 0, scratch.length);
    if (isAnswer) {
      e.waiting = false;
      kubeletHears(cp, e.node);
    }
  }
  if (events & (TcpEvent.END | TcpEvent.ERROR | TcpEvent.CLOSED)) {
    cp.nodes[e.node].connected = false;
    cp.exchanges.delete(row);
    tcpClose(t, row);
  }
}

/** Any HTTP request is answered; a lease's is noted. */
export function apiHappened(cp: ControlPlane, row: number, e: ApiExchange, events: number): void {
  const t = cp.cluster.walk.sock.tcp;
  if (t.state[row] === TcpState.LISTEN) {
    for (let child = tcpAccept(t, row); child >= 0; child = tcpAccept(t, row)) {
      cp.exchanges.set(child, { kind: "api", generation: t.generation[child], request: "" });
    }
    return;
  }
  for (let n = tcpReceive(t, row, scratch, 0, scratch.length); n > 0; ) {
    if (e.request.length < REQUEST_MOST) e.request += text.decode(scratch.slice(0, n));
    n = tcpReceive(t, row, scratch, 0, scratch.length);
  }
  for (let end = e.request.indexOf("\r\n\r\n"); end >= 0; end = e.request.indexOf("\r\n\r\n")) {
    const name = /^PUT \S*\/leases\/(\S+) /.exec(e.request)?.[1];
    e.request = e.request.slice(end + 4);
    const node = name === undefined ? undefined : cp.nodes.find((one) => one.name === name);
    if (node !== undefined) node.renewed = cp.now;
    write(cp, row, OK);
  }
  if (events & (TcpEvent.END | TcpEvent.ERROR | TcpEvent.CLOSED)) {
    cp.exchanges.delete(row);
    tcpClose(t, row);
  }
}
