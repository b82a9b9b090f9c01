// cilium-cni, so that the configurations of "Azure CNI powered by Cilium" are accepted. Its eBPF data plane
// is not modelled: as the main plugin it wires pods as azure-vnet's transparent mode does, after another
// plugin it changes nothing. Facts: azure-container-networking azure-ipam/azilium.conflist,
// cni/azure-chained-cilium.conflist (azure.md 5.9).

import { CniCode, CniError } from "../spec/error.ts";
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
import { referenceVersions } from "./real-versions.ts";

export const cilium: Plugin = {
  versions: referenceVersions,

  add(p) {
    const { config, backend } = p;
    if (config.ipamType === "") {
      if (config.prevResult === undefined) {
        throw new CniError(
          CniCode.INVALID_CONFIG,
          "invalid cilium-cni configuration",
          "ipam.type: is missing",
        );
      }
      return formatResult(config.prevResult, config.cniVersion);
    }
    const pod = requirePod(p.call.args, CniCode.INTERNAL);
    const { azure, kubenet } = backend.node;
    const added = addInterface(p, {
      pod: `${pod.namespace}.${pod.name}`,
      wiring: { mode: "azure-transparent", azure, kubenet },
      code: CniCode.INTERNAL,
    });
    const result = attachmentResult(p, added);
    result.routes = describeRoutes(backend.cni, added.row);
    return formatResult(result, config.cniVersion);
  },

  del(p) {
    if (!isChained(p)) deleteInterface(p, {});
  },

  check(p) {
    if (!isChained(p)) checkInterface(p, CniCode.INTERNAL, true);
  },

  gc(p) {
    if (!isChained(p)) collectInterfaces(p, {});
  },

  status(p) {
    if (!isChained(p)) interfaceStatus(p, true);
  },
};

function isChained(p: PluginCall): boolean {
  return p.config.ipamType === "";
}
