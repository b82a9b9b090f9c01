// Who received how much of a Service's traffic.

import { type Cluster, type Service, targetOf } from "../cluster/cluster.ts";
import { formatIpv4 } from "../wire/address.ts";
import { PROTO_TCP } from "../wire/ipv4.ts";
import type { Net } from "./net.ts";

export interface ServiceDeliveries {
  name: string;
  clusterIp: string;
  /** Datagrams and TCP connections received per endpoint of now, in the order the pods were added. */
  pods: Readonly<Record<string, number>>;
}

export function deliveries(net: Net): ServiceDeliveries[] {
  return net.clusters.flatMap((cluster) =>
    cluster.services.map((service) => ({
      name: service.name,
      clusterIp: service.clusterIp === 0 ? "None" : formatIpv4(service.clusterIp),
      pods: received(net, cluster, service),
    })),
  );
}

function received(net: Net, cluster: Cluster, service: Service): { [pod: string]: number } {
  const { sock } = net.walk;
  const { pods } = net;
  const out: { [pod: string]: number } = {};
  for (const workload of cluster.selected(service)) {
    for (const p of pods.oldestFirst(workload.pods)) {
      let count = 0;
      for (let s = sock.ofNs.firstOf(pods.ns[p]); s >= 0; s = sock.ofNs.next[s]) {
        const [port, protocol] = [sock.localPort[s], sock.proto[s]];
        const isTarget = service.ports.some(
          (sp) => targetOf(workload, sp) === port && sp.protocol === protocol,
        );
        if (isTarget) count += sock.received(s);
      }
      for (const sp of service.ports) {
        if (sp.protocol === PROTO_TCP) count += connectionsTo(net, pods.ns[p], targetOf(workload, sp));
      }
      out[pods.name[p]] = count;
    }
  }
  return out;
}

function connectionsTo(net: Net, ns: number, port: number): number {
  const { tcp } = net.walk.sock;
  const listener = tcp.listener(ns, 0, port);
  return listener < 0 ? 0 : tcp.connections[listener];
}
