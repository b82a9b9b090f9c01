// The settings of a random node by name, for the coverage.

import type { NodeSpec } from "../case.ts";

export interface Knobs {
  /** Those that decide a frame's path: each verdict is counted against them. */
  main: string[];
  more: string[];
}

export function knobsOf(node: NodeSpec): Knobs {
  const { proxy } = node;
  const bridged = node.sysctls?.["net.bridge.bridge-nf-call-iptables"] === 1;
  const main: string[] = [
    node.attachment,
    proxy === undefined ? "no-proxy" : proxy.mode,
    bridged ? "bridge-nf" : "no-bridge-nf",
    hasMasquerade(node) ? "masquerade" : "no-masquerade",
    proxy?.mode !== "iptables" || proxy.dropInvalid === false ? "pass-invalid" : "drop-invalid",
  ];
  return { main, more: [...countKnobs(node), ...flagKnobs(node), ...sysctlKnobs(node)] };
}

function hasMasquerade(node: NodeSpec): boolean {
  const { proxy } = node;
  return proxy?.masqueradeAll === true || proxy?.nonMasqueradeCidrs !== undefined;
}

function countKnobs(node: NodeSpec): string[] {
  const services = node.proxy?.services ?? [];
  const endpoints = services.map((s) => `service with ${s.endpoints.length} endpoints`);
  return [`${node.pods.length} pods`, `${services.length} services`, ...new Set(endpoints)];
}

function flagKnobs(node: NodeSpec): string[] {
  const { proxy } = node;
  const knobs = [`mtu ${node.nic.mtu ?? 1500}`];
  if (node.nic.gateway === undefined) knobs.push("no default route");
  if (node.pods.some((p) => p.mtu !== undefined && p.mtu !== node.nic.mtu)) knobs.push("pods of other mtu");
  for (const flag of ["hairpin", "isolated"] as const) {
    if (node.pods.some((p) => p.port?.[flag] === true)) knobs.push(flag);
  }
  if (proxy?.forwardPolicy === "DROP") knobs.push("forward policy drop");
  if (proxy?.services.some((s) => s.internalTrafficPolicy === "Local") === true) knobs.push("policy local");
  return knobs;
}

function sysctlKnobs(node: NodeSpec): string[] {
  const own = Object.entries(node.sysctls ?? {}).map(([k, v]) => `${k.split(".").at(-1)}=${v}`);
  const nodes = Object.entries(node.deviceSysctls ?? {}).filter(([device]) => !device.startsWith("azv"));
  const devices = nodes.flatMap(([, set]) => Object.entries(set)).filter(([, v]) => v !== 0);
  return [...own, ...new Set(devices.map(([k, v]) => `${k}=${v}`))];
}
