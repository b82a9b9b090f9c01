// kubectl rollout status for everything that was applied, and a try of every Service, port by port.

import { type Cluster, targetOf } from "../cluster/cluster.ts";
import type { ControlPlane } from "../cluster/control/control-plane.ts";
import { isComplete } from "../cluster/control/deployment.ts";
import { templateHash } from "../cluster/control/names.ts";
import { isAvailable } from "../cluster/control/objects.ts";
import { formatIpv4 } from "../wire/address.ts";
import { PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import type { Net } from "./net.ts";
import { sec } from "./units.ts";

/** How often it is looked at, ns. */
const STEP = 100_000_000;

export function runUntilRolledOut(net: Net, within: number): boolean {
  const end = net.now + within;
  while (!allRolledOut(net) && net.now < end) net.run({ until: Math.min(end, net.now + STEP) });
  return allRolledOut(net);
}

/** Every Deployment, StatefulSet and DaemonSet is complete, and every Job is over. */
function allRolledOut(net: Net): boolean {
  return net.clusters.every(({ control }) => !control.busy && isSettled(control));
}

function isSettled(cp: ControlPlane): boolean {
  for (const d of cp.deployments.values()) if (!d.paused && !isComplete(cp, d)) return false;
  for (const rs of cp.replicaSets.values())
    if (rs.owner === "" && count(cp, rs) !== rs.replicas) return false;
  for (const set of cp.statefulSets.values()) {
    const hash = templateHash(set.template);
    const isOld = [...set.pods].some((pod) => pod.hash !== hash && pod.ordinal >= set.partition);
    if (count(cp, set) !== set.replicas || (isOld && !set.onDelete)) return false;
  }
  for (const set of cp.daemonSets.values()) if (count(cp, set) !== set.pods.size) return false;
  for (const job of cp.jobs.values()) if (job.condition === "") return false;
  for (const pod of cp.pods.values()) if (pod.owner === "" && pod.deleting < 0 && !pod.ready) return false;
  return true;
}

function count(
  cp: ControlPlane,
  o: { pods: ReadonlySet<Parameters<typeof isAvailable>[0]>; minReady: number },
): number {
  let found = 0;
  for (const pod of o.pods) if (pod.deleting < 0 && isAvailable(pod, o.minReady, cp.now)) found++;
  return found;
}

/** A connection or datagram to one port of a Service. */
export interface ServiceTry {
  service: string;
  port: number;
  protocol: "TCP" | "UDP" | "SCTP";
  answered: boolean;
  /** The pod that answered, or what the client saw. */
  answer: string;
}

const PATIENCE = sec(5);

/** From the first node, one after the other; headless ones by their pods. SCTP has no endpoint here. */
export function tryServices(net: Net): ServiceTry[] {
  return net.clusters.flatMap((cluster) =>
    cluster.services
      .filter((s) => Object.keys(s.selector).length > 0)
      .flatMap((service) => service.ports.map((port) => tryPort(net, cluster, service, port))),
  );
}

function tryPort(
  net: Net,
  cluster: Cluster,
  service: Cluster["services"][number],
  port: Cluster["services"][number]["ports"][number],
): ServiceTry {
  const name = service.namespace === "default" ? service.name : `${service.namespace}/${service.name}`;
  const one = { service: name, port: port.port };
  const from = (cluster.nodes[0] as Cluster["nodes"][number]).name;
  const to = addressOf(cluster, service, port);
  if (to === null) return { ...one, protocol: "TCP", answered: false, answer: "no endpoints" };
  if (port.protocol === PROTO_TCP) {
    const c = net.soon.connect(from, to);
    c.send("hello");
    net.run({ for: PATIENCE });
    const answer = c.text === "hello" ? "answered" : (c.error ?? "no answer");
    c.close();
    net.run({ for: 0 });
    return { ...one, protocol: "TCP", answered: c.text === "hello", answer };
  }
  if (port.protocol !== PROTO_UDP) {
    return { ...one, protocol: "SCTP", answered: true, answer: "not tried: there are no SCTP endpoints" };
  }
  const sent = net.soon.udp(from, to, "hello");
  net.run({ for: PATIENCE });
  const answered = sent.reply !== null;
  return { ...one, protocol: "UDP", answered, answer: answered ? "answered" : (sent.error ?? "no answer") };
}

function addressOf(
  cluster: Cluster,
  service: Cluster["services"][number],
  port: Cluster["services"][number]["ports"][number],
): string | null {
  if (service.clusterIp !== 0) return `${formatIpv4(service.clusterIp)}:${port.port}`;
  for (const workload of cluster.selected(service)) {
    const p = workload.pods[0];
    const target = targetOf(workload, port);
    if (p !== undefined && target > 0) return `${formatIpv4(cluster.pods.ip[p] as number)}:${target}`;
  }
  return null;
}
