// Names that a plugin or a runtime makes up. Mirrors azure-container-networking network/endpoint_linux.go
// (azure.md 5.7) and containernetworking/plugins pkg/ip RandomVethName(). The container's end of a veth pair
// has a name of its own for a moment (azure-vnet: the host's name and "2"); it is made under its final name
// here.

import { hash4 } from "../core/hash-index.ts";
import { hex32 } from "./hex.ts";
import { sha1Prefix } from "./sha1.ts";

/** generateVethName: `azv` and 11 digits, 14 characters. */
export function azureVethName(key: string): string {
  return `azv${sha1Prefix(key, 11)}`;
}

/** Transparent mode: the same pod gets the same name every time. */
export function transparentVethKey(podNamespace: string, podName: string): string {
  return `${podNamespace}.${podName}`;
}

/** Bridge and tunnel mode. */
export function bridgeVethKey(network: string, containerId: string, ifname: string): string {
  return network + containerId + ifname;
}

/** ConstructEndpointID: container ids of eight characters or fewer have none. */
export function endpointId(containerId: string, ifname: string): string {
  return containerId.length > 8 ? `${containerId.slice(0, 8)}-${ifname}` : "";
}

/** "veth" and eight digits; random in the plugin, the n-th of a seed here. */
export function referenceVethName(seed: number, n: number): string {
  return `veth${hex32(hash4(seed, n, 0x76657468, 0))}`;
}

/** 64 digits as containerd makes them; the n-th of a seed. */
export function containerIdOf(seed: number, n: number): string {
  let out = "";
  for (let i = 0; i < 8; i++) out += hex32(hash4(seed, n, i, 0x636f6e74));
  return out;
}
