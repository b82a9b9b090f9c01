// The public API of vnetem: describe a topology, build it, run it, look at it.

export { AttachError } from "./attach/attach-error.ts";
export { type CniRequest, type CniResponse, CniServer } from "./attach/cni-server.ts";
export { type Attachment, LiveNet, type WireCounters } from "./attach/live-net.ts";
export type { NetworkNamespace } from "./attach/netns.ts";
export {
  ClusterBuilder,
  defineTopology,
  openSnapshot,
  SiteBuilder,
  type SubnetRef,
  Topology,
  TopologyBuilder,
  VnetBuilder,
} from "./emulator/define.ts";
export type { ServiceDeliveries } from "./emulator/deliveries.ts";
export type {
  ConnectivityHop,
  ConnectivityInformation,
  ConnectivityIssue,
  ConnectOptions,
  Diagnose,
  IpFlowAnswer,
  IpFlowQuestion,
  MatrixCell,
  NextHopResult,
} from "./emulator/diagnose.ts";
export { DnsLookup, NameLookup, type ResolveOptions } from "./emulator/dns-lookup.ts";
export type { EndpointSlice, SliceEndpoint } from "./emulator/endpoint-slices.ts";
export { ExpectationError, type Problem, SnapshotError, TopologyError } from "./emulator/errors.ts";
export { expect } from "./emulator/expect.ts";
export { Datagram, Impairment, Ping, Traffic, type TrafficReport } from "./emulator/handles.ts";
export { type ConnectorOptions, HostNet } from "./emulator/host-net.ts";
export { UnknownNameError } from "./emulator/hosts.ts";
export { type Imported, importAzure } from "./emulator/import-azure.ts";
export { Kubectl, type KubectlOptions } from "./emulator/kubectl.ts";
export { Live, type LiveApp, type LiveFrame, type LiveService } from "./emulator/live.ts";
export type { AppliedObject, ApplyReport } from "./emulator/manifest/apply.ts";
export { type Counters, Net, type PodInfo } from "./emulator/net.ts";
export type { LookupError, SocketError } from "./emulator/node-error.ts";
export type { LookupAddress, LookupCallback, LookupOptions } from "./emulator/node-names.ts";
export { type NodeListenOptions, NodeServer } from "./emulator/node-server.ts";
export { type NodeConnectOptions, NodeSocket, type NodeSocketOptions } from "./emulator/node-socket.ts";
export type { PropagationInfo } from "./emulator/propagation-info.ts";
export type { ServiceTry } from "./emulator/rolled-out.ts";
export type { Received } from "./emulator/script.ts";
export type { EndpointInfo, ServiceInfo, ServicePortInfo } from "./emulator/service-info.ts";
export type {
  ClusterOptions,
  CniMode,
  ConnectionOptions,
  DeploymentOptions,
  DnsRecordSet,
  DnsZoneOptions,
  EndpointState,
  FabricOptions,
  FrontendSpec,
  HostOptions,
  InboundNatRuleSpec,
  IpvsOptions,
  KubeProxyOptions,
  LoadBalancerSpec,
  NatGatewaySpec,
  NodeOptions,
  OutboundRuleSpec,
  PeeringOptions,
  PodOptions,
  PrivateDnsZoneOptions,
  PrivateEndpointOptions,
  PrivateLinkServiceOptions,
  ProbeSpec,
  PropagationOptions,
  Protocol,
  PublicAddressSpec,
  RouteOptions,
  RouteTableOptions,
  RuleSpec,
  SecurityRuleSpec,
  ServiceOptions,
  ServicePortOptions,
  SiteOptions,
  SubnetOptions,
  TopologyOptions,
  VmOptions,
  VnetOptions,
} from "./emulator/spec.ts";
export { HostTcp, TcpConnection, TcpServer } from "./emulator/tcp-handles.ts";
export type { TcpListenOptions, TcpSeen, TcpSocketOptions } from "./emulator/tcp-script.ts";
export { type PingOptions, Timeline, type UdpOptions } from "./emulator/timeline.ts";
export { topologyFromJson } from "./emulator/topology-json.ts";
export type { TrafficOptions } from "./emulator/traffic.ts";
export { formatTime, gbps, kbps, mbps, minutes, ms, ns, sec, us } from "./emulator/units.ts";
export type { DropCount } from "./observe/counters.ts";
export type { EffectiveGroup, EffectiveRouteEntry, EffectiveRule } from "./observe/effective.ts";
export type { Explanation } from "./observe/explain.ts";
export type { FlowLogFlow, FlowLogRecord } from "./observe/flow-logs.ts";
