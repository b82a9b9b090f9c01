// What runs in containers: echo servers on their ports stand in for the programs of their images; a port that
// an HTTP probe asks has a web server (web-server.ts).

import { openServers, type ServerPorts } from "../../socket/servers.ts";
import { SocketKind } from "../../socket/sockets.ts";
import { tcpClose } from "../../socket/tcp/calls.ts";
import { TcpState } from "../../socket/tcp/state.ts";
import { PROTO_TCP, PROTO_UDP } from "../../wire/ipv4.ts";
import type { HostPort } from "../host-ports.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { ContainerPort, ContainerSpec, Pod, PodTemplate } from "./objects.ts";
import { listenWeb } from "./web-server.ts";

/** The data plane's workload of pods like this one: same owner, template, labels and ports. */
export function workloadRow(cp: ControlPlane, pod: Pod): number {
  const isOwn = pod.owner === "" || pod.ordinal >= 0;
  const own = isOwn ? `${pod.namespace}/${pod.name}` : "";
  const key = `${pod.owner} ${pod.hash} ${own}`;
  const known = cp.workloads.get(key);
  if (known !== undefined) return known;
  const ports = pod.template.containers.flatMap((c) => c.ports);
  const echoes = pod.template.containers.flatMap(echoPorts);
  const { hostname = "", subdomain = "" } = pod.template;
  // StatefulSets name each of their pods (updateIdentity in pkg/controller/statefulset).
  const host = pod.ordinal >= 0 ? pod.name : hostname;
  const row = cp.cluster.addWorkload({
    ...(host === "" || subdomain === "" ? {} : { hostname: host, subdomain }),
    app: appOf(cp, pod),
    name: isOwn ? pod.name : pod.owner.slice(pod.owner.lastIndexOf("/") + 1),
    numbered: true,
    namespace: pod.namespace,
    labels: pod.labels,
    namedPorts: ports.filter((p) => p.name !== ""),
    identity: 0,
    ports: serverPorts(echoes),
    hostNetwork: pod.template.hostNetwork,
    hostPorts: hostPortsOf(pod.template),
    revision: 1,
    // Probes and containers decide, once the pod is there.
    ready: false,
    node: -1,
    pods: [],
    serial: 0,
    endpointOf: [],
  });
  cp.workloads.set(key, row);
  return row;
}

/** Ports that an HTTP probe of the container asks. */
function webPorts(c: ContainerSpec): number[] {
  const ports = [c.startup, c.readiness, c.liveness].flatMap((probe) => {
    if (probe?.kind !== "http") return [];
    const { port } = probe;
    return typeof port === "number" ? [port] : c.ports.filter((p) => p.name === port).map((p) => p.port);
  });
  return [...new Set(ports)];
}

// All others. Programs listen on what their probes ask, declared or not.
function echoPorts(c: ContainerSpec): ContainerPort[] {
  const web = webPorts(c);
  const probed = [c.startup, c.readiness, c.liveness].flatMap((probe) =>
    probe !== null && typeof probe.port === "number" && probe.kind !== "exec"
      ? [{ name: "", port: probe.port, protocol: PROTO_TCP, hostPort: 0, hostIp: 0 }]
      : [],
  );
  return [...c.ports, ...probed].filter((p) => p.protocol !== PROTO_TCP || !web.includes(p.port));
}

/** The web servers of a container. */
export function openWeb(cp: ControlPlane, pod: Pod, i: number): void {
  for (const port of webPorts(pod.template.containers[i])) listenWeb(cp, pod, i, port);
}

/** Ports of its node that a pod takes; with the node's network all of its ports. */
export function hostPortsOf(template: PodTemplate): HostPort[] {
  return template.containers.flatMap((c) =>
    c.ports.flatMap(({ port, protocol, hostPort, hostIp }) => {
      const taken = template.hostNetwork ? port : hostPort;
      return taken === 0 ? [] : [{ protocol, addr: hostIp, port: taken, target: port }];
    }),
  );
}

function serverPorts(ports: readonly ContainerPort[]): ServerPorts {
  const of = (protocol: number): number[] => [
    ...new Set(ports.filter((p) => p.protocol === protocol).map((p) => p.port)),
  ];
  return { udpEcho: of(PROTO_UDP), udpSink: [], tcpEcho: of(PROTO_TCP), tcpSink: [] };
}

/** Its program is there again. */
export function startContainer(cp: ControlPlane, pod: Pod, i: number): void {
  const { walk, pods } = cp.cluster;
  openServers(walk.sock, pods.ns[pod.row], serverPorts(echoPorts(pod.template.containers[i])));
  openWeb(cp, pod, i);
}

/** Its program exits: the kernel closes its sockets. */
export function stopContainer(cp: ControlPlane, pod: Pod, i: number): void {
  const ns = cp.cluster.pods.ns[pod.row];
  const spec = pod.template.containers[i];
  for (const { port, protocol } of echoPorts(spec)) {
    if (protocol === PROTO_UDP) closeUdp(cp, ns, port);
    if (protocol === PROTO_TCP) closeTcp(cp, ns, port);
  }
  for (const port of webPorts(spec)) closeTcp(cp, ns, port);
  // Their last segments leave before anything else is done.
  cp.cluster.walk.drain();
}

/** The name people know it by: a ReplicaSet's pods are its Deployment's. */
export function appOf(cp: ControlPlane, pod: Pod): string {
  const [kind = "", namespace = "", name = pod.name] = pod.owner.split("/");
  const owner = kind === "ReplicaSet" ? cp.replicaSets.get(`${namespace}/${name}`)?.owner : "";
  return owner ? owner.slice(owner.lastIndexOf("/") + 1) : name;
}

function closeUdp(cp: ControlPlane, ns: number, port: number): void {
  const { sock } = cp.cluster.walk;
  for (let s = sock.ofNs.firstOf(ns); s >= 0; ) {
    const next = sock.ofNs.next[s];
    const isServer = sock.kind[s] === SocketKind.ECHO || sock.kind[s] === SocketKind.SINK;
    if (isServer && sock.proto[s] === PROTO_UDP && sock.localPort[s] === port) sock.remove(s);
    s = next;
  }
}

// The listener first: closing it ends the connections nobody has accepted.
function closeTcp(cp: ControlPlane, ns: number, port: number): void {
  const t = cp.cluster.walk.sock.tcp;
  for (const wantsListener of [true, false]) {
    for (let row = t.ofNs.firstOf(ns); row >= 0; ) {
      const next = t.ofNs.next[row];
      const isEcho = t.kind[row] === SocketKind.ECHO || t.kind[row] === SocketKind.SINK;
      const isServer = isEcho || cp.exchanges.get(row)?.generation === t.generation[row];
      const isListener = t.state[row] === TcpState.LISTEN;
      if (isServer && isListener === wantsListener && t.localPort[row] === port) tcpClose(t, row);
      row = next;
    }
  }
}
