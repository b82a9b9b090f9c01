// A Service as the control plane has it, and the endpoint conditions its EndpointSlices would show (K 1.1 to
// 1.3, 1.7; pkg/controller of endpointslice).

import { EndpointCondition } from "../netfilter/endpoint-lists.ts";

export interface ServicePort {
  /** Row of the Service table; -1 where there are no rules. */
  row: number;
  /** Empty when the only port of a Service has none. */
  name: string;
  port: number;
  /** 0 when it is a name. */
  targetPort: number;
  /** Name of a container port. */
  targetName?: string;
  /** IP protocol number. */
  protocol: number;
  /** 0: none. */
  nodePort: number;
}

export type ServiceType = "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName";

export interface Service {
  namespace: string;
  name: string;
  type: ServiceType;
  /** 0 when it has none: headless, or an ExternalName. */
  clusterIp: number;
  ports: ServicePort[];
  /** Empty: endpoints are named, not selected. */
  selector: Readonly<Record<string, string>>;
  externalName: string;
  /** False: labelled for another proxy or as headless, so kube-proxy leaves it alone (K 1.1). */
  proxied: boolean;
  publishNotReady: boolean;
  /** Which hints its endpoints get: trafficDistribution. */
  hints: "none" | "zone" | "node";
  /** healthCheckNodePort; 0: none. */
  healthPort: number;
  /** Addresses of its load balancer and its externalIPs. */
  outside?: readonly number[];
  /** When it was made, ns; absent: with the cluster. */
  created?: number;
}

/** What healthCheckNodePort answers (K 1.7). */
export interface HealthAnswer {
  status: 200 | 503;
  headers: { "X-Load-Balancing-Endpoint-Weight": string };
  body: {
    service: { namespace: string; name: string };
    localEndpoints: number;
    serviceProxyHealthy: boolean;
  };
}

/** A servicePortName as kube-proxy prints it. */
export function servicePortName(service: Service, port: string): string {
  return `${service.namespace}/${service.name}${port === "" ? "" : `:${port}`}`;
}

/** Bits of EndpointCondition of a pod for one Service. */
export function podConditions(ready: boolean, terminating: boolean, publishNotReady: boolean): number {
  let conditions = 0;
  if (publishNotReady || (ready && !terminating)) conditions |= EndpointCondition.READY;
  if (ready) conditions |= EndpointCondition.SERVING;
  if (terminating) conditions |= EndpointCondition.TERMINATING;
  return conditions;
}

export function healthAnswer(service: Service, localEndpoints: number): HealthAnswer {
  return {
    status: localEndpoints > 0 ? 200 : 503,
    headers: { "X-Load-Balancing-Endpoint-Weight": String(localEndpoints) },
    body: {
      service: { namespace: service.namespace, name: service.name },
      localEndpoints,
      serviceProxyHealthy: true,
    },
  };
}
