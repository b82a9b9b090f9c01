// What the walk asks and tells of the emulation above it: events that are the emulator's, programs behind
// sockets, and after a lookup what a script wanted the address for.

import { clusterOfEvent, nodeOfEvent } from "../cluster/proxies.ts";
import { Op } from "../node/op.ts";
import { parseIpv4 } from "../wire/address.ts";
import { answerClusterDns, tellClusterDns } from "./dns-server.ts";
import { tellHealthPort } from "./health-ports.ts";
import { splitPort } from "./hosts.ts";
import type { Net } from "./net.ts";
import { perform, sendUdpTo } from "./perform.ts";
import { answerPlatform, tellPlatform } from "./platform.ts";
import { type Lookup, stepLookup, tellResolver } from "./resolver.ts";
import { failConnection, openConnectionTo, tellScript } from "./tcp-script.ts";
import { isRight } from "./traffic.ts";

export function connectHooks(net: Net): void {
  const { walk } = net;
  walk.onEvent = (op, a, b) => {
    if (op === Op.SCRIPT) perform(net, a);
    else if (op === Op.PROGRAM_TIMEOUT) net.programs.timeout(a);
    else if (op === Op.RESOLVER) stepLookup(net, a, b);
    else if (op === Op.PROXY_SYNC) {
      const cluster = net.hosts.clusters[clusterOfEvent(a)];
      cluster.proxies.event(cluster, nodeOfEvent(a));
    } else if (op === Op.CONTROL) net.hosts.clusters[a].control.fire(b);
  };
  walk.sock.tcp.program = (row, events) => {
    if (tellScript(net, row, events) || tellPlatform(net, row, events)) return;
    if (tellHealthPort(net, row, events) || tellClusterDns(net, row, events)) return;
    for (const cluster of net.clusters) if (cluster.control.tell(row, events)) return;
    net.programs.tell(row, events);
  };
  walk.sock.answer = (sock, f, start, end) => {
    if (tellResolver(net, sock, start, end)) return -1;
    if (net.platform.vnets.has(walk.sock.ns[sock])) return answerPlatform(net, sock, f, start, end);
    return answerClusterDns(net, sock, f, start, end);
  };
  walk.sock.isRight = (source, ns) => isRight(net, source, ns);
}

/** A lookup is over: what it was for goes on, or fails with its error. */
export function resolved(net: Net, lookup: Lookup): void {
  const { then } = lookup;
  if (then.kind === "nothing") return;
  const action = net.script.actions[then.action];
  const addr = parseIpv4(lookup.addresses[0] ?? "");
  if (then.kind === "connect" && action.kind === "tcp-connect") {
    if (addr === undefined) return failConnection(net, then.connection, lookup.error ?? "ENOTFOUND");
    const port = Number(splitPort(action.to)[1]);
    openConnectionTo(net, then.connection, { addr, port }, action.options);
  } else if (then.kind === "udp" && action.kind === "udp") {
    const outcome = net.script.outcomes[then.action];
    if (addr === undefined) outcome.refused = lookup.error;
    else sendUdpTo(net, then.action, action, { addr, port: Number(splitPort(action.to)[1]) });
  }
}
