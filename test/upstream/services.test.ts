// K 6.1, tests 1 to 31: Services that are made, changed and removed while clients use them. Each title has
// the name the test has upstream (test/e2e/network/service.go).

import test from "ava";
import { linesOf } from "../emulator/kit.ts";
import {
  BOTH,
  both,
  cluster,
  ECHO,
  end,
  ms,
  type Net,
  nodePort,
  sec,
  seenBy,
  TCP,
  tcp,
  UDP,
  udp,
} from "./kit.ts";

type Options = Parameters<Net["soon"]["service"]>[1];

/** Pods web-0 on n0 and web-1 on n1, clients on n0 and n2, a VM outside. */
function world(service: Options | null, options: Parameters<typeof cluster>[1] = {}): Net {
  return cluster(
    (aks, t) => {
      aks.deployment("web", { replicas: 2, ...ECHO });
      if (service !== null) aks.service("web", service);
      aks.pod("client", { node: "n0", labels: {} }).pod("far", { node: "n2", labels: {} });
      t.vm("vm", { subnet: { path: "prod/nodes" } });
    },
    options,
    3,
  );
}

function apply(net: Net, name: string, options: Options): void {
  net.soon.service(name, options);
  net.run({ for: ms(1) });
}

function remove(net: Net, name: string): void {
  net.soon.removeService(name);
  net.run({ for: ms(1) });
}

test("Services should serve a basic endpoint from pods", (t) => {
  const net = cluster((aks) => {
    aks.service("web", { ...TCP });
    aks.pod("client").pod("pod1", { labels: { app: "web" }, ...ECHO });
    aks.deployment("web", { replicas: 0, ...ECHO });
  });
  t.is(tcp(net, "client", "web:80", 2), "pod1 pod1");
  net.soon.scale("web", 1);
  t.is(tcp(net, "client", "web:80", 2), "web-0 pod1");
  net.soon.removePod("pod1");
  t.is(tcp(net, "client", "web:80", 2), "web-0 web-0");
  net.soon.scale("web", 0);
  t.is(tcp(net, "client", "web:80"), "ECONNREFUSED");
  end(t, net);
});

test("Services should serve multiport endpoints from pods", (t) => {
  const net = cluster((aks) => {
    aks.pod("pod1", { labels: { app: "web" }, tcpEcho: 100 });
    aks.pod("client");
    aks.service("web", {
      ports: [
        { name: "one", port: 80, targetPort: 100 },
        { name: "two", port: 81, targetPort: 101 },
      ],
    });
  });
  t.deepEqual([tcp(net, "client", "web:80"), tcp(net, "client", "web:81")], ["pod1", "ECONNREFUSED"]);
  net.tcp("pod1").listen(101);
  net.run({ for: ms(1) });
  const second = net.tcp("client").connect("web:81");
  net.run({ for: ms(10) });
  t.is(second.state, "ESTABLISHED");
  second.reset();
  end(t, net);
});

test("Services should be updated after adding or deleting ports", (t) => {
  const net = world({ ...TCP });
  t.is(tcp(net, "client", "web:80", 2), "web-0 web-1");
  const ip = net.clusterIp("web");
  apply(net, "web", {
    ports: [
      { name: "a", ...TCP },
      { name: "b", ...TCP, port: 81 },
    ],
  });
  t.deepEqual([tcp(net, "client", "web:80"), tcp(net, "client", "web:81")], ["web-0", "web-0"]);
  apply(net, "web", { ports: [{ name: "b", ...TCP, port: 81 }] });
  // What no port of the Service answers has no rule: the node routes it like any other address (K 1.4).
  t.deepEqual([tcp(net, "client", `${ip}:80`), tcp(net, "client", "web:81")], ["-", "web-1"]);
  t.is(net.clusterIp("web"), ip);
  end(t, net);
});

test("Services should serve endpoints on same port and different protocols", (t) => {
  const net = world({ ports: BOTH });
  t.is(both(net, "client", "web:80"), "web-0 web-0");
  apply(net, "web", { ports: [BOTH[1]] });
  t.is(both(net, "client", `${net.clusterIp("web")}:80`), "- web-1");
  apply(net, "web", { ports: [BOTH[0]] });
  t.is(both(net, "client", `${net.clusterIp("web")}:80`), "web-0 -");
  end(t, net);
});

test("Services should serve endpoints on same port and different protocol for internal traffic on Type LoadBalancer", (t) => {
  const net = world({ ports: BOTH, type: "LoadBalancer" });
  t.is(both(net, "client", "web:80"), "web-0 web-0");
  apply(net, "web", { ports: [BOTH[1]], type: "LoadBalancer" });
  t.is(both(net, "client", `${net.clusterIp("web")}:80`), "- web-1");
  end(t, net);
});

test("Services should be able to create a functioning NodePort service", (t) => {
  const net = world({ ...TCP, type: "NodePort" });
  const port = nodePort(net);
  t.regex(tcp(net, "client", "web:80"), /^web/);
  for (const node of ["n0", "n1", "n2"]) t.regex(tcp(net, "client", `${node}:${port}`), /^web/, node);
  end(t, net);
});

test("Services should be able to update service type to NodePort listening on same port number but different protocols", (t) => {
  const net = world({ ...TCP });
  const ip = net.clusterIp("web");
  const [u, c] = [
    { ...BOTH[0], nodePort: 30_080 },
    { ...BOTH[1], nodePort: 30_080 },
  ];
  apply(net, "web", { ports: [u, c], type: "NodePort" });
  t.is(net.clusterIp("web"), ip);
  t.regex(both(net, "client", "n2:30080"), /^web-\d web-\d$/);
  end(t, net);
});

test("Services should prevent NodePort collisions", (t) => {
  const net = world({ ...TCP, type: "NodePort" });
  const port = nodePort(net);
  const second = { ...TCP, type: "NodePort", nodePort: port, selector: { app: "web" } } as const;
  t.deepEqual(
    linesOf(() => apply(net, "second", second)),
    [`cluster.aks.service.second.nodePort: ${port} is allocated to Service web already`],
  );
  remove(net, "web");
  apply(net, "second", second);
  t.regex(tcp(net, "client", `n2:${port}`), /^web/);
  end(t, net);
});

test("Services should check NodePort out-of-range", (t) => {
  const net = world({ ...TCP, type: "NodePort" });
  const port = nodePort(net);
  for (const wrong of [29_999, 32_768]) {
    t.deepEqual(
      linesOf(() => apply(net, "web", { ...TCP, type: "NodePort", nodePort: wrong })),
      [`cluster.aks.service.web.nodePort: ${wrong}: the range of valid ports is 30000-32767`],
    );
  }
  t.is(nodePort(net), port, "what was refused changed nothing");
  t.regex(tcp(net, "client", `n2:${port}`), /^web/);
  end(t, net);
});

test("Services should release NodePorts on delete", (t) => {
  const net = world({ ...TCP, type: "NodePort" });
  const port = nodePort(net);
  t.regex(tcp(net, "client", `n2:${port}`), /^web/);
  remove(net, "web");
  t.is(tcp(net, "client", `n2:${port}`), "ECONNREFUSED", "nobody listens on the node");
  apply(net, "other", { ...TCP, type: "NodePort", nodePort: port, selector: { app: "web" } });
  t.regex(tcp(net, "client", `n2:${port}`), /^web/);
  end(t, net);
});

const NAMED = { type: "ExternalName", externalName: "example.com" } as const;

test("Services should be able to change the type from ExternalName to ClusterIP", (t) => {
  const net = world(NAMED);
  t.is(net.serviceInfo("web").clusterIP, null);
  apply(net, "web", { ...TCP });
  t.regex(tcp(net, "client", "web:80"), /^web/);
  end(t, net);
});

test("Services should be able to change the type from ExternalName to NodePort", (t) => {
  const net = world(NAMED);
  apply(net, "web", { ...TCP, type: "NodePort" });
  t.regex(tcp(net, "client", "web:80"), /^web/);
  t.regex(tcp(net, "client", `n2:${nodePort(net)}`), /^web/);
  end(t, net);
});

test("Services should be able to change the type from ClusterIP to ExternalName", (t) => {
  const net = world({ ...TCP });
  const ip = net.clusterIp("web");
  t.regex(tcp(net, "client", `${ip}:80`), /^web/);
  apply(net, "web", NAMED);
  t.is(tcp(net, "client", `${ip}:80`), "-");
  t.like(net.serviceInfo("web"), { clusterIP: null, externalName: "example.com" });
  end(t, net);
});

test("Services should be able to change the type from NodePort to ExternalName", (t) => {
  const net = world({ ...TCP, type: "NodePort" });
  const port = nodePort(net);
  apply(net, "web", NAMED);
  t.is(tcp(net, "client", `n2:${port}`), "ECONNREFUSED");
  apply(net, "other", { ...TCP, type: "NodePort", nodePort: port, selector: { app: "web" } });
  t.regex(tcp(net, "client", `n2:${port}`), /^web/, "the number is free");
  end(t, net);
});

test("Services should be possible to connect to a service via ExternalIP when the external IP is not assigned to a node", (t) => {
  const net = world({ ...TCP, externalIPs: ["203.0.113.250"] });
  for (const from of ["client", "far", "n2"]) {
    t.regex(tcp(net, from, "203.0.113.250:80"), /^web/, from);
  }
  end(t, net);
});

test("Services should preserve source pod IP for traffic thru service cluster IP", (t) => {
  const net = cluster(
    (aks) => {
      aks.pod("server", { node: "n1" }).pod("client", { node: "n0" }).pod("near", { node: "n1" });
      aks.service("server", { ...TCP });
    },
    { cni: "azure-overlay" },
  );
  t.is(seenBy(net, "server", 8080, "client", "server:80"), "client");
  t.is(seenBy(net, "server", 8080, "near", "server:80"), "near");
  end(t, net);
});

test("Services should allow pods to hairpin back to themselves through services", (t) => {
  for (const options of [{}, { cni: "azure-overlay" }, { cni: "kubenet", hairpin: true }] as const) {
    const net = cluster((aks) => {
      aks.pod("pod", { ...ECHO }).service("pod", { ports: BOTH });
    }, options);
    t.is(both(net, "pod", "pod:80"), "pod pod");
    end(t, net);
  }
});

test("Services should be able to up and down services", (t) => {
  const net = cluster((aks) => {
    for (const name of ["one", "two"]) {
      aks.deployment(name, { replicas: 3, ...ECHO });
      aks.service(name, { ...TCP });
    }
    aks.deployment("three", { replicas: 3, ...ECHO });
    aks.pod("client");
  });
  t.is(tcp(net, "client", "one:80", 3), "one-0 one-1 one-2");
  t.is(tcp(net, "client", "two:80", 3), "two-0 two-1 two-2");
  const gone = net.clusterIp("one");
  remove(net, "one");
  t.is(tcp(net, "client", `${gone}:80`), "-");
  t.is(tcp(net, "client", "two:80", 3), "two-0 two-1 two-2");
  apply(net, "three", { ...TCP });
  t.is(tcp(net, "client", "two:80", 3), "two-0 two-1 two-2");
  t.is(tcp(net, "client", "three:80", 3), "three-0 three-1 three-2");
  end(t, net);
});

test("Services should work after the service has been recreated", (t) => {
  const net = world({ ports: BOTH });
  const ip = net.clusterIp("web");
  t.is(both(net, "client", "web:80"), "web-0 web-0");
  remove(net, "web");
  t.is(both(net, "client", `${ip}:80`), "- -");
  apply(net, "web", { ports: BOTH, clusterIP: ip });
  t.is(both(net, "client", `${ip}:80`), "web-0 web-0");
  end(t, net);
});

test("Services should implement service.kubernetes.io/service-proxy-name", (t) => {
  labelled(t, "service.kubernetes.io/service-proxy-name");
});

test("Services should implement service.kubernetes.io/headless", (t) => {
  labelled(t, "service.kubernetes.io/headless");
});

// The label takes the Service from kube-proxy, and gives it back when it goes (K 1.1).
function labelled(t: Parameters<typeof end>[0], label: string): void {
  const net = world({ ports: BOTH, labels: { [label]: "" } });
  const ip = net.clusterIp("web");
  t.is(both(net, "client", `${ip}:80`), "- -");
  apply(net, "web", { ports: BOTH });
  t.is(net.clusterIp("web"), ip);
  t.is(both(net, "client", `${ip}:80`), "web-0 web-0");
  apply(net, "web", { ports: BOTH, labels: { [label]: "foo" } });
  t.is(both(net, "client", `${ip}:80`), "- -");
  end(t, net);
}

test("Services should be rejected when no endpoints exist", (t) => {
  const net = world({ ...TCP, type: "NodePort", selector: { app: "nobody" } });
  t.is(tcp(net, "client", "web:80"), "ECONNREFUSED");
  t.is(tcp(net, "client", `n1:${nodePort(net)}`), "ECONNREFUSED");
  t.is(tcp(net, "n0", "web:80"), "ECONNREFUSED");
  end(t, net);
});

test("Services should be rejected for evicted pods (no endpoints exist)", (t) => {
  // An evicted pod has failed, and its containers are gone: it is no endpoint.
  const net = cluster((aks) => {
    aks.deployment("web", { replicas: 1, ready: false, ...ECHO }).pod("client");
    aks.service("web", { ...TCP });
  });
  net.soon.failPod("web-0");
  t.is(tcp(net, "client", "web:80"), "ECONNREFUSED");
  end(t, net);
});

const STICKY = { ...UDP, sessionAffinity: "ClientIP" } as const;

test("Services should have session affinity work for service with type clusterIP", (t) => {
  for (const mode of ["round-robin", "iptables", "nftables"] as const) {
    const net = world(STICKY, { kubeProxy: { mode } });
    const first = udp(net, "client", "web:80");
    t.is(udp(net, "client", "web:80", 8), Array(8).fill(first).join(" "), mode);
    end(t, net);
  }
});

test("Services should have session affinity work for NodePort service", (t) => {
  const net = world({ ...STICKY, type: "NodePort" });
  const first = udp(net, "vm", `n2:${nodePort(net)}`);
  t.is(udp(net, "vm", `n2:${nodePort(net)}`, 5), Array(5).fill(first).join(" "));
  end(t, net);
});

test("Services should be able to switch session affinity for service with type clusterIP", (t) => {
  const net = world(STICKY);
  t.is(udp(net, "client", "web:80", 4), "web-0 web-0 web-0 web-0");
  apply(net, "web", { ...UDP });
  t.is(udp(net, "client", "web:80", 4), "web-1 web-0 web-1 web-0");
  apply(net, "web", STICKY);
  t.is(
    udp(net, "client", "web:80", 3),
    "web-1 web-1 web-1",
    "the records of before are gone with their rules",
  );
  end(t, net);
});

test("Services should be able to switch session affinity for NodePort service", (t) => {
  const net = world({ ...STICKY, type: "NodePort" });
  const to = `n2:${nodePort(net)}`;
  t.is(udp(net, "vm", to, 3), "web-0 web-0 web-0");
  apply(net, "web", { ...UDP, type: "NodePort" });
  t.is(`n2:${nodePort(net)}`, to);
  t.is(udp(net, "vm", to, 3), "web-1 web-0 web-1");
  apply(net, "web", { ...STICKY, type: "NodePort" });
  t.is(udp(net, "vm", to, 3), "web-0 web-0 web-0");
  end(t, net);
});

test("Services should have session affinity timeout work for service with type clusterIP", (t) => {
  const net = world({ ...STICKY, sessionAffinityTimeout: sec(5) });
  t.is(udp(net, "client", "web:80", 3), "web-0 web-0 web-0");
  net.run({ for: sec(6) });
  t.is(udp(net, "client", "web:80", 2), "web-1 web-1");
  end(t, net);
});

test("Services should have session affinity timeout work for NodePort service", (t) => {
  const net = world({ ...STICKY, type: "NodePort", sessionAffinityTimeout: sec(5) });
  const to = `n2:${nodePort(net)}`;
  t.is(udp(net, "vm", to, 2), "web-0 web-0");
  net.run({ for: sec(6) });
  t.is(udp(net, "vm", to, 2), "web-1 web-1");
  end(t, net);
});
