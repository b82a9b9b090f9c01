// The stand-in on ports that HTTP probes ask: it answers an HTTP request with 200, or 503 while the script
// says the container is not healthy, and echoes whatever is no HTTP.

import { SocketKind } from "../../socket/sockets.ts";
import { tcpAccept, tcpClose, tcpListen, tcpReceive, tcpSend } from "../../socket/tcp/calls.ts";
import { SOMAXCONN } from "../../socket/tcp/constants.ts";
import { sendRoom } from "../../socket/tcp/open.ts";
import { TcpEvent, TcpState } from "../../socket/tcp/state.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { ExchangeOf } from "./exchanges.ts";
import type { Pod } from "./objects.ts";

export interface ServerExchange extends ExchangeOf {
  kind: "server";
  /** Of an HTTP request that has not ended; null once something else was sent. */
  request: string | null;
}

const scratch = new Uint8Array(16_384);
const text = new TextDecoder();
const METHOD = /^(?:GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS) /;
const METHOD_MOST = 8;
const REQUEST_MOST = 65_536;

export function listenWeb(cp: ControlPlane, pod: Pod, i: number, port: number): void {
  const t = cp.cluster.walk.sock.tcp;
  const row = tcpListen(t, cp.cluster.pods.ns[pod.row], SOMAXCONN, { kind: SocketKind.SCRIPT, port });
  // Another container of the pod has the port.
  if (row >= 0) own(cp, row, pod, i);
}

function own(cp: ControlPlane, row: number, pod: Pod, container: number): void {
  const generation = cp.cluster.walk.sock.tcp.generation[row];
  cp.exchanges.set(row, { kind: "server", generation, pod, container, request: "" });
}

export function serverHappened(cp: ControlPlane, row: number, e: ServerExchange, events: number): void {
  const t = cp.cluster.walk.sock.tcp;
  if (t.state[row] === TcpState.LISTEN) {
    for (let child = tcpAccept(t, row); child >= 0; child = tcpAccept(t, row))
      own(cp, child, e.pod, e.container);
    return;
  }
  if (events & (TcpEvent.ERROR | TcpEvent.CLOSED)) return close(cp, row);
  if (!answer(cp, row, e)) return;
  if (events & TcpEvent.END) close(cp, row);
}

function close(cp: ControlPlane, row: number): void {
  cp.exchanges.delete(row);
  tcpClose(cp.cluster.walk.sock.tcp, row);
}

// False when the connection has been closed.
function answer(cp: ControlPlane, row: number, e: ServerExchange): boolean {
  const t = cp.cluster.walk.sock.tcp;
  for (;;) {
    const room = e.request === null ? sendRoom(t, row) : scratch.length;
    const n = room <= 0 ? 0 : tcpReceive(t, row, scratch, 0, Math.min(scratch.length, room));
    if (n <= 0) return true;
    if (e.request === null) {
      tcpSend(t, row, scratch, 0, n);
      continue;
    }
    e.request += text.decode(scratch.slice(0, n));
    const mayBeHttp = e.request.length < METHOD_MOST ? /^[A-Z]+ ?$/.test(e.request) : METHOD.test(e.request);
    if (!mayBeHttp || e.request.length > REQUEST_MOST) {
      const bytes = new TextEncoder().encode(e.request);
      e.request = null;
      tcpSend(t, row, bytes, 0, bytes.length);
    } else if (e.request.includes("\r\n\r\n") && !respond(cp, row, e)) return false;
  }
}

function respond(cp: ControlPlane, row: number, e: ServerExchange): boolean {
  const t = cp.cluster.walk.sock.tcp;
  const request = e.request as string;
  const isHealthy = e.pod.containers[e.container].healthy;
  const body = isHealthy ? `${e.pod.name}\n` : "not healthy\n";
  const status = isHealthy ? "200 OK" : "503 Service Unavailable";
  const isLast = /\r\nConnection: close\r\n/i.test(request);
  const head = `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n`;
  const content = request.startsWith("HEAD ") ? "" : body;
  const bytes = new TextEncoder().encode(`${head}${isLast ? "Connection: close\r\n" : ""}\r\n${content}`);
  tcpSend(t, row, bytes, 0, bytes.length);
  e.request = "";
  if (isLast) close(cp, row);
  return !isLast;
}
