// What a cluster is described by: workloads with labels and ports, and nodes.

import type { ServerPorts } from "../socket/servers.ts";
import type { HostPort } from "./host-ports.ts";
import type { NamedPort } from "./network-policies.ts";

export type DnsPolicy = "ClusterFirst" | "ClusterFirstWithHostNet" | "Default" | "None";

/** What a pod's resolv.conf has beside what its policy gives. */
export interface DnsConfig {
  nameservers?: readonly string[];
  searches?: readonly string[];
  /** Default 5, and 1 where the cluster's DNS is not asked. */
  ndots?: number;
  /** ns. Default 5 s. */
  timeout?: number;
  /** Default 2. */
  attempts?: number;
}

export interface Workload {
  name: string;
  numbered: boolean;
  /** The Deployment, StatefulSet … a controller makes its pods for; absent when there is none. */
  app?: string;
  namespace: string;
  labels: Readonly<Record<string, string>>;
  /** Container ports that have a name, for NetworkPolicies. */
  namedPorts: readonly NamedPort[];
  /** Number of its pods' identity in NetworkPolicies. */
  identity: number;
  /** What its pods' own programs listen on. */
  ports: ServerPorts;
  /** Its pods have the network of their node. */
  hostNetwork: boolean;
  /** Where its pods ask for names; default ClusterFirst. */
  dnsPolicy?: DnsPolicy;
  dnsConfig?: DnsConfig;
  /** Its pods' names in the headless Service `subdomain`; default hostname the pod's name. */
  hostname?: string;
  subdomain?: string;
  /** Ports of the node its pods take: hostPorts, or what host-network pods listen on. */
  hostPorts: readonly HostPort[];
  /** Counts changes of its template: rollouts. */
  revision: number;
  /** Whether its pods are ready as soon as they run. */
  ready: boolean;
  /** Node its pods must run on; -1 for any. */
  node: number;
  /** Pod rows in the order they were added. */
  pods: number[];
  /** Number of the next pod's name. */
  serial: number;
  /** Service ports its pods are endpoints of, and the port each answers on. */
  endpointOf: { servicePort: number; targetPort: number }[];
}

export interface ClusterNode {
  name: string;
  ns: number;
  /** The NIC's device and its row in the fabric. */
  eth0: number;
  nic: number;
  /** Row of Cni.nodes. */
  cni: number;
  maxPods: number;
  pods: number;
  /** Number of its zone; -1: none. */
  zone: number;
}
