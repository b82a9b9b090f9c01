// Constants of the Azure fabric, each with its row of the fact sheet (azure.md). Nothing here is state.

/** 12:34:56:78:9a:bc answers every ARP request (V11) and is the source of delivered frames (V17). */
export const VIRTUAL_MAC_HI = 0x1234;
export const VIRTUAL_MAC_LO = 0x5678_9abc;

/** 168.63.129.16: DHCP, DNS, VM agent, probes (V60). */
export const WIRE_SERVER = 0xa83f8110 | 0;
/** 169.254.169.254: instance metadata (V62). */
export const INSTANCE_METADATA = 0xa9fea9fe | 0;

/**
 * Where the platform listens at 168.63.129.16 (V60) and at 169.254.169.254 (V62): DNS, the VM agent,
 * metadata.
 */
export const PLATFORM_DNS_PORT = 53;
export const PLATFORM_AGENT_PORT = 80;
export const PLATFORM_HEALTH_PORT = 32526;
export const METADATA_PORT = 80;
/** Idle time after which a connection with the platform or over Private Link is forgotten (P45), ns. */
export const LINK_TIMEOUT = 300_000_000_000;

/** UDP source port that belongs to the host (V32). */
export const HOST_RESERVED_PORT = 65330;
export const DHCP_SERVER_PORT = 67;
export const DHCP_CLIENT_PORT = 68;

/** Idle time after which a flow record ends where the VNet says nothing (N16; choice), ns. */
export const DEFAULT_FLOW_TIMEOUT = 240_000_000_000;
/** What a VNet may say (N16), minutes. */
export const FLOW_TIMEOUT_MIN = 4;
export const FLOW_TIMEOUT_MAX = 30;

/** Prefixes a BGP session of a gateway takes (P25, P32). */
export const GATEWAY_PREFIXES_MAX = 4_000;
/** Longest datagram a VPN tunnel carries (V48, P23), and the MSS on-premises devices clamp to. */
export const TUNNEL_MTU = 1400;
export const TUNNEL_MSS = 1350;
/** Name that the subnet of gateways must have (P20). */
export const GATEWAY_SUBNET = "GatewaySubnet";

/** V40. */
export const DEFAULT_MTU = 1500;

/** Low addresses of a subnet nobody may have: network, gateway, two of DNS; the fifth is the last (V3). */
export const RESERVED_LOW = 4;
/** Offset of the default gateway in its subnet (V3). */
export const GATEWAY_OFFSET = 1;

/** Prefix lengths a subnet may have (V4; 9.1 reads the disagreement on the largest as /2). */
export const SUBNET_LENGTH_MIN = 2;
export const SUBNET_LENGTH_MAX = 29;

/** What a route does with a packet (2.1, 2.2, R1). */
export const NextHop = {
  NONE: 0,
  VNET_LOCAL: 1,
  INTERNET: 2,
  VIRTUAL_APPLIANCE: 3,
  OVERLAY: 4,
  VNET_PEERING: 5,
  VIRTUAL_NETWORK_GATEWAY: 6,
  INTERFACE_ENDPOINT: 7,
  SERVICE_ENDPOINT: 8,
} as const;
export type NextHop = (typeof NextHop)[keyof typeof NextHop];
/** As Azure's next hop tool spells them (section 7); OVERLAY has no public name. */
export const NEXT_HOP_NAMES: readonly string[] = [
  "None",
  "VnetLocal",
  "Internet",
  "VirtualAppliance",
  "Overlay",
  "VnetPeering",
  "VirtualNetworkGateway",
  "InterfaceEndpoint",
  "VirtualNetworkServiceEndpoint",
];

/** Where a route comes from, in order of preference for equal prefixes (2.4). */
export const RouteSource = { USER: 0, BGP: 1, SYSTEM: 2 } as const;
export type RouteSource = (typeof RouteSource)[keyof typeof RouteSource];

/** Limits of a subscription (V81-V86). A network may be described with others. */
export interface Limits {
  vnets: number;
  subnetsPerVnet: number;
  addressesPerVnet: number;
  nics: number;
  addressesPerNic: number;
  routeTables: number;
  routesPerTable: number;
  peeringsPerVnet: number;
  securityGroups: number;
  rulesPerGroup: number;
  addressesPerRuleSide: number;
  applicationGroups: number;
  applicationGroupsPerNic: number;
  applicationGroupsPerRuleSide: number;
  /** Flow records of one NIC (V86). */
  flowsPerNic: number;
}

export const AZURE_LIMITS: Limits = {
  vnets: 1_000,
  subnetsPerVnet: 3_000,
  addressesPerVnet: 65_536,
  nics: 65_536,
  addressesPerNic: 256,
  routeTables: 200,
  routesPerTable: 400,
  peeringsPerVnet: 500,
  securityGroups: 5_000,
  rulesPerGroup: 1_000,
  addressesPerRuleSide: 4_000,
  applicationGroups: 3_000,
  applicationGroupsPerNic: 20,
  applicationGroupsPerRuleSide: 10,
  flowsPerNic: 500_000,
};

/** Choices the sources leave open; docs/fidelity.md says why each default is what it is. */
export interface FabricSettings {
  /** Source MAC of a delivered frame: the virtual MAC (V17) or the sending NIC's. */
  sourceMac: "virtual" | "sender";
  /** Source MAC is not the NIC's (V57): dropped (C8: such an outage), or stamped right (V17). */
  spoofedMac: "drop" | "stamp";
  /** Fragmented datagrams the fabric follows at one time (V44); the oldest makes room. */
  fragmentFlows: number;
  /** How long it follows one, ns. */
  fragmentTimeout: number;
}

export const DEFAULT_SETTINGS: FabricSettings = {
  sourceMac: "virtual",
  spoofedMac: "drop",
  fragmentFlows: 4_096,
  fragmentTimeout: 30_000_000_000,
};

/** Prefixes that can never be in a VNet (V1): network, length. */
export const FORBIDDEN_RANGES: readonly (readonly [number, number])[] = [
  [0xe0000000 | 0, 4],
  [0xffffffff | 0, 32],
  [0x7f000000, 8],
  [0xa9fe0000 | 0, 16],
  [WIRE_SERVER, 32],
];

/** System routes of every subnet besides the VNet's own prefixes (2.1): network, length, next hop. */
export const SYSTEM_ROUTES: readonly (readonly [number, number, NextHop])[] = [
  [0, 0, NextHop.INTERNET],
  [0x0a000000, 8, NextHop.NONE],
  [0xac100000 | 0, 12, NextHop.NONE],
  [0xc0a80000 | 0, 16, NextHop.NONE],
  [0x64400000, 10, NextHop.NONE],
];

/** A source no NIC may use, whatever its flag: unspecified, loopback, link-local, group, platform. */
export function neverASource(a: number): boolean {
  const top = a >>> 24;
  return top === 0 || top === 127 || top >= 224 || a >>> 16 === 0xa9fe || a === WIRE_SERVER;
}
