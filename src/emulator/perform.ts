// Carries out the actions of a script when their time has come, and picks up what came back.

import { Op } from "../node/op.ts";
import type { NsSysctl } from "../node/sysctl.ts";
import { errnoName } from "../socket/errno.ts";
import { pingOpen, udpConnect, udpOpen } from "../socket/open.ts";
import { injectFrame, transmitFrame } from "../socket/packet.ts";
import { pingSend } from "../socket/ping.ts";
import { Received as ReceivedKind, type ReceiveQueue } from "../socket/receive-queue.ts";
import { socketRead } from "../socket/socket-error.ts";
import { SocketKind } from "../socket/sockets.ts";
import { sourceStart, sourceStop } from "../socket/source.ts";
import { udpSend } from "../socket/udp-send.ts";
import { formatIpv4 } from "../wire/address.ts";
import { PROTO_ICMP, PROTO_UDP } from "../wire/ipv4.ts";
import { changeAzure } from "./azure-change.ts";
import { changeCluster } from "./cluster-change.ts";
import { mistake } from "./errors.ts";
import { type Destination, didYouMean, splitPort, UnknownNameError } from "./hosts.ts";
import { runKubectl } from "./kubectl-command.ts";
import type { Net } from "./net.ts";
import { startLookup } from "./resolver.ts";
import { rolledOut, rollOut } from "./rollout.ts";
import type { Action, Received } from "./script.ts";
import {
  closeServer,
  endConnection,
  openConnection,
  openServer,
  readFrom,
  resetConnection,
  sendOn,
} from "./tcp-script.ts";
import { formatTime } from "./units.ts";

/** Op.SCRIPT. */
export function perform(net: Net, number: number): void {
  const action = net.script.actions[number];
  switch (action.kind) {
    case "udp":
      return sendUdp(net, number, action);
    case "lookup":
      // The outcome keeps which one it is.
      net.script.outcomes[number].handle = startLookup(net, action.from, action.name, { kind: "nothing" });
      return;
    case "ping":
      return sendPing(net, number, action);
    case "frame":
      return sendFrame(net, action);
    case "traffic":
      // Its pod may have gone in the meantime.
      if (net.walk.sock.sources.ns[action.row] < 0) return;
      return sourceStart(net.walk.sock, action.row, action.rate, 1, action.limit);
    case "stop-traffic":
      return sourceStop(net.walk.sock, action.row);
    case "scale":
      collectReceived(net);
      return scale(net, action.workload, action.replicas);
    case "churn":
      collectReceived(net);
      return churn(net, number, action);
    case "remove-pod":
    case "fail-pod":
    case "replace-pod":
      // What a pod received that goes now was received.
      collectReceived(net);
      return changePod(net, action.kind, action.pod);
    case "rollout":
      collectReceived(net);
      return rollOut(net, number, action);
    case "rollout-ready":
    case "rollout-remove":
      collectReceived(net);
      return rolledOut(net, action);
    case "kubectl":
      collectReceived(net);
      return runKubectl(net, action.cluster, action.command);
    case "cluster":
      return changeCluster(net, action.cluster, action.change);
    case "ready-pod": {
      const p = podNow(net, action.pod);
      return net.clusters[net.pods.cluster[p]].setReady(p, action.ready);
    }
    case "terminate-pod":
      return terminate(net, number, action);
    case "impair":
      net.script.outcomes[number].handle = net.walk.link.netem.attach(
        net.hosts.device(action.link),
        action.config,
      );
      return;
    case "heal":
      return net.heal(action.impair);
    case "link":
      return net.walk.k.setUp(net.hosts.device(action.link), action.up);
    case "sysctl":
      return net.walk.k.setNsSysctl(net.hosts.host(action.host).ns, action.name as NsSysctl, action.value);
    case "azure":
      return changeAzure(net, action.change);
    case "tcp-listen":
      return openServer(net, action.server, action.options);
    case "tcp-connect":
      return openConnection(net, number, action);
    case "tcp-send":
      return sendOn(net, action.connection, action.payload);
    case "tcp-end":
      return endConnection(net, action.connection, "end");
    case "tcp-close":
      return endConnection(net, action.connection, "close");
    case "tcp-reset":
      return resetConnection(net, action.connection);
    case "tcp-read":
      return readFrom(net, action.connection, action.bytes);
    case "tcp-close-server":
      return closeServer(net, action.server);
    case "call": {
      const { run } = action;
      action.run = null;
      return run?.();
    }
  }
}

type UdpAction = Extract<Action, { kind: "udp" }>;

function sendUdp(net: Net, number: number, action: UdpAction): void {
  if (net.hosts.isDnsName(action.to)) {
    startLookup(net, action.from, splitPort(action.to)[0], { kind: "udp", action: number });
  } else sendUdpTo(net, number, action, net.hosts.destination(action.to, PROTO_UDP));
}

export function sendUdpTo(net: Net, number: number, action: UdpAction, to: Destination): void {
  const { sock } = net.walk;
  const from = net.hosts.host(action.from);
  const bound = action.sourcePort === 0 ? -1 : sock.bound(PROTO_UDP, from.ns, 0, action.sourcePort);
  const port = action.sourcePort;
  // A program reads its errors before it sends again: a pending one would be the answer to sendto().
  if (bound >= 0) collectReceived(net);
  const socket =
    bound >= 0 ? bound : udpOpen(sock, from.ns, { kind: SocketKind.SCRIPT, port, recvErr: true });
  if (bound < 0 && socket >= 0) opened(net, number, socket);
  // A client of its own takes answers only from whom it asked, as connect() makes a resolver do.
  if (port === 0 && socket >= 0) udpConnect(sock, socket, to.addr, to.port, 0);
  sent(net, number, socket < 0 ? socket : udpSend(sock, socket, to.addr, to.port, action.payload));
}

function sendPing(net: Net, number: number, action: Extract<Action, { kind: "ping" }>): void {
  const { sock } = net.walk;
  const from = net.hosts.host(action.from);
  const to = net.hosts.destination(action.to, PROTO_ICMP);
  const socket = pingOpen(sock, from.ns, { kind: SocketKind.SCRIPT, recvErr: true });
  if (socket >= 0) opened(net, number, socket);
  const ttl = action.ttl === 0 ? {} : { ttl: action.ttl };
  const options = { seq: action.seq, data: action.size, ...ttl };
  sent(net, number, socket < 0 ? socket : pingSend(sock, socket, to.addr, options));
}

function opened(net: Net, action: number, row: number): void {
  net.script.sockets.push({ row, opened: net.walk.sock.opened[row], action });
}

// A packet number, or a negative error number.
function sent(net: Net, number: number, result: number): void {
  const { sock } = net.walk;
  const outcome = net.script.outcomes[number];
  outcome.sentAt = net.now;
  if (result < 0) outcome.refused = errnoName(-result);
  const packet = result < 0 ? sock.unrouted : result;
  sock.unrouted = 0;
  if (packet === 0) return;
  outcome.packet = packet;
  net.script.follow(number, packet);
}

function sendFrame(net: Net, action: Extract<Action, { kind: "frame" }>): void {
  const { k } = net.walk;
  const dev = net.hosts.device(action.at);
  const error = action.out ? transmitFrame(k, dev, action.bytes) : injectFrame(k, dev, action.bytes);
  if (error < 0) throw mistake(action.at, `a frame of ${action.bytes.length} bytes: ${errnoName(-error)}`);
}

function scale(net: Net, name: string, replicas: number): void {
  const { cluster, index, workload } = net.workload(name);
  // Pods that terminate are on their way out.
  const alive = workload.pods.filter((p) => net.pods.terminating[p] === 0);
  const youngest = net.pods.oldestFirst(alive).reverse();
  for (const p of youngest.slice(0, Math.max(0, alive.length - replicas))) cluster.removePod(p);
  for (let i = alive.length; i < replicas; i++) must(cluster.addPod(index), `scale.${name}`);
}

function changePod(net: Net, kind: "remove-pod" | "fail-pod" | "replace-pod", name: string): void {
  const p = podNow(net, name);
  const cluster = net.clusters[net.pods.cluster[p]];
  if (kind === "remove-pod") cluster.removePod(p);
  else if (kind === "fail-pod") cluster.failPod(p);
  else must(cluster.replacePod(p), `replacePod.${name}`);
}

// A deployment may have brought it by now, or taken it away.
function podNow(net: Net, name: string): number {
  const { pods } = net;
  const p = pods.byName.get(name);
  if (p !== undefined) return p;
  const names = [...pods.byName.keys()];
  throw new UnknownNameError(`there is no pod "${name}" at ${formatTime(net.now)}${didYouMean(name, names)}`);
}

// Twice: when deletion begins, and when the grace period is over.
function terminate(net: Net, number: number, action: Extract<Action, { kind: "terminate-pod" }>): void {
  if (!action.begun) {
    const p = podNow(net, action.pod);
    action.begun = true;
    net.clusters[net.pods.cluster[p]].beginTermination(p);
    net.walk.k.clock.at(net.now + action.grace, Op.SCRIPT, number, 0);
    return;
  }
  collectReceived(net);
  // It may have gone in the meantime.
  const p = net.pods.byName.get(action.pod);
  if (p !== undefined && net.pods.terminating[p] === 1) net.clusters[net.pods.cluster[p]].removePod(p);
}

// One replacement, and the event of the next.
function churn(net: Net, number: number, action: Extract<Action, { kind: "churn" }>): void {
  const { cluster, workload } = net.workload(action.workload);
  const oldest = net.pods.extreme(workload.pods, 1);
  if (oldest !== undefined) must(cluster.replacePod(oldest), `churn.${action.workload}`);
  action.left--;
  if (action.left > 0) net.walk.k.clock.at(net.now + action.every, Op.SCRIPT, number, 0);
}

function must(pod: number | string, path: string): void {
  if (typeof pod === "string") throw mistake(path, pod);
}

/**
 * Moves what sockets of the script received into the outcome of the action it answers: what answers nothing
 * that was asked goes to the action that opened the socket.
 */
export function collectReceived(net: Net): void {
  const { sock } = net.walk;
  const { script } = net;
  if (script.read === sock.arrivals) return;
  script.read = sock.arrivals;
  for (const { row, opened, action } of script.sockets) {
    if (sock.opened[row] !== opened) continue;
    const queue = sock.queue[row];
    if (queue === null || queue.size === 0) continue;
    for (let at = socketRead(sock, row); at >= 0; at = socketRead(sock, row)) {
      const asked = script.byPacket.get(queue.answers[at]) ?? action;
      script.outcomes[asked].received.push(received(queue, at));
    }
  }
}

function received(queue: ReceiveQueue, row: number): Received {
  const failed = queue.kind[row] === ReceivedKind.ERROR;
  return {
    time: queue.time[row],
    from: formatIpv4(queue.from[row]),
    port: queue.port[row],
    payload: queue.payload(row),
    ttl: queue.ttl[row],
    error: failed ? errnoName(queue.errno[row]) : null,
  };
}
