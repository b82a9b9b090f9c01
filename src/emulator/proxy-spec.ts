// Options of kube-proxy, as plain data.

/** kube-proxy on every node of a cluster. */
export interface KubeProxyOptions {
  /**
   * How a new connection gets its endpoint: "round-robin" is exact, one turn after the other per Service port
   * and node, over the rules of the iptables mode; "iptables" and "nftables" draw at random as those modes
   * do; "ipvs" is the kernel's load balancer. Default "round-robin".
   */
  mode?: "round-robin" | "iptables" | "nftables" | "ipvs";
  /** Settings of mode "ipvs". */
  ipvs?: IpvsOptions;
  /** Time from an endpoint change to the rules of all nodes, ns. Default 0. */
  syncDelay?: number;
  /** In place of syncDelay: each node by itself, as kube-proxy does (K 2.6). */
  propagation?: PropagationOptions;
  /** --masquerade-all. Default false. */
  masqueradeAll?: boolean;
  /** --cluster-cidr; default the pods' range. null: no local-traffic detector. */
  clusterCidr?: string | null;
  /** The KUBE-FORWARD rule that drops INVALID. Default as the mode has it. */
  dropInvalid?: boolean;
  /** Deletes UDP conntrack entries to endpoints that are gone (K 2.8). Default true. */
  conntrackCleanup?: boolean;
  /** Policy of FORWARD. Default "accept". */
  forwardPolicy?: "accept" | "drop";
  /** --nodeport-addresses. Default every local address; in mode "nftables" only the node's own. */
  nodePortAddresses?: readonly string[];
  /** --iptables-localhost-nodeports: NodePorts answer on 127.0.0.1. Default true; not in nftables, ipvs. */
  localhostNodePorts?: boolean;
}

/** KubeProxyIPVSConfiguration. Times in ns; 0 and absent: the kernel's. */
export interface IpvsOptions {
  /** Default "rr". */
  scheduler?: "rr" | "wrr" | "lc" | "wlc" | "sed" | "nq" | "sh" | "dh";
  /** The node answers ARP only for addresses of the device asked (arp_ignore 1, arp_announce 2). */
  strictARP?: boolean;
  /** How long an established TCP connection may be idle. Default 900 s. */
  tcpTimeout?: number;
  /** The same after a FIN. Default 120 s. */
  tcpFinTimeout?: number;
  /** How long a UDP flow may be idle. Default 300 s. */
  udpTimeout?: number;
  /** KUBE-IPVS-FILTER: ports of the host do not answer behind Services. Default true, as since 1.27. */
  accessFilter?: boolean;
}

/** How a change reaches the rules of each node. Times in ns. */
export interface PropagationOptions {
  /** From the change until a node's watch has it. Default 0. */
  watchLatency?: number;
  /** Each node hears of each change up to this much later, drawn from the seed. Default 0. */
  jitter?: number;
  /** Between two writes of one node. Default 1 s. */
  minSyncPeriod?: number;
  /** Between two looks whether the rules are still there. Default 30 s. */
  syncPeriod?: number;
}
