// kube-proxy's health-check node ports (K 1.7, pkg/proxy/healthcheck/service_health.go): on every node an
// HTTP server for each Service of type LoadBalancer with policy Local, which load balancers ask.
// It answers whatever is asked, as the handler does, and keeps connections as HTTP/1.1 has it.
// Absent: the Date header, requests with a body, :10256/healthz, /livez and the metrics port.

import type { Cluster } from "../cluster/cluster.ts";
import type { HealthAnswer } from "../cluster/service.ts";
import { SocketKind } from "../socket/sockets.ts";
import { tcpAccept, tcpClose, tcpListen, tcpReceive, tcpSend, tcpShutdown } from "../socket/tcp/calls.ts";
import { TcpEvent } from "../socket/tcp/state.ts";
import type { Net } from "./net.ts";

const BACKLOG = 128;
const REASON = { 200: "OK", 503: "Service Unavailable" } as const;
const scratch = new Uint8Array(4096);

interface Listener {
  cluster: number;
  node: number;
  namespace: string;
  service: string;
  port: number;
}

export class HealthPorts {
  /** By the row of its socket. */
  readonly listeners = new Map<number, Listener>();
  /** Listener of each connection's row, and what was received of a request so far. */
  readonly connections = new Map<number, { generation: number; listener: Listener; text: string }>();
}

/** Listeners follow what the Services of a cluster ask for. */
export function openHealthPorts(net: Net, cluster: Cluster): void {
  const { listeners } = net.health;
  const wanted = new Map<string, Listener>();
  for (const { name, namespace, healthPort: port } of cluster.services) {
    if (port === 0) continue;
    for (const node of cluster.nodes.keys()) {
      const listener = { cluster: cluster.index, node, namespace, service: name, port };
      wanted.set(JSON.stringify(listener), listener);
    }
  }
  const t = net.walk.sock.tcp;
  for (const [row, listener] of [...listeners]) {
    if (listener.cluster !== cluster.index || wanted.delete(JSON.stringify(listener))) continue;
    tcpClose(t, row);
    listeners.delete(row);
  }
  for (const listener of wanted.values()) {
    const { ns } = cluster.nodes[listener.node];
    const row = tcpListen(t, ns, BACKLOG, { kind: SocketKind.SCRIPT, port: listener.port });
    // A program of the node may have the port: kube-proxy logs it and goes on.
    if (row >= 0) listeners.set(row, listener);
  }
}

/** Told of the socket in `row`; true when it is one of these. */
export function tellHealthPort(net: Net, row: number, events: number): boolean {
  const { listeners, connections } = net.health;
  const t = net.walk.sock.tcp;
  const listener = listeners.get(row);
  if (listener !== undefined) {
    for (let c = tcpAccept(t, row); c >= 0; c = tcpAccept(t, row)) {
      connections.set(c, { generation: t.generation[c], listener, text: "" });
      read(net, c);
    }
    return true;
  }
  const connection = connections.get(row);
  if (connection === undefined) return false;
  if (t.generation[row] !== connection.generation) {
    connections.delete(row);
    return false;
  }
  if (events & (TcpEvent.READ | TcpEvent.END)) read(net, row);
  if (events & TcpEvent.END) tcpShutdown(t, row);
  if (events & (TcpEvent.CLOSED | TcpEvent.END)) {
    connections.delete(row);
    tcpClose(t, row);
  }
  return true;
}

function read(net: Net, row: number): void {
  const t = net.walk.sock.tcp;
  const connection = net.health.connections.get(row);
  if (connection === undefined) return;
  for (let n = tcpReceive(t, row, scratch, 0, scratch.length); n > 0; ) {
    connection.text += Buffer.from(scratch.subarray(0, n)).toString("latin1");
    n = tcpReceive(t, row, scratch, 0, scratch.length);
  }
  for (let end = connection.text.indexOf("\r\n\r\n"); end >= 0; end = connection.text.indexOf("\r\n\r\n")) {
    connection.text = connection.text.slice(end + 4);
    const bytes = Buffer.from(response(net, connection.listener), "latin1");
    tcpSend(t, row, bytes, 0, bytes.length);
  }
}

function response(net: Net, l: Listener): string {
  const cluster = net.clusters[l.cluster];
  const service = cluster.services.find((s) => s.name === l.service && s.namespace === l.namespace);
  if (service === undefined) return "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
  const answer: HealthAnswer = cluster.health(service, l.node);
  const body = JSON.stringify(answer.body, null, "\t");
  const head = [
    `HTTP/1.1 ${answer.status} ${REASON[answer.status]}`,
    "Content-Type: application/json",
    "X-Content-Type-Options: nosniff",
    ...Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}`),
    `Content-Length: ${body.length}`,
  ];
  return `${head.join("\r\n")}\r\n\r\n${body}`;
}
