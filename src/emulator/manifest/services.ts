// Services and NetworkPolicies out of manifests into the options of a topology, which are checked and built
// as those are (build-service.ts, build-policy.ts).

import type { NetworkPolicyOptions, ServicePortOptions, ServiceSpec } from "../spec.ts";
import type { ServiceManifest } from "./kinds.ts";
import { checkPort, checkPortName, required, supported } from "./rules.ts";
import type { ObjectContext } from "./workloads.ts";

const SECOND = 1_000_000_000;

export function serviceSpec(m: ServiceManifest, c: ObjectContext): ServiceSpec {
  const { spec = {} } = m;
  if (m.spec === undefined) required(c.say, "spec");
  const { type = "ClusterIP" } = spec;
  supported(c.say, "spec.type", type, ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]);
  const given = spec.ports ?? [];
  const ports = given.map((port, i) => servicePort(port, i, given.length > 1, c));
  const ingress = m.status?.loadBalancer?.ingress?.[0];
  const timeout = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds;
  const balancer = spec.loadBalancerIP ?? ingress?.ip;
  return definedOnly({
    name: c.name,
    namespace: c.namespace,
    ports,
    selector: spec.selector ?? {},
    labels: m.metadata?.labels,
    type,
    // "" is how a manifest says that it wants one.
    clusterIP: spec.clusterIP === "" ? undefined : spec.clusterIP,
    externalIPs: spec.externalIPs,
    externalName: spec.externalName,
    externalTrafficPolicy: spec.externalTrafficPolicy,
    internalTrafficPolicy: spec.internalTrafficPolicy,
    sessionAffinity: spec.sessionAffinity,
    sessionAffinityTimeout: timeout === undefined ? undefined : timeout * SECOND,
    loadBalancerIP: type === "LoadBalancer" ? balancer : undefined,
    ipMode: ingress?.ipMode,
    loadBalancerSourceRanges: spec.loadBalancerSourceRanges,
    allocateLoadBalancerNodePorts: spec.allocateLoadBalancerNodePorts,
    // 0 is how one that has none is printed.
    healthCheckNodePort: spec.healthCheckNodePort || undefined,
    publishNotReadyAddresses: spec.publishNotReadyAddresses,
    trafficDistribution: spec.trafficDistribution,
  }) as unknown as ServiceSpec;
}

type PortManifest = NonNullable<NonNullable<ServiceManifest["spec"]>["ports"]>[number];

function servicePort(one: PortManifest, i: number, needsName: boolean, c: ObjectContext): ServicePortOptions {
  const { say } = c;
  const path = `spec.ports[${i}]`;
  checkPort(say, `${path}.port`, one.port);
  supported(say, `${path}.protocol`, one.protocol, ["SCTP", "TCP", "UDP"]);
  if (needsName && !one.name) required(say, `${path}.name`);
  const { targetPort } = one;
  if (typeof targetPort === "string") checkPortName(say, `${path}.targetPort`, targetPort);
  else if (targetPort !== undefined) checkPort(say, `${path}.targetPort`, targetPort || one.port);
  return definedOnly({
    name: one.name,
    port: one.port,
    targetPort: targetPort === 0 ? undefined : targetPort,
    protocol: one.protocol,
    nodePort: one.nodePort || undefined,
  }) as unknown as ServicePortOptions;
}

/** A NetworkPolicy's spec has the fields of our options already. */
export function policyOptions(m: { spec?: unknown }, c: ObjectContext): NetworkPolicyOptions {
  if (m.spec === undefined || m.spec === null) required(c.say, "spec");
  return { ...(m.spec as NetworkPolicyOptions), namespace: c.namespace };
}

function definedOnly(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, v]) => v !== undefined && v !== null));
}
