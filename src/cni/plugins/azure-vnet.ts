// azure-vnet, the main plugin of Azure CNI. Mirrors azure-container-networking cni/network/network.go,
// invoker_cns.go and invoker_azure.go (azure.md 5.13). Its results say more than the real ones, which list
// the interface's name only: the specification wants MAC and sandbox, and routes as they are made. Absent:
// UPDATE, GET_ENDPOINT_STATE, multitenancy (transparent-vlan is answered with code 2), Windows modes, IPv6 of
// dual-stack networks.

import { formatCidr, formatIpv4, parseIpv4 } from "../../wire/address.ts";
import { AZURE_DNS } from "../ipam/azure-vnet-ipam.ts";
import { endpointId } from "../names.ts";
import type { AzureSettings, ModeName } from "../node.ts";
import { CniCode, CniError, Problems, unsupportedField } from "../spec/error.ts";
import type { PluginConfig } from "../spec/execution-config.ts";
import { at, optionalBoolean, optionalString, stringList } from "../spec/json.ts";
import { type CniResult, emptyResult } from "../spec/result.ts";
import { formatResult } from "../spec/result-version.ts";
import { describeRoutes } from "./describe.ts";
import {
  addInterface,
  attachmentResult,
  checkInterface,
  collectInterfaces,
  deleteInterface,
  interfaceStatus,
} from "./interface-plugin.ts";
import type { Plugin, PluginCall } from "./plugin-type.ts";
import { requirePod } from "./pod-args.ts";
import { azureVersions } from "./real-versions.ts";

/** azure-vnet asks CNS itself instead of executing a plugin of this name. */
export const AZURE_CNS = "azure-cns";

const OVERLAY_MODES = ["overlay", "v4overlay", "dualStackOverlay"];

export const azureVnet: Plugin = {
  versions: azureVersions,

  add(p) {
    const pod = requirePod(p.call.args, CniCode.AZURE);
    const { mode, azure } = readSettings(p.config);
    const wiring = { mode, azure, kubenet: p.backend.node.kubenet };
    const code = CniCode.AZURE;
    const added = addInterface(p, {
      pod: `${pod.namespace}.${pod.name}`,
      wiring,
      code,
      ...invoker(p.config),
    });
    const result = attachmentResult(p, added);
    result.routes = describeRoutes(p.backend.cni, added.row);
    return formatResult(result, p.config.cniVersion);
  },

  // An unknown endpoint still releases its address and succeeds; what the pod was called does not matter.
  del(p) {
    deleteInterface(p, invoker(p.config));
  },

  check(p) {
    readSettings(p.config);
    checkInterface(p, CniCode.AZURE, p.config.ipamType !== AZURE_CNS);
  },

  gc(p) {
    collectInterfaces(p, invoker(p.config));
  },

  status(p) {
    readSettings(p.config);
    if (p.config.ipamType === AZURE_CNS) cnsStatus(p);
    interfaceStatus(p, p.config.ipamType !== AZURE_CNS);
  },
};

/** The mode and its settings; code 7 with every mistake, code 2 for what is not modelled. */
function readSettings(config: PluginConfig): { mode: ModeName; azure: AzureSettings } {
  const { source, ipam } = config;
  const problems = new Problems();
  const mode = optionalString(source, "mode", "", problems) ?? "transparent";
  const bridge = optionalString(source, "bridge", "", problems) ?? "";
  const ipamMode = optionalString(ipam, "mode", "ipam", problems) ?? "";
  const disableHairpinOnHostInterface = optionalBoolean(
    source,
    "disableHairpinOnHostInterface",
    "",
    problems,
  );
  const multiTenancy = optionalBoolean(source, "multiTenancy", "", problems);
  const ipsToRouteViaHost: number[] = [];
  for (const [i, text] of stringList(source, "ipsToRouteViaHost", "", problems).entries()) {
    const address = parseIpv4(text);
    if (address === undefined) problems.add(at("ipsToRouteViaHost", i), `"${text}" is no IPv4 address`);
    else ipsToRouteViaHost.push(address);
  }
  if (config.ipamType === "") problems.add("ipam.type", "is missing");
  problems.refuse("azure-vnet configuration");
  if (multiTenancy) throw unsupportedField("multiTenancy", true);
  if (source.executionMode === "baremetal") throw unsupportedField("executionMode", "baremetal");
  const azure = { bridge, disableHairpinOnHostInterface, ipsToRouteViaHost };
  return { mode: modeOf(mode, OVERLAY_MODES.includes(ipamMode)), azure };
}

function modeOf(mode: string, overlay: boolean): ModeName {
  if (mode === "transparent") return overlay ? "azure-overlay" : "azure-transparent";
  if (mode === "bridge") return "azure-bridge";
  if (mode === "tunnel") return "azure-tunnel";
  throw unsupportedField("mode", mode);
}

// The address comes from CNS directly, or from the plugin ipam.type names.
function invoker(config: PluginConfig) {
  return config.ipamType === AZURE_CNS ? { allocate: requestIp, release: releaseIp } : {};
}

function requestIp(p: PluginCall, row: number): CniResult {
  const { cni, node } = p.backend;
  const { cns } = node.ipam;
  if (cns !== null && !cns.up) {
    throw new CniError(
      CniCode.AZURE,
      "Failed to get IP address from CNS",
      "connection refused: localhost:10090",
    );
  }
  if (!cni.requestAddress(node, row)) {
    throw new CniError(CniCode.AZURE, "Failed to get IP address from CNS", "no available addresses");
  }
  const result = emptyResult();
  const { pods } = cni;
  const gateway = formatIpv4(pods.gateway[row]);
  result.ips.push({ address: formatCidr(pods.address[row], pods.prefix[row]), gateway });
  result.dns.nameservers = [AZURE_DNS];
  return result;
}

// With CNS down the id is written down and DEL succeeds; the row stays until CNS has taken the address back.
function releaseIp(p: PluginCall, row: number): void {
  const { cni, node } = p.backend;
  const { containerId, ifname } = p.call.containerId === "" ? names(p, row) : p.call;
  if (row >= 0) cni.releaseAddress(node, row);
  else if (node.ipam.cns !== null && !node.ipam.cns.up) {
    node.ipam.cns.releaseOrDefer(-1, containerId, endpointId(containerId, ifname));
  }
}

function names(p: PluginCall, row: number): { containerId: string; ifname: string } {
  const { pods } = p.backend.cni;
  return { containerId: pods.containerIdOf(row), ifname: pods.ifname[row] };
}

function cnsStatus(p: PluginCall): void {
  const { cns } = p.backend.node.ipam;
  if (cns === null || cns.up) return;
  throw new CniError(
    CniCode.NOT_AVAILABLE,
    "azure-cns is not available",
    "connection refused: localhost:10090",
  );
}
