// The configurations that nodes on Azure carry, one per row of azure.md 5.9, with the fields and values of
// the real files; the text is ours. Sources: azure-container-networking cni/*.conflist,
// azure-ipam/azilium.conflist and the generators in cns/cniconflist; Azure/AgentBaker's kubenet template.

import type { ModeName } from "../../src/cni/node.ts";

type Json = Record<string, unknown>;

export interface Conflist {
  row: string;
  /** A node on which it works. */
  mode: ModeName;
  config: Json;
  /** Code that ADD, CHECK and STATUS answer because the mode is not modelled. */
  refused?: number;
}

const portmap = { type: "portmap", capabilities: { portMappings: true }, snat: true };
const viaHost = { ipsToRouteViaHost: ["169.254.20.10"] };

function azure(main: Json, chained: Json = portmap): Json {
  return { cniVersion: "0.3.0", name: "azure", plugins: [{ type: "azure-vnet", ...main }, chained] };
}

const swift = { mode: "transparent", executionMode: "v4swift", ...viaHost };

export const CONFLISTS: readonly Conflist[] = [
  {
    row: "azure-linux.conflist",
    mode: "azure-transparent",
    config: azure({ mode: "transparent", ...viaHost, ipam: { type: "azure-vnet-ipam" } }),
  },
  {
    row: "azure-linux.conflist of 2018, mode bridge",
    mode: "azure-bridge",
    config: azure({
      mode: "bridge",
      bridge: "azure0",
      ...viaHost,
      ipam: { type: "azure-vnet-ipam" },
      networkMonitor: { name: "azure-cnms" },
    }),
  },
  {
    row: "azure-linux-swift.conflist",
    mode: "azure-overlay",
    config: azure({ ...swift, ipam: { type: "azure-cns" } }),
  },
  {
    row: "azure-linux-swift-overlay.conflist",
    mode: "azure-overlay",
    config: azure({ ...swift, ipam: { type: "azure-cns", mode: "overlay" } }),
  },
  {
    row: "azure-linux-swift-overlay-dualstack.conflist (file)",
    mode: "azure-overlay",
    config: azure({ ...swift, ipam: { type: "azure-cns", mode: "overlay" } }),
  },
  {
    row: "azure-linux-swift-overlay-dualstack.conflist (dualStackOverlay)",
    mode: "azure-overlay",
    config: azure({ mode: "transparent", ...viaHost, ipam: { type: "azure-cns", mode: "dualStackOverlay" } }),
  },
  {
    row: "cns/cniconflist v4overlay",
    mode: "azure-overlay",
    config: azure({ ...swift, ipam: { type: "azure-cns", mode: "v4overlay" } }),
  },
  {
    row: "azilium.conflist",
    mode: "azure-overlay",
    config: {
      cniVersion: "0.3.1",
      name: "cilium",
      plugins: [
        {
          type: "cilium-cni",
          ipam: { type: "azure-ipam" },
          "enable-debug": true,
          "log-file": "/var/log/cilium-cni.log",
        },
      ],
    },
  },
  {
    row: "azure-chained-cilium.conflist",
    mode: "azure-overlay",
    config: azure({ ...swift, ipam: { type: "azure-cns" } }, { type: "cilium-cni", name: "cilium" }),
  },
  {
    row: "azure-linux-multitenancy-transparent-vlan.conflist",
    mode: "azure-overlay",
    refused: 2,
    config: azure({
      mode: "transparent-vlan",
      bridge: "azure0",
      multiTenancy: true,
      infraVnetAddressSpace: "",
      podNamespaceForDualNetwork: [],
      enableExactMatchForPodName: true,
      enableSnatOnHost: true,
      ipam: { type: "azure-cns" },
      dns: { nameservers: [] },
    }),
  },
  {
    row: "kubenet",
    mode: "kubenet",
    config: {
      cniVersion: "0.3.1",
      name: "kubenet",
      plugins: [
        {
          type: "bridge",
          bridge: "cbr0",
          mtu: 1500,
          addIf: "eth0",
          isGateway: true,
          ipMasq: false,
          promiscMode: true,
          hairpinMode: false,
          ipam: {
            type: "host-local",
            ranges: [[{ subnet: "10.244.0.0/24" }]],
            routes: [{ dst: "0.0.0.0/0" }],
          },
        },
        { type: "portmap", capabilities: { portMappings: true }, externalSetMarkChain: "KUBE-MARK-MASQ" },
      ],
    },
  },
];
