// The steps every interface plugin takes: address first, then wiring, and the way back when something fails.
// What differs among azure-vnet, bridge and cilium-cni is in their own files.

import { formatIpv4, parseCidr, parseIpv4 } from "../../wire/address.ts";
import type { Wiring } from "../cni.ts";
import { delegate, delegateAdd, delegateDelete } from "../spec/delegate.ts";
import { CniCode, CniError } from "../spec/error.ts";
import { type CniInterface, type CniResult, emptyResult } from "../spec/result.ts";
import { attempt, joined } from "../spec/runtime.ts";
import type { PluginCall } from "./plugin-type.ts";

/** What a plugin decided about an attachment before anything is made. */
export interface Attachment {
  /** "<namespace>.<name>", or empty. */
  pod: string;
  wiring: Wiring;
  /** Code of failures that the specification does not name. */
  code: number;
  /** Gets an address in another way than by delegation (azure-vnet asks CNS itself). */
  allocate?: (p: PluginCall, row: number) => CniResult;
  /** Gives it back. */
  release?: (p: PluginCall, row: number) => void;
  /** Makes the wiring of what address management said, which may name routes. */
  refine?: (wiring: Wiring, ipam: CniResult) => Wiring;
  /** Interfaces the plugin lists before the pair. */
  above?: (p: PluginCall) => CniInterface[];
}

export interface Added {
  row: number;
  ipam: CniResult;
  interfaces: CniInterface[];
}

/** ADD: address, then interfaces. On failure neither is left. */
export function addInterface(p: PluginCall, plan: Attachment): Added {
  const { backend, call, config } = p;
  const known = backend.find(config.name, call);
  if (backend.isWired(known)) throw new CniError(plan.code, `endpoint ${call.ifname} already exists`);
  const ns = backend.openNamespace(call.netns);
  const row = backend.lease(config.name, call);
  try {
    if (backend.hasInterface(ns, call.ifname)) {
      throw new CniError(plan.code, `interface ${call.ifname} already exists in ${call.netns}`);
    }
    const ipam = plan.allocate === undefined ? delegateAdd(p.exec, call, config) : plan.allocate(p, row);
    return { row, ipam, interfaces: build(p, plan, row, ns, ipam) };
  } catch (error) {
    backend.settle(row);
    backend.closeNamespace(call.netns);
    throw error;
  }
}

/** DEL: whatever is there goes; what is missing is no error. */
export function deleteInterface(p: PluginCall, plan: Pick<Attachment, "release">): void {
  const { backend, call, config } = p;
  const row = backend.find(config.name, call);
  const errors: unknown[] = [];
  attempt(errors, () => backend.detach(row));
  attempt(errors, () => (plan.release === undefined ? delegate(p.exec, call, config) : plan.release(p, row)));
  backend.settle(backend.find(config.name, call));
  backend.closeNamespace(call.netns);
  if (errors.length > 0) throw joined(errors);
}

/** CHECK: the delegate first, then the kernel's state against what ADD made and prevResult says. */
export function checkInterface(p: PluginCall, code: number, delegated: boolean): void {
  const { backend, call, config } = p;
  if (config.prevResult === undefined) throw new CniError(CniCode.INVALID_CONFIG, "prevResult is missing");
  const row = backend.find(config.name, call);
  if (!backend.isWired(row)) {
    const msg = `container ${call.containerId} has no interface ${call.ifname} on network ${config.name}`;
    throw new CniError(CniCode.UNKNOWN_CONTAINER, msg);
  }
  if (delegated) delegate(p.exec, call, config);
  const wrong = backend.check(row, call.netns, config.prevResult);
  const { pods } = backend.cni;
  const address = formatIpv4(pods.address[row]);
  if (!config.prevResult.ips.some((ip) => ip.address.startsWith(`${address}/`))) {
    wrong.push(`prevResult does not have the container's address ${address}`);
  }
  if (wrong.length > 0) throw new CniError(code, `${call.ifname} is not as expected`, wrong.join("; "));
}

/**
 * GC: attachments of this network that are no longer valid lose their interfaces; the delegate frees
 * addresses.
 */
export function collectInterfaces(p: PluginCall, plan: Pick<Attachment, "release">): void {
  const { backend, config } = p;
  const valid = requireValid(p);
  const errors: unknown[] = [];
  for (const row of backend.stale(config.name, valid)) {
    attempt(errors, () => backend.detach(row));
    const { release } = plan;
    if (release !== undefined) attempt(errors, () => release(p, row));
  }
  if (plan.release === undefined) attempt(errors, () => delegate(p.exec, p.call, config));
  for (const row of backend.stale(config.name, valid)) backend.settle(row);
  if (errors.length > 0) throw joined(errors);
}

/** STATUS: the delegate and the node's NIC. */
export function interfaceStatus(p: PluginCall, delegated: boolean): void {
  const { backend, config } = p;
  if (delegated) delegate(p.exec, p.call, config);
  const { dev } = backend.cni.kit.k;
  const { uplink } = backend.node;
  if (dev.up[uplink] === 0) {
    const details = "pods already attached have lost their way off the node";
    throw new CniError(CniCode.LIMITED_CONNECTIVITY, `${dev.name[uplink]} is down`, details);
  }
}

/** GC without the list of what is valid would free everything: it is refused. */
export function requireValid(p: PluginCall) {
  const { validAttachments } = p.config;
  if (validAttachments !== undefined) return validAttachments;
  const msg = "invalid network configuration";
  throw new CniError(CniCode.INVALID_CONFIG, msg, "cni.dev/valid-attachments: is missing");
}

/** The result of an attachment: what address management said, with indexes, and what was made. */
export function attachmentResult(p: PluginCall, added: Added): CniResult {
  const result = emptyResult();
  result.interfaces = added.interfaces;
  const index = added.interfaces.length - 1;
  result.ips = added.ipam.ips.map((ip) => ({ ...ip, interface: index }));
  result.routes = added.ipam.routes;
  result.dns = Object.keys(p.config.dns).length > 0 ? p.config.dns : added.ipam.dns;
  return result;
}

function build(p: PluginCall, plan: Attachment, row: number, ns: number, ipam: CniResult): CniInterface[] {
  const { backend, call, config } = p;
  try {
    const first = ipam.ips.find((ip) => parseCidr(ip.address) !== undefined);
    const cidr = first === undefined ? undefined : parseCidr(first.address);
    if (first === undefined || cidr === undefined)
      throw new CniError(plan.code, "no IPv4 address was allocated");
    const gateway = first.gateway === undefined ? undefined : parseIpv4(first.gateway);
    backend.cni.note(row, cidr.address, cidr.prefix, gateway ?? (cidr.network + 1) | 0);
    const wiring = plan.refine === undefined ? plan.wiring : plan.refine(plan.wiring, ipam);
    const pair = backend.attach(row, ns, call, plan.pod, wiring);
    return plan.above === undefined ? pair : [...plan.above(p), ...pair];
  } catch (error) {
    backend.detach(row);
    if (plan.release === undefined) delegateDelete(p.exec, call, config);
    else plan.release(p, row);
    throw error;
  }
}
