// EndpointSlices: conditions, zones and hints of K 1.3 as objects, and that nodes do what they say.

import test from "ava";
import { ms, sec } from "../../src/emulator/units.ts";
import { cluster, end } from "./kit.ts";

const UDP = { port: 80, targetPort: 8080, protocol: "UDP" } as const;

test("K1.3 conditions of a pod that is ready, is not, and terminates", (t) => {
  const net = cluster((aks) => {
    aks.deployment("web", { replicas: 3, udpEcho: 8080 });
    aks.service("web", { ...UDP, name: "dns" });
  });
  net.soon.ready("web-0", false);
  net.soon.terminatePod("web-1", sec(30));
  net.run({ for: ms(1) });
  const [slice, ...more] = net.endpointSlices("web");
  t.deepEqual(more, []);
  t.deepEqual(slice!.ports, [{ name: "dns", port: 8080, protocol: "UDP" }]);
  t.deepEqual(
    slice!.endpoints.map((e) => [e.targetRef, e.nodeName, e.addresses[0], e.conditions]),
    [
      ["web-0", "n0", net.pod("web-0").ip, { ready: false, serving: false, terminating: false }],
      ["web-1", "n1", net.pod("web-1").ip, { ready: false, serving: true, terminating: true }],
      ["web-2", "n0", net.pod("web-2").ip, { ready: true, serving: true, terminating: false }],
    ],
  );
  end(t, net);
});

test("K1.3 zones and hints: those of trafficDistribution, and those that are written by hand", (t) => {
  const net = cluster(
    (aks) => {
      aks.node("x", { zone: "1" }).node("y", { zone: "2" });
      aks.pod("a", { node: "x", labels: { app: "web" }, udpEcho: 8080 });
      aks.pod("b", { node: "y", labels: { app: "web" }, udpEcho: 8080 });
      aks.service("web", { ...UDP, trafficDistribution: "PreferSameNode" });
      aks.pod("client", { node: "x", labels: {} });
    },
    {},
    0,
  );
  t.deepEqual(
    net.endpointSlices("web")[0]!.endpoints.map(({ zone, hints }) => [zone, hints]),
    [
      ["1", { forZones: ["1"], forNodes: ["x"] }],
      ["2", { forZones: ["2"], forNodes: ["y"] }],
    ],
  );
  // By hand, crossed: zone 1 shall use b.
  const [a, b] = [net.pod("a").ip, net.pod("b").ip];
  const endpoints = [
    { ip: a, node: "x", forZone: "2" },
    { ip: b, node: "y", forZone: "1" },
  ];
  net.soon.service("crossed", { ...UDP, selector: null, endpoints });
  net.run({ for: ms(1) });
  t.deepEqual(
    net
      .endpointSlices("crossed")[0]!
      .endpoints.map((e) => [e.targetRef, e.nodeName, e.zone, e.hints.forZones]),
    [
      ["a", "x", "1", ["2"]],
      ["b", "y", "2", ["1"]],
    ],
  );
  const sent = [0, 1, 2].map((i) => net.at(net.now + ms(i)).udp("client", "crossed:80", "x"));
  net.run({ for: ms(10) });
  t.deepEqual(
    sent.map((s) => s.deliveredTo),
    ["b", "b", "b"],
  );
  end(t, net);
});

test("a named endpoint's conditions decide as a pod's do", (t) => {
  const net = cluster((aks) => {
    aks.deployment("web", { replicas: 2, udpEcho: 8080, labels: {} });
    aks.pod("client", { node: "n1", labels: {} });
    aks.service("svc", { ...UDP, selector: null });
  });
  const [one, two] = net.podInfos("web").map((p) => p.ip);
  const reached = (endpoints: object[]): (string | null)[] => {
    net.soon.service("svc", { ...UDP, selector: null, endpoints: endpoints as never });
    const sent = [1, 2].map((i) => net.at(net.now + ms(i)).udp("client", "svc:80", "x"));
    net.run({ for: ms(10) });
    return sent.map((s) => s.deliveredTo);
  };
  t.deepEqual(reached([{ ip: one }, { ip: two }]), ["web-0", "web-1"]);
  t.deepEqual(reached([{ ip: one, ready: false }, { ip: two }]), ["web-1", "web-1"]);
  const leaving = { ready: false, serving: true, terminating: true };
  t.deepEqual(
    reached([
      { ip: one, ready: false },
      { ip: two, ...leaving },
    ]),
    ["web-1", "web-1"],
  );
  t.deepEqual(reached([{ ip: one, ready: false }]), [null, null]);
  end(t, net);
});

test("a slice holds 100 endpoints at most; ports that differ make slices of their own", (t) => {
  const net = cluster(
    (aks) => {
      aks.deployment("web", { replicas: 150, udpEcho: 8080 });
      aks.service("web", UDP);
      const ports = [
        { name: "a", port: 80 },
        { name: "b", port: 81 },
      ];
      const endpoints = [
        { ip: "10.244.0.4", portName: "a" },
        { ip: "10.244.0.4", portName: "b" },
      ];
      aks.service("named", { ports, selector: null, endpoints });
      aks.service("out", { type: "ExternalName", externalName: "example.com" });
    },
    { cni: "azure-overlay" },
  );
  t.deepEqual(
    net.endpointSlices("web").map((s) => s.endpoints.length),
    [100, 50],
  );
  t.deepEqual(
    net.endpointSlices("named").map((s) => s.ports.map((p) => p.name).join()),
    ["a", "b"],
  );
  t.deepEqual(net.endpointSlices("out"), []);
  end(t, net);
});
