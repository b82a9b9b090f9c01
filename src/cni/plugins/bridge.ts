// The reference plugin "bridge", as kubenet uses it. Mirrors containernetworking/plugins
// plugins/main/bridge/bridge.go. Absent: VLANs, ipMasq, macspoofchk and networks without address management
// (each refused by name), IPv6.

import { parseCidr, parseIpv4 } from "../../wire/address.ts";
import type { Wiring } from "../cni.ts";
import type { PodRoute } from "../modes/kubenet.ts";
import type { BridgeSettings } from "../node.ts";
import { CniCode, Problems, unsupportedField } from "../spec/error.ts";
import type { PluginConfig } from "../spec/execution-config.ts";
import { optionalBoolean, optionalInteger, optionalString } from "../spec/json.ts";
import type { CniResult } from "../spec/result.ts";
import { formatResult } from "../spec/result-version.ts";
import { describeDevice } from "./describe.ts";
import {
  addInterface,
  attachmentResult,
  checkInterface,
  collectInterfaces,
  deleteInterface,
  interfaceStatus,
} from "./interface-plugin.ts";
import type { Plugin } from "./plugin-type.ts";
import { findPod } from "./pod-args.ts";
import { referenceVersions } from "./real-versions.ts";

export const bridge: Plugin = {
  versions: referenceVersions,

  add(p) {
    const kubenet = readSettings(p.config);
    const wiring: Wiring = { mode: "kubenet", azure: p.backend.node.azure, kubenet };
    const pod = findPod(p.call.args);
    const added = addInterface(p, {
      pod: pod === undefined ? "" : `${pod.namespace}.${pod.name}`,
      wiring,
      code: CniCode.INTERNAL,
      refine: (w, ipam) => ({ ...w, routes: readRoutes(ipam) }),
      above: ({ backend }) => {
        const { kit } = backend.cni;
        return [describeDevice(backend.cni, kit.k.findDevice(backend.node.ns, kubenet.bridge))];
      },
    });
    const result = attachmentResult(p, added);
    if (kubenet.isDefaultGateway && !result.routes.some((route) => route.dst === "0.0.0.0/0")) {
      const gw = result.ips[0].gateway;
      result.routes = [...result.routes, gw === undefined ? { dst: "0.0.0.0/0" } : { dst: "0.0.0.0/0", gw }];
    }
    return formatResult(result, p.config.cniVersion);
  },

  del(p) {
    deleteInterface(p, {});
  },

  check(p) {
    readSettings(p.config);
    checkInterface(p, CniCode.INTERNAL, true);
  },

  gc(p) {
    collectInterfaces(p, {});
  },

  status(p) {
    readSettings(p.config);
    interfaceStatus(p, true);
  },
};

function readSettings(config: PluginConfig): BridgeSettings {
  const { source } = config;
  const problems = new Problems();
  const flag = (key: string): boolean => optionalBoolean(source, key, "", problems);
  const settings: BridgeSettings = {
    bridge: optionalString(source, "bridge", "", problems) ?? "cni0",
    isGateway: flag("isGateway"),
    isDefaultGateway: flag("isDefaultGateway"),
    hairpinMode: flag("hairpinMode"),
    promiscMode: flag("promiscMode"),
    mtu: optionalInteger(source, "mtu", "", problems) ?? 0,
  };
  if (settings.hairpinMode && settings.promiscMode) {
    problems.add("hairpinMode", "cannot be set together with promiscMode");
  }
  if (config.ipamType === "")
    problems.add("ipam.type", "is missing: interfaces without address are not modelled");
  problems.refuse("bridge configuration");
  for (const key of ["ipMasq", "macspoofchk"]) if (flag(key)) throw unsupportedField(key, source[key]);
  for (const key of ["vlan", "vlanTrunk"]) if (source[key]) throw unsupportedField(key, source[key]);
  return settings;
}

function readRoutes(ipam: CniResult): PodRoute[] {
  const out: PodRoute[] = [];
  for (const route of ipam.routes) {
    const dst = parseCidr(route.dst);
    if (dst === undefined) continue;
    const gateway = route.gw === undefined ? undefined : parseIpv4(route.gw);
    out.push({ dst: dst.network, length: dst.prefix, gateway: gateway ?? 0 });
  }
  return out;
}
