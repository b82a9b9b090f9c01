// The IPAM plugins that interface plugins delegate to: host-local, azure-vnet-ipam and azure-ipam. Their
// allocation is in ../ipam; here is what they read and print. Mirrors containernetworking/plugins host-local
// main.go and azure-container-networking cni/ipam/ipam.go, azure-ipam/ipam.go (azure.md 5.10, 5.13).

import { formatCidr, formatIpv4 } from "../../wire/address.ts";
import { AddressState } from "../ipam/address-pool.ts";
import { AZURE_DNS } from "../ipam/azure-vnet-ipam.ts";
import { allocate, holdsAny, openNetwork, type RangeSet, release } from "../ipam/host-local.ts";
import { type HostLocalConfig, parseHostLocal } from "../ipam/host-local-config.ts";
import { CniCode, CniError } from "../spec/error.ts";
import { emptyResult } from "../spec/result.ts";
import { formatResult } from "../spec/result-version.ts";
import { requireValid } from "./interface-plugin.ts";
import type { Plugin, PluginCall } from "./plugin-type.ts";
import { requirePod } from "./pod-args.ts";
import { azureVersions, referenceVersions } from "./real-versions.ts";

export const hostLocal: Plugin = {
  versions: referenceVersions,

  add(p) {
    const parsed = parseHostLocal(p.config, p.call.args);
    const row = p.backend.lease(p.config.name, p.call);
    const result = emptyResult();
    try {
      for (const ip of allocate(open(p, parsed), row, parsed.requested)) {
        result.ips.push({ address: formatCidr(ip.address, ip.prefix), gateway: formatIpv4(ip.gateway) });
      }
    } catch (error) {
      p.backend.settle(row);
      throw error;
    }
    result.routes = parsed.routes;
    return formatResult(result, p.config.cniVersion);
  },

  del(p) {
    const sets = open(p, parseHostLocal(p.config, p.call.args));
    const row = p.backend.find(p.config.name, p.call);
    if (row < 0) return;
    release(sets, row);
    p.backend.settle(row);
  },

  check(p) {
    const sets = open(p, parseHostLocal(p.config, p.call.args));
    const row = p.backend.find(p.config.name, p.call);
    if (row >= 0 && holdsAny(sets, row)) return;
    const msg = `host-local: Failed to find address added by container ${p.call.containerId}`;
    throw new CniError(CniCode.INTERNAL, msg);
  },

  gc(p) {
    const sets = open(p, parseHostLocal(p.config, p.call.args));
    for (const row of p.backend.stale(p.config.name, requireValid(p))) {
      release(sets, row);
      p.backend.settle(row);
    }
  },

  status(p) {
    const sets = open(p, parseHostLocal(p.config, p.call.args));
    if (sets.every((set) => set.pool.free.count > 0)) return;
    throw new CniError(CniCode.NOT_AVAILABLE, "host-local: no IP addresses available in range set");
  },
};

export const azureVnetIpam: Plugin = {
  versions: azureVersions,

  add(p) {
    const { cni, node } = p.backend;
    if (node.ipam.azureVnet !== null) cni.refresh(node);
    if (isEmpty(p)) throw new CniError(CniCode.AZURE, "Failed to allocate pool: No available address pools");
    const row = p.backend.lease(p.config.name, p.call);
    if (!cni.requestAddress(node, row)) {
      p.backend.settle(row);
      throw new CniError(CniCode.AZURE, "Failed to allocate address: No available addresses");
    }
    const gateway = formatIpv4(cni.pods.gateway[row]);
    const result = emptyResult();
    result.ips.push({ address: formatCidr(cni.pods.address[row], cni.pods.prefix[row]), gateway });
    result.routes.push({ dst: "0.0.0.0/0", gw: gateway });
    result.dns.nameservers = [AZURE_DNS];
    return formatResult(result, p.config.cniVersion);
  },

  del: releaseFromNode,
  check: checkOnNode,
  gc: collectOnNode,

  status(p) {
    p.backend.cni.refresh(p.backend.node);
    nodeStatus(p);
  },
};

export const azureIpam: Plugin = {
  versions: azureVersions,

  add(p) {
    const { cni, node } = p.backend;
    requirePod(p.call.args, CniCode.AZURE);
    const row = p.backend.lease(p.config.name, p.call);
    if (!cni.requestAddress(node, row)) {
      p.backend.settle(row);
      const why =
        node.ipam.cns?.up === false ? "connection refused: localhost:10090" : "no available addresses";
      throw new CniError(CniCode.AZURE_IPAM_REQUEST, "failed to request IP address from CNS", why);
    }
    const result = emptyResult();
    result.ips.push({ address: formatCidr(cni.pods.address[row], cni.pods.prefix[row]) });
    return formatResult(result, p.config.cniVersion);
  },

  // Unlike azure-vnet it writes nothing down: the runtime shall try again.
  del(p) {
    if (p.backend.node.ipam.cns?.up === false) {
      throw new CniError(CniCode.TRY_AGAIN_LATER, "failed to release IP address from CNS");
    }
    releaseFromNode(p);
  },

  check: checkOnNode,
  gc: collectOnNode,
  status: nodeStatus,
};

function open(p: PluginCall, parsed: HostLocalConfig): RangeSet[] {
  return openNetwork(p.backend.node.hostLocal, p.config.name, parsed.sets);
}

function releaseFromNode(p: PluginCall): void {
  const { cni, node } = p.backend;
  const row = p.backend.find(p.config.name, p.call);
  if (row < 0) return;
  cni.releaseAddress(node, row);
  p.backend.settle(row);
}

function checkOnNode(p: PluginCall): void {
  const row = p.backend.find(p.config.name, p.call);
  if (row >= 0 && p.backend.cni.pods.address[row] !== 0) return;
  throw new CniError(CniCode.AZURE, `${p.config.ipamType}: container ${p.call.containerId} has no address`);
}

function collectOnNode(p: PluginCall): void {
  const { cni, node } = p.backend;
  for (const row of p.backend.stale(p.config.name, requireValid(p))) {
    cni.releaseAddress(node, row);
    p.backend.settle(row);
  }
}

function nodeStatus(p: PluginCall): void {
  const { azureVnet, cns } = p.backend.node.ipam;
  if (cns !== null && !cns.up) throw new CniError(CniCode.NOT_AVAILABLE, "azure-cns is not available");
  if (azureVnet !== null && azureVnet.pool.free.count > 0) return;
  if (cns !== null && cns.pool.count(AddressState.AVAILABLE) > 0) return;
  if (azureVnet === null && cns === null && p.backend.node.ipam.hostLocal !== null) return;
  throw new CniError(CniCode.NOT_AVAILABLE, `${p.config.ipamType}: no available addresses`);
}

function isEmpty(p: PluginCall): boolean {
  const { azureVnet, cns, hostLocal: ranges } = p.backend.node.ipam;
  if (azureVnet !== null) return azureVnet.pool.size === 0;
  return cns === null && ranges === null;
}
