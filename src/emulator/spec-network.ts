// The Azure network of a topology as plain data: options of VNets, subnets, peerings, connections, DNS
// zones, endpoints and NICs. Part of spec.ts.

export interface VnetOptions {
  /** Prefixes of the address space, such as ["10.224.0.0/12"]. */
  addressSpace: readonly string[];
  /** Time between two of its NICs, ns. Default 0: at once. */
  delay?: number;
  /** How long a flow record lives that nothing uses (azure.md N16): 4 to 30 minutes. Default 4. */
  flowTimeoutInMinutes?: number;
  /**
   * VNet flow logs (azure.md 7.1), read with net.diagnose.flowLogs(). Its NICs' packets walk. Default false.
   */
  flowLogs?: boolean;
}

/** One VNet's side of a peering (azure.md 4.1). */
export interface PeeringOptions {
  /** Default "to-<name of the other VNet>". */
  name?: string;
  /** The tag VirtualNetwork of this VNet's security rules covers the peer. Default true. */
  allowVirtualNetworkAccess?: boolean;
  /** This VNet takes packets from the peer that did not originate there. Default false. */
  allowForwardedTraffic?: boolean;
  /** The peer may use this VNet's gateways. Default false. */
  allowGatewayTransit?: boolean;
  /** This VNet uses the gateways of the peer, and has none itself. Default false. */
  useRemoteGateways?: boolean;
}

export interface RouteTableOptions {
  /** Routes of gateways stay out of the table's subnets (azure.md R6). Default false. */
  disableBgpRoutePropagation?: boolean;
}

/** What a name in a DNS zone stands for. */
export interface DnsRecordSet {
  A?: readonly string[];
  /** Another name, alone at its own. */
  CNAME?: string;
  TXT?: readonly string[];
  /** Seconds. Default 3600. */
  ttl?: number;
}

export interface DnsZoneOptions {
  /** Records by name in the zone: "www", "@" for the zone itself, "*" for what has none. */
  records?: Readonly<Record<string, DnsRecordSet>>;
}

export interface PrivateDnsZoneOptions extends DnsZoneOptions {
  /** VNets whose hosts see the zone. */
  links: readonly { readonly name: string }[];
  /** Those of them whose VMs and nodes are registered in it under their names. */
  registration?: readonly { readonly name: string }[];
}

/** A private endpoint: an address in a subnet that stands for something outside the VNet (azure.md 4.4). */
export interface PrivateEndpointOptions {
  subnet: { readonly path: string };
  /** Name of a VM outside all VNets (a site, the internet), or of a Private Link service. */
  target: string;
  /** Default the lowest free one. */
  address?: string;
  /** Of its connection: only "Approved" carries traffic. Default "Approved". */
  state?: EndpointState;
  /** Puts its address into a private DNS zone. */
  dns?: { zone: string; name: string };
}

export type EndpointState = "Pending" | "Approved" | "Rejected" | "Disconnected";

/** A Private Link service: what private endpoints of other VNets connect to (azure.md P43, P44). */
export interface PrivateLinkServiceOptions {
  /** Subnet of its NAT addresses. */
  subnet: { readonly path: string };
  /** Address in the same VNet to which connections go. */
  target: string;
  /** NAT addresses: how many, 1 to 8, or which. Default 1. */
  natIps?: number | readonly string[];
  /** A PROXY v2 header with the client's address and the LinkID before each TCP stream. Default false. */
  proxyProtocol?: boolean;
}

export interface SiteOptions {
  addressSpace: readonly string[];
  /** Time between two of its hosts, ns. Default 0: at once. */
  delay?: number;
}

/** A connection of an on-premises site to a gateway: a VPN tunnel or an ExpressRoute circuit. */
export interface ConnectionOptions {
  /** The site, as returned by t.site(). */
  site: { readonly name: string };
  /** Prefixes that the site advertises by BGP. Default its address space. */
  advertise?: readonly string[];
  /** Time between gateway and site, ns. Default 0. */
  delay?: number;
  /** VPN: MSS to which the on-premises device clamps SYNs (azure.md P23), or null. Default 1350. */
  clampMss?: number | null;
}

export interface SubnetOptions {
  /** Name of a route table (see t.routeTable). */
  routeTable?: string;
  /** Name of a network security group (see t.nsg). */
  nsg?: string;
  /** What applies to private endpoints in the subnet (azure.md R12). Default "Disabled". */
  privateEndpointNetworkPolicies?:
    | "Disabled"
    | "NetworkSecurityGroupEnabled"
    | "RouteTableEnabled"
    | "Enabled";
  /** Services reached with the private address as source (azure.md P47), such as "Microsoft.Storage". */
  serviceEndpoints?: readonly string[];
  /** Name of a NAT gateway (see t.natGateway). */
  natGateway?: string;
  /** False: a private subnet, without default outbound access (azure.md P76). Default true. */
  defaultOutboundAccess?: boolean;
}

/** What a NIC of a VM or node is under. */
export interface NicOptions {
  /** Name of the NIC's own network security group. */
  nsg?: string;
  /** Names of application security groups it is a member of, with all its addresses (azure.md N19). */
  asgs?: readonly string[];
  /** Name of its instance public IP (see t.publicIp). */
  publicIp?: string;
}

export interface RouteOptions {
  prefix: string;
  /** VirtualAppliance, VirtualNetworkGateway, VnetLocal, Internet or None. */
  nextHop: string;
  /** Address of the virtual appliance. */
  address?: string;
}
