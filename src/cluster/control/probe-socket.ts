// One probe over TCP: a connection from the node to the pod, for HTTP a request and its status line
// (pkg/probe/tcp, pkg/probe/http). Failures are worded as Go's net package words them.

import { errnoName } from "../../socket/errno.ts";
import { SocketKind } from "../../socket/sockets.ts";
import {
  takeSocketError,
  tcpAbort,
  tcpClose,
  tcpConnect,
  tcpReceive,
  tcpSend,
} from "../../socket/tcp/calls.ts";
import { TcpEvent } from "../../socket/tcp/state.ts";
import { formatIpv4 } from "../../wire/address.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { ExchangeOf } from "./exchanges.ts";
import type { Pod, Probe } from "./objects.ts";
import { type ProbeRole, probeAnswered } from "./prober.ts";

export interface ProbeExchange extends ExchangeOf {
  kind: "probe";
  run: number;
  role: ProbeRole;
  isHttp: boolean;
  /** "10.0.0.5:8080", and for HTTP the URL. */
  target: string;
  answer: string;
}

const scratch = new Uint8Array(2048);
const text = new TextDecoder();

export function openProbe(cp: ControlPlane, pod: Pod, i: number, role: ProbeRole, probe: Probe): void {
  const t = cp.cluster.walk.sock.tcp;
  const port = portOf(pod, i, probe.port);
  const at = `${formatIpv4(pod.ip)}:${port}`;
  const isHttp = probe.kind === "http";
  const target = isHttp ? `http://${at}${probe.path}` : at;
  const { run } = pod.containers[i];
  const ns = cp.cluster.nodes[pod.node].ns;
  const row = tcpConnect(t, ns, pod.ip, port, { kind: SocketKind.SCRIPT, noDelay: true });
  if (row < 0) {
    return probeAnswered(cp, pod, i, run, role, worded(isHttp, target, at, goError(errnoName(row))));
  }
  const generation = t.generation[row];
  cp.exchanges.set(row, {
    kind: "probe",
    generation,
    pod,
    container: i,
    run,
    role,
    isHttp,
    target,
    answer: "",
  });
  cp.after(probe.timeout, { kind: "probe-timeout", row, generation });
}

/** A named port is one of the container's. */
function portOf(pod: Pod, i: number, port: number | string): number {
  if (typeof port === "number") return port;
  return pod.template.containers[i].ports.find((p) => p.name === port)?.port ?? 0;
}

export function probeHappened(cp: ControlPlane, row: number, e: ProbeExchange, events: number): void {
  const t = cp.cluster.walk.sock.tcp;
  if (events & TcpEvent.ERROR) {
    const error = goError(errnoName(takeSocketError(t, row)));
    const at = e.isHttp ? (e.target.split("/")[2] as string) : e.target;
    return done(cp, row, e, worded(e.isHttp, e.target, at, error));
  }
  if (events & TcpEvent.CONNECTED) {
    if (!e.isHttp) return done(cp, row, e, "");
    const [, , host = "", ...path] = e.target.split("/");
    const line = `GET /${path.join("/")} HTTP/1.1\r\nHost: ${host}\r\n`;
    const fields = "User-Agent: kube-probe/1.34\r\nConnection: close\r\n\r\n";
    const bytes = new TextEncoder().encode(line + fields);
    tcpSend(t, row, bytes, 0, bytes.length);
  }
  if (events & (TcpEvent.READ | TcpEvent.END)) {
    for (let n = tcpReceive(t, row, scratch, 0, scratch.length); n > 0; ) {
      if (e.answer.length < scratch.length) e.answer += text.decode(scratch.slice(0, n));
      n = tcpReceive(t, row, scratch, 0, scratch.length);
    }
    const status = /^HTTP\/1\.[01] (\d{3})/.exec(e.answer)?.[1];
    if (status !== undefined) {
      const isGood = status >= "200" && status < "400";
      return done(cp, row, e, isGood ? "" : `HTTP probe failed with statuscode: ${status}`);
    }
  }
  if (events & (TcpEvent.END | TcpEvent.CLOSED)) done(cp, row, e, `Get "${e.target}": EOF`);
}

/** Its time is over. */
export function probeTimeout(cp: ControlPlane, row: number, generation: number): void {
  const e = cp.exchanges.get(row);
  if (e?.kind !== "probe" || e.generation !== generation) return;
  const t = cp.cluster.walk.sock.tcp;
  if (t.generation[row] !== generation) {
    cp.exchanges.delete(row);
    return;
  }
  cp.exchanges.delete(row);
  tcpAbort(t, row);
  const detail = e.isHttp
    ? `Get "${e.target}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`
    : `dial tcp ${e.target}: i/o timeout`;
  probeAnswered(cp, e.pod, e.container, e.run, e.role, detail);
}

function done(cp: ControlPlane, row: number, e: ProbeExchange, failure: string): void {
  cp.exchanges.delete(row);
  tcpClose(cp.cluster.walk.sock.tcp, row);
  probeAnswered(cp, e.pod, e.container, e.run, e.role, failure);
}

function worded(isHttp: boolean, target: string, at: string, error: string): string {
  return isHttp ? `Get "${target}": dial tcp ${at}: ${error}` : `dial tcp ${at}: ${error}`;
}

function goError(errno: string): string {
  switch (errno) {
    case "ECONNREFUSED":
      return "connect: connection refused";
    case "EHOSTUNREACH":
      return "connect: no route to host";
    case "ENETUNREACH":
      return "connect: network is unreachable";
    case "ECONNRESET":
      return "read: connection reset by peer";
    case "ETIMEDOUT":
      return "connect: connection timed out";
    default:
      return errno;
  }
}
