// EndpointSlices and Endpoints out of manifests and dumps: the rules of pkg/apis/discovery/validation. Those
// of the slice controller are made here from the selectors by themselves; a dump that says otherwise is told
// so. All others count, as kube-proxy takes every slice with the label of a Service (K 1.1). An endpoint
// that is a pod of the dump has the address which that pod has here.

import type { ControlPlane } from "../../cluster/control/control-plane.ts";
import type { Slice, SliceEndpoint } from "../../cluster/slices.ts";
import { EndpointCondition } from "../../netfilter/endpoint-lists.ts";
import { parseIpv4 } from "../../wire/address.ts";
import { zonesOf } from "../build-cluster.ts";
import { PROTOCOLS } from "../hosts.ts";
import type { Net } from "../net.ts";
import type { EndpointSliceManifest, EndpointsManifest, SliceEndpointManifest } from "./kinds.ts";
import { checkLabels, checkLabelValue, checkName, invalid, required, type Say, supported } from "./rules.ts";
import { podRowOf, tellDifferences } from "./slice-differences.ts";
import type { Apply, ObjectContext } from "./workloads.ts";

const SERVICE = "kubernetes.io/service-name";
const MANAGED_BY = "endpointslice.kubernetes.io/managed-by";
const CONTROLLER = "endpointslice-controller.k8s.io";
const HEADLESS = "service.kubernetes.io/headless";
const MOST_ENDPOINTS = 1000;
const MOST_ADDRESSES = 100;
const MOST_HINTS = 8;
/** A zone that no node is in, a node that there is not: past all numbers of such. */
const NOBODY = 0xffff;

/** Null: skipped, or wrong. */
export function endpointSlice(
  net: Net,
  row: number,
  m: EndpointSliceManifest,
  c: ObjectContext,
): Apply | null {
  checkName(c.say, "metadata.name", m.metadata?.name, "subdomain");
  check(m, c.say);
  if (m.addressType !== "IPv4") {
    c.skip("addressType", `${m.addressType ?? ""} is not modelled: the slice is left out`);
    return null;
  }
  const labels = m.metadata?.labels ?? {};
  const service = labels[SERVICE] ?? "";
  if (service === "") {
    c.skip("metadata.labels", `has no ${SERVICE}: it belongs to no Service`);
    return null;
  }
  // The API server's own slice, in every dump; here it has one, too (api-server.ts).
  if (service === "kubernetes" && c.namespace === "default") return () => {};
  const endpoints = (m.endpoints ?? []).map((e, i) => endpointOf(net, row, e, `endpoints[${i}]`, c));
  const ports = (m.ports ?? []).flatMap(({ name, port, protocol = "TCP" }, i) => {
    const number = PROTOCOLS[protocol.toLowerCase()] ?? 0;
    if (port !== undefined && port > 0 && port <= 65_535) return { name: name ?? "", port, protocol: number };
    c.skip(`ports[${i}]`, "has no port number: kube-proxy ignores it");
    return [];
  });
  const { namespace, name } = c;
  const proxied = labels[HEADLESS] === undefined;
  const slice: Slice = { namespace, name, service, proxied, ports, endpoints };
  return (cp) => {
    const found = cp.cluster.services.find((s) => s.name === service && s.namespace === namespace);
    const isDerived = labels[MANAGED_BY] === CONTROLLER;
    if (isDerived && found === undefined) {
      c.skip(`metadata.labels[${SERVICE}]`, `names no Service: there is no ${namespace}/${service}`);
    } else if (isDerived && found !== undefined && Object.keys(found.selector).length > 0) {
      tellDifferences(cp, found, slice, c.skip);
    } else applySlice(cp, slice);
  };
}

/** Endpoints, the older kind: the mirroring controller makes slices of them (K 6, EndpointSliceMirroring). */
export function endpoints(net: Net, row: number, m: EndpointsManifest, c: ObjectContext): Apply | null {
  checkName(c.say, "metadata.name", m.metadata?.name, "subdomain");
  if (m.metadata?.labels?.["endpointslice.kubernetes.io/skip-mirror"] === "true") {
    c.skip("metadata.labels", "asks for no slice: kube-proxy does not look at Endpoints");
    return null;
  }
  if (c.name === "kubernetes" && c.namespace === "default") return () => {};
  const slices = (m.subsets ?? []).map((subset, i): Slice => {
    const path = `subsets[${i}]`;
    const { addresses = [], notReadyAddresses = [] } = subset;
    if (addresses.length + notReadyAddresses.length === 0) {
      required(c.say, path, "must specify `addresses` or `notReadyAddresses`");
    }
    const take = (list: typeof addresses, field: string, ready: boolean): SliceEndpoint[] =>
      list.map((one, j) => {
        const at = `${path}.${field}[${j}]`;
        checkAddress(c.say, `${at}.ip`, one.ip ?? "");
        const full = { ...one, addresses: [one.ip ?? ""], conditions: { ready, serving: ready } };
        return endpointOf(net, row, full, at, c);
      });
    const all = [
      ...take(addresses, "addresses", true),
      ...take(notReadyAddresses, "notReadyAddresses", false),
    ];
    return {
      namespace: c.namespace,
      name: mirrored(c.name, i),
      service: c.name,
      proxied: true,
      ports: (subset.ports ?? []).map(({ name = "", port = 0, protocol = "TCP" }, j) => {
        supported(c.say, `${path}.ports[${j}].protocol`, protocol, ["SCTP", "TCP", "UDP"]);
        const isPort = port >= 1 && port <= 65_535;
        if (!isPort) {
          invalid(c.say, `${path}.ports[${j}].port`, port, "must be between 1 and 65535, inclusive");
        }
        return { name, port, protocol: PROTOCOLS[protocol.toLowerCase()] ?? 0 };
      }),
      endpoints: all,
    };
  });
  return (cp) => {
    const found = cp.cluster.services.find((s) => s.name === c.name && s.namespace === c.namespace);
    // Those of a Service with a selector are the endpoints controller's own.
    if (Object.keys(found?.selector ?? {}).length > 0) return;
    for (const slice of slices) applySlice(cp, slice);
    const { slices: known } = cp.cluster;
    let i = slices.length;
    while (known.remove(cp.cluster, c.namespace, mirrored(c.name, i))) i++;
  };
}

/** No object can have this name. */
const mirrored = (name: string, subset: number): string => `${name} subset ${subset}`;

// Addresses of pods as they are here; 0 while a pod of the dump has none.
function applySlice(cp: ControlPlane, slice: Slice): void {
  const { slices, pods } = cp.cluster;
  const dumped = new Set(slices.podOfAddress.values());
  const endpoints = slice.endpoints.map((e): SliceEndpoint => {
    const p = podRowOf(cp, e.pod);
    if (p >= 0) return { ...e, ip: pods.ip[p] };
    return dumped.has(e.pod) || cp.pods.has(e.pod) ? { ...e, ip: 0 } : e;
  });
  slices.apply(cp.cluster, { ...slice, endpoints });
}

function endpointOf(
  net: Net,
  row: number,
  e: SliceEndpointManifest,
  path: string,
  c: ObjectContext,
): SliceEndpoint {
  const cluster = net.clusters[row];
  const { ready = true, serving = true, terminating = false } = e.conditions ?? {};
  const { READY, SERVING, TERMINATING } = EndpointCondition;
  const node = e.nodeName === undefined ? -1 : cluster.nodes.findIndex((n) => n.name === e.nodeName);
  if (e.nodeName !== undefined && node < 0) {
    c.skip(`${path}.nodeName`, `names no machine of cluster ${cluster.name}: the endpoint is on none`);
  }
  const text = e.addresses?.[0] ?? "";
  // kube-proxy looks at the first address only.
  if ((e.addresses ?? []).length > 1) c.skip(`${path}.addresses[1]`, "kube-proxy takes the first only");
  const { kind, name = "", namespace = c.namespace } = e.targetRef ?? {};
  const dumped = cluster.slices.podOfAddress.get(text) ?? "";
  return {
    ip: parseIpv4(text) ?? 0,
    pod: kind === "Pod" && name !== "" ? `${namespace}/${name}` : dumped,
    conditions: (ready ? READY : 0) | (serving ? SERVING : 0) | (terminating ? TERMINATING : 0),
    node,
    ...hintsOf(net, row, e, path, c),
    hostname: e.hostname ?? "",
  };
}

// The table has one hint of each kind for an endpoint; a zone without nodes here is nobody's.
function hintsOf(
  net: Net,
  row: number,
  { hints }: SliceEndpointManifest,
  path: string,
  c: ObjectContext,
): { forZone: number; forNode: number } {
  const zones = zonesOf(net.spec.clusters[row]);
  const nodes = net.clusters[row].nodes.map((n) => n.name);
  const numberOf = (field: "forZones" | "forNodes", known: readonly string[]): number => {
    const names = (hints?.[field] ?? []).flatMap((one) => one.name ?? []);
    const number = names.map((name) => known.indexOf(name)).find((n) => n >= 0);
    if (names.length > 1) {
      c.skip(`${path}.hints.${field}`, "has several: the first that is here counts");
    }
    return names.length === 0 ? -1 : (number ?? NOBODY);
  };
  const forNode = numberOf("forNodes", nodes);
  return { forZone: numberOf("forZones", zones), forNode };
}

function check(m: EndpointSliceManifest, say: Say): void {
  checkLabels(say, "metadata.labels", m.metadata?.labels);
  const { addressType = "", endpoints: all = [], ports = [] } = m;
  if (addressType === "") required(say, "addressType");
  else supported(say, "addressType", addressType, ["FQDN", "IPv4", "IPv6"]);
  if (all.length > MOST_ENDPOINTS) return tooMany(say, "endpoints", all.length, MOST_ENDPOINTS);
  for (const [i, e] of all.entries()) checkEndpoint(say, `endpoints[${i}]`, e, addressType === "IPv4");
  const names = new Set<string>();
  for (const [i, { name = "", protocol }] of ports.entries()) {
    const at = `ports[${i}]`;
    if (name !== "") checkName(say, `${at}.name`, name, "label");
    if (names.has(name)) duplicate(say, `${at}.name`, name);
    names.add(name);
    supported(say, `${at}.protocol`, protocol, ["SCTP", "TCP", "UDP"]);
  }
}

function checkEndpoint(say: Say, path: string, e: SliceEndpointManifest, isIpv4: boolean): void {
  const { addresses = [], nodeName, hostname } = e;
  if (addresses.length === 0) required(say, `${path}.addresses`, "must contain at least 1 address");
  if (addresses.length > MOST_ADDRESSES) {
    tooMany(say, `${path}.addresses`, addresses.length, MOST_ADDRESSES);
  }
  if (isIpv4) for (const [i, ip] of addresses.entries()) checkAddress(say, `${path}.addresses[${i}]`, ip);
  if (nodeName !== undefined) checkName(say, `${path}.nodeName`, nodeName, "subdomain");
  if (hostname !== undefined) checkName(say, `${path}.hostname`, hostname, "label");
  for (const field of ["forZones", "forNodes"] as const) {
    const hints = e.hints?.[field] ?? [];
    const at = `${path}.hints.${field}`;
    if (hints.length > MOST_HINTS) tooMany(say, at, hints.length, MOST_HINTS);
    const names = new Set<string>();
    for (const [i, { name = "" }] of hints.entries()) {
      if (names.has(name)) duplicate(say, `${at}[${i}].name`, name);
      names.add(name);
      if (field === "forZones") checkLabelValue(say, `${at}[${i}].name`, name);
      else checkName(say, `${at}[${i}].name`, name, "subdomain");
    }
  }
}

/** ValidateNonSpecialIP. */
function checkAddress(say: Say, path: string, text: string): void {
  const ip = parseIpv4(text);
  if (ip === undefined) return invalid(say, path, text, "must be a valid IPv4 address");
  const first = ip >>> 24;
  const tell = (detail: string): void => invalid(say, path, text, `may not be ${detail}`);
  if (ip === 0) tell("unspecified (0.0.0.0 or ::)");
  if (first === 127) tell("in the loopback range (127.0.0.0/8, ::1/128)");
  if (ip >>> 16 === 0xa9fe) tell("in the link-local range (169.254.0.0/16, fe80::/10)");
  if (ip >>> 8 === 0xe00000) tell("in the link-local multicast range (224.0.0.0/24, ff02::/10)");
}

const tooMany = (say: Say, path: string, count: number, most: number): void =>
  say(path, `Too many: ${count}: must have at most ${most} items`);

const duplicate = (say: Say, path: string, name: string): void =>
  say(path, `Duplicate value: ${JSON.stringify(name)}`);
