// What the plugins keep about one node: how it is wired, where its pods' addresses come from, and what its
// runtime remembers. Plain data, one object per node.

import type { AzureVnetIpam } from "./ipam/azure-vnet-ipam.ts";
import type { Cns } from "./ipam/cns.ts";
import type { HostLocalRange, HostLocalStore } from "./ipam/host-local.ts";
import type { AttachmentCache } from "./spec/attachment-cache.ts";
import type { JsonObject } from "./spec/json.ts";

/** The attachment modes; the order is the number an attachment keeps. */
export const MODE_NAMES = [
  "azure-bridge",
  "azure-tunnel",
  "azure-transparent",
  "azure-overlay",
  "kubenet",
] as const;

export type ModeName = (typeof MODE_NAMES)[number];

/** Settings of the bridge plugin (kubenet), as its configuration names them. */
export interface BridgeSettings {
  bridge: string;
  isGateway: boolean;
  isDefaultGateway: boolean;
  hairpinMode: boolean;
  /** The bridge itself is promiscuous: its node is handed every frame as well. */
  promiscMode: boolean;
  /** 0: the kernel's 1500. */
  mtu: number;
}

/** Settings of azure-vnet, as its configuration names them. */
export interface AzureSettings {
  /** "" for azure and the index of the master interface. */
  bridge: string;
  disableHairpinOnHostInterface: boolean;
  /** Addresses whose traffic the bridge hands to the host's IP stack (E7). */
  ipsToRouteViaHost: number[];
}

/** Where addresses of this node come from; exactly one is set. */
export interface NodeIpam {
  azureVnet: AzureVnetIpam | null;
  cns: Cns | null;
  /** Range sets of the node's own network, for pods attached in this process. */
  hostLocal: HostLocalRange[][] | null;
}

export interface CniNode {
  name: string;
  /** The node's namespace and its NIC there. */
  ns: number;
  uplink: number;
  mode: ModeName;
  /** Name of its network: "azure" or "kubenet". */
  network: string;
  azure: AzureSettings;
  kubenet: BridgeSettings;
  ipam: NodeIpam;
  /** Bridges that were set up, by device: 1 once the pods' gateway address stands on it. */
  bridges: Map<number, number>;
  /** Node's own address and gateway, taken from the uplink when it was first needed; 0 before. */
  address: number;
  gateway: number;
  /** First attachment of the node's list, and how many there are. */
  first: number;
  count: number;
  hostLocal: HostLocalStore;
  cache: AttachmentCache;
  /** What portmap was told, by cacheKey() of the attachment. */
  portMappings: Map<string, JsonObject[]>;
}

export interface NodeSpec {
  name: string;
  ns: number;
  uplink: number;
  mode: ModeName;
  ipam: Partial<NodeIpam>;
  network?: string;
  azure?: Partial<AzureSettings>;
  kubenet?: Partial<BridgeSettings>;
}

/** The address azure-vnet's own configurations route through the host: node-local DNS. */
export const NODE_LOCAL_DNS = 0xa9fe140a | 0;

export function createNode(spec: NodeSpec): CniNode {
  const { name, ns, uplink, mode } = spec;
  return {
    name,
    ns,
    uplink,
    mode,
    network: spec.network ?? (mode === "kubenet" ? "kubenet" : "azure"),
    azure: {
      bridge: "azure0",
      disableHairpinOnHostInterface: false,
      ipsToRouteViaHost: [NODE_LOCAL_DNS],
      ...spec.azure,
    },
    kubenet: {
      bridge: "cbr0",
      isGateway: true,
      isDefaultGateway: false,
      hairpinMode: false,
      promiscMode: false,
      mtu: 1500,
      ...spec.kubenet,
    },
    ipam: { azureVnet: null, cns: null, hostLocal: null, ...spec.ipam },
    bridges: new Map(),
    address: 0,
    gateway: 0,
    first: -1,
    count: 0,
    hostLocal: new Map(),
    cache: new Map(),
    portMappings: new Map(),
  };
}
