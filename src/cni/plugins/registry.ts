// The plugins there are, by the names configurations use.

import { AZURE_CNS, azureVnet } from "./azure-vnet.ts";
import { bridge } from "./bridge.ts";
import { cilium } from "./cilium.ts";
import { azureIpam, azureVnetIpam, hostLocal } from "./ipam.ts";
import type { Plugin } from "./plugin-type.ts";
import { portmap } from "./portmap.ts";

export const PLUGINS: ReadonlyMap<string, Plugin> = new Map([
  ["azure-vnet", azureVnet],
  ["bridge", bridge],
  ["cilium-cni", cilium],
  ["portmap", portmap],
  ["azure-vnet-ipam", azureVnetIpam],
  ["azure-ipam", azureIpam],
  ["host-local", hostLocal],
]);

export const PLUGIN_NAMES: readonly string[] = [...PLUGINS.keys()];

/** Names that may stand in ipam.type. */
export const IPAM_NAMES: readonly string[] = ["azure-vnet-ipam", AZURE_CNS, "azure-ipam", "host-local"];
