// K 6.1, tests 32 to 43: traffic policies, terminating and unready endpoints, health-check node ports. Each
// title has the name the test has upstream (test/e2e/network/service.go).

import test from "ava";
import {
  BOTH,
  both,
  cluster,
  ECHO,
  end,
  healthOf,
  ms,
  type Net,
  nodePort,
  sec,
  seenBy,
  TCP,
  tcp,
} from "./kit.ts";

const LB = { type: "LoadBalancer", loadBalancerIP: "20.50.60.70" } as const;

/** One pod, web-0 on n0; clients on n0 and n1, a VM outside, pods in a range of their own. */
function world(
  service: Parameters<Net["soon"]["service"]>[1],
  deployment: { hostNetwork?: boolean; ready?: boolean } = {},
): Net {
  return cluster(
    (aks, t) => {
      aks.deployment("web", { replicas: 1, node: "n0", ...ECHO, ...deployment });
      aks.service("web", service);
      for (const n of [0, 1]) {
        aks.pod(`pod${n}`, { node: `n${n}`, labels: {} });
        aks.pod(`host${n}`, { node: `n${n}`, labels: {}, hostNetwork: true });
      }
      t.vm("vm", { subnet: { path: "prod/nodes" } });
    },
    { cni: "azure-overlay" },
  );
}

const INTERNAL = { ports: BOTH, internalTrafficPolicy: "Local" } as const;

test("Services should respect internalTrafficPolicy=Local Pod to Pod", (t) => {
  const net = world(INTERNAL);
  t.is(both(net, "pod0", "web:80"), "web-0 web-0");
  t.is(both(net, "pod1", "web:80"), "- -");
  end(t, net);
});

test("Services should respect internalTrafficPolicy=Local Pod (hostNetwork: true) to Pod", (t) => {
  const net = world(INTERNAL);
  t.is(both(net, "host0", "web:80"), "web-0 web-0");
  t.is(both(net, "host1", "web:80"), "- -");
  end(t, net);
});

test("Services should respect internalTrafficPolicy=Local Pod and Node, to Pod (hostNetwork: true)", (t) => {
  const net = world(INTERNAL, { hostNetwork: true });
  t.is(both(net, "pod0", "web:80"), "n0 n0");
  t.is(both(net, "host0", "web:80"), "n0 n0");
  t.is(both(net, "n0", "web:80"), "n0 n0");
  for (const from of ["pod1", "host1", "n1"]) t.is(both(net, from, "web:80"), "- -", from);
  end(t, net);
});

function terminate(net: Net, pod = "web-0"): void {
  net.soon.terminatePod(pod, sec(600));
  net.run({ for: ms(1) });
}

test("Services should fallback to terminating endpoints when there are no ready endpoints with internalTrafficPolicy=Cluster", (t) => {
  const net = world({ ports: BOTH });
  terminate(net);
  t.is(both(net, "pod0", "web:80"), "web-0 web-0");
  t.is(both(net, "pod1", "web:80"), "web-0 web-0");
  end(t, net);
});

test("Services should fallback to local terminating endpoints when there are no ready endpoints with internalTrafficPolicy=Local", (t) => {
  const net = world(INTERNAL);
  terminate(net);
  t.is(both(net, "pod0", "web:80"), "web-0 web-0");
  t.is(both(net, "pod1", "web:80"), "- -");
  end(t, net);
});

test("Services should fallback to terminating endpoints when there are no ready endpoints with externalTrafficPolicy=Cluster", (t) => {
  const net = world({ ports: BOTH, type: "NodePort" });
  terminate(net);
  for (const node of ["n0", "n1"]) t.is(tcp(net, "vm", `${node}:${nodePort(net, "web", 1)}`), "web-0");
  end(t, net);
});

test("Services should fallback to local terminating endpoints when there are no ready endpoints with externalTrafficPolicy=Local", (t) => {
  const net = world({ ...TCP, type: "NodePort", externalTrafficPolicy: "Local" });
  terminate(net);
  t.is(tcp(net, "vm", `n0:${nodePort(net)}`), "web-0");
  t.is(tcp(net, "vm", `n1:${nodePort(net)}`), "-");
  end(t, net);
});

test("Services should fail health check node port if there are only terminating endpoints", (t) => {
  const net = world({ ...TCP, ...LB, externalTrafficPolicy: "Local" });
  t.deepEqual([healthOf(net, "vm", "n0"), healthOf(net, "vm", "n1")], [200, 503]);
  terminate(net);
  t.is(healthOf(net, "vm", "n0"), 503);
  t.is(tcp(net, "vm", `n0:${nodePort(net)}`), "web-0", "and it still serves");
  end(t, net);
});

test("Services should implement NodePort and HealthCheckNodePort correctly when ExternalTrafficPolicy changes", (t) => {
  const net = world({ ...TCP, ...LB, externalTrafficPolicy: "Local" });
  net.soon.removePod("web-0");
  net.soon.service("web", { ...TCP, ...LB, externalTrafficPolicy: "Local", selector: { app: "pod0" } });
  net.soon.label("pod0", { app: "pod0" });
  net.run({ for: ms(1) });
  const port = nodePort(net);
  const check = net.serviceInfo("web").healthCheckNodePort!;
  t.is(seenBy(net, "pod0", 8080, "vm", `n0:${port}`), "vm", "Local keeps the client's address");
  t.is(tcp(net, "vm", `n1:${port}`), "-");
  t.deepEqual([healthOf(net, "vm", "n0", check), healthOf(net, "vm", "n1", check)], [200, 503]);
  net.soon.service("web", { ...TCP, ...LB, selector: { app: "pod0" } });
  net.run({ for: ms(1) });
  t.is(nodePort(net), port);
  t.is(seenBy(net, "pod0", 8080, "vm", `n1:${port}`), "n1", "Cluster masquerades");
  t.is(healthOf(net, "vm", "n0", check), null, "nobody listens there any more");
  end(t, net);
});

function unready(publishNotReadyAddresses: boolean): Net {
  const net = world({ ports: BOTH, type: "NodePort", publishNotReadyAddresses }, { ready: false });
  terminate(net);
  return net;
}

test("Services should be able to connect to terminating and unready endpoints if PublishNotReadyAddresses is true", (t) => {
  const net = unready(true);
  for (const from of ["pod0", "pod1"]) t.is(both(net, from, "web:80"), "web-0 web-0", from);
  t.is(tcp(net, "vm", `n1:${nodePort(net, "web", 1)}`), "web-0");
  end(t, net);
});

test("Services should not be able to connect to terminating and unready endpoints if PublishNotReadyAddresses is false", (t) => {
  const net = unready(false);
  for (const from of ["pod0", "pod1"]) t.is(both(net, from, "web:80"), "ECONNREFUSED ECONNREFUSED", from);
  t.is(tcp(net, "vm", `n1:${nodePort(net, "web", 1)}`), "ECONNREFUSED");
  end(t, net);
});

test("Services should create endpoints for unready pods", (t) => {
  const net = world({ ports: BOTH, publishNotReadyAddresses: true }, { ready: false });
  t.is(both(net, "pod1", "web:80"), "web-0 web-0");
  net.soon.scale("web", 0);
  t.is(both(net, "pod1", "web:80"), "ECONNREFUSED ECONNREFUSED");
  net.soon.scale("web", 1);
  t.is(both(net, "pod1", "web:80"), "web-1 web-1");
  terminate(net, "web-1");
  t.is(both(net, "pod1", "web:80"), "web-1 web-1");
  end(t, net);
});
