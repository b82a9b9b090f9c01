// Programs run: the echo server and the sink of a pod here, a script's by its own callback. Op.TCP_READY.

import { SocketKind, type Sockets } from "../sockets.ts";
import { tcpAccept, tcpClose, tcpReceive, tcpSend } from "./calls.ts";
import { sendRoom } from "./open.ts";
import { TcpEvent, TcpFlag, TcpState } from "./state.ts";
import { unread } from "./window.ts";

/** Bytes an echo server moves at once. */
const CHUNK = 65_536;

/** Everybody who was told something takes a turn, in order. */
export function readyEvent(s: Sockets): void {
  const t = s.tcp;
  while (t.ready.size > 0) {
    const row = t.ready.shift();
    if (t.generation[row] !== t.ready.second) continue;
    const events = t.events[row];
    t.events[row] = 0;
    t.flags[row] &= ~TcpFlag.QUEUED;
    if (t.kind[row] === SocketKind.SCRIPT) t.program(row, events);
    else serve(s, row, events);
  }
}

/** A pod's own server: echoes or swallows what comes, and closes when its peer does. */
function serve(s: Sockets, row: number, events: number): void {
  const t = s.tcp;
  if (t.state[row] === TcpState.LISTEN) {
    while (tcpAccept(t, row) >= 0);
    return;
  }
  if (events & TcpEvent.ERROR || t.state[row] === TcpState.CLOSE) {
    tcpClose(t, row);
    return;
  }
  if (t.kind[row] === SocketKind.ECHO) echo(s, row);
  else while (tcpReceive(t, row, s.tcpScratch, 0, CHUNK) > 0);
  if (t.flags[row] & TcpFlag.DONE && unread(t, row) === 0) tcpClose(t, row);
}

function echo(s: Sockets, row: number): void {
  const t = s.tcp;
  for (;;) {
    const room = sendRoom(t, row);
    const n = room <= 0 ? 0 : tcpReceive(t, row, s.tcpScratch, 0, Math.min(CHUNK, room));
    if (n <= 0) return;
    tcpSend(t, row, s.tcpScratch, 0, n);
  }
}
