// Where a dump's slices of the slice controller say something else than what is made of the selectors here.
// The selectors count; each difference is told with its path.

import { selects } from "../../cluster/cluster.ts";
import type { ControlPlane } from "../../cluster/control/control-plane.ts";
import type { Pod } from "../../cluster/control/objects.ts";
import type { Service } from "../../cluster/service.ts";
import type { Slice } from "../../cluster/slices.ts";
import { EndpointCondition } from "../../netfilter/endpoint-lists.ts";
import { formatIpv4 } from "../../wire/address.ts";
import type { Say } from "./rules.ts";

/** Row of the pod "namespace/name"; -1 while it has no address, or is none of this cluster. */
export function podRowOf(cp: ControlPlane, key: string): number {
  const [namespace = "", name = ""] = key.split("/");
  const { pods, workloads, index } = cp.cluster;
  const p = pods.byName.get(name);
  if (p === undefined || pods.cluster[p] !== index) return -1;
  return workloads[pods.workload[p]].namespace === namespace ? p : -1;
}

export function tellDifferences(cp: ControlPlane, service: Service, slice: Slice, skip: Say): void {
  const { READY, TERMINATING } = EndpointCondition;
  let first: readonly { name: string; port: number; protocol: number }[] | null = null;
  for (const [i, e] of slice.endpoints.entries()) {
    const pod = cp.pods.get(e.pod);
    if (pod === undefined && cp.cluster.slices.remade.has(e.pod)) continue;
    const labels = pod?.template.labels ?? labelsOf(cp, e.pod);
    if (labels === null || !selects(service.selector, labels)) {
      const who = e.pod === "" ? formatIpv4(e.ip) : `pod ${e.pod}`;
      skip(`endpoints[${i}]`, `is left out: Service ${service.name} selects no ${who} here`);
      continue;
    }
    if ((e.conditions & (READY | TERMINATING)) === 0 && !service.publishNotReady) {
      skip(`endpoints[${i}].conditions.ready`, `is false; pod ${e.pod} is started anew here`);
    }
    if (pod !== undefined) first ??= portsOf(service, pod);
  }
  const text = (ports: typeof slice.ports): string =>
    JSON.stringify(ports.map((p) => `${p.name} ${p.port} ${p.protocol}`).sort());
  if (first !== null && text(first) !== text(slice.ports)) {
    skip("ports", `are left out: Service ${service.name} leads to ${first.map((p) => p.port).join(", ")}`);
  }
}

function labelsOf(cp: ControlPlane, key: string): Readonly<Record<string, string>> | null {
  const p = podRowOf(cp, key);
  return p < 0 ? null : cp.cluster.workloads[cp.cluster.pods.workload[p]].labels;
}

function portsOf(service: Service, pod: Pod): Slice["ports"] {
  const all = pod.template.containers.flatMap((c) => c.ports);
  return service.ports.flatMap(({ name, targetName, targetPort, protocol }) => {
    const named = all.find((p) => p.name === targetName && p.protocol === protocol)?.port;
    const port = targetName === undefined ? targetPort : named;
    return port === undefined ? [] : [{ name, port, protocol }];
  });
}
