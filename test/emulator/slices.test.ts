// EndpointSlices that manifests and dumps bring: those nobody derives from a selector are endpoints as
// kube-proxy takes them (K 1.1, 1.3), those of the slice controller are compared with what is made here.

import test from "ava";
import type { Net } from "../../src/emulator/net.ts";
import { ms, sec } from "../../src/emulator/units.ts";
import { cluster, end, linesOf } from "./kit.ts";

type Fields = Readonly<Record<string, unknown>>;

const service = (name: string, spec: Fields = {}): Fields => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name },
  spec: { ports: [{ port: 80, protocol: "UDP" }], ...spec },
});

/** A slice with one unnamed UDP port 8080, unless `more` says otherwise. */
const slice = (name: string, of: string, endpoints: readonly Fields[], more: Fields = {}): Fields => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name, labels: { "kubernetes.io/service-name": of } },
  addressType: "IPv4",
  ports: [{ name: "", port: 8080, protocol: "UDP" }],
  endpoints,
  ...more,
});

const SERVICE_LABEL = "metadata.labels[kubernetes.io/service-name]";
const LOOPBACK = "may not be in the loopback range (127.0.0.0/8, ::1/128)";

const managed = (name: string, of: string, by: string): Fields => ({
  metadata: {
    name,
    labels: { "kubernetes.io/service-name": of, "endpointslice.kubernetes.io/managed-by": by },
  },
});

const list = (...items: readonly Fields[]): string =>
  JSON.stringify({ apiVersion: "v1", kind: "List", items });

/** Three pods "a", "b" and "c" with echo servers on 8080 and 8081, on nodes of two zones, and a client. */
function pods(): Net {
  return cluster(
    (aks) => {
      aks.node("n0", { zone: "east" }).node("n1", { zone: "west" });
      aks.pod("a", { node: "n0", udpEcho: [8080, 8081] });
      aks.pod("b", { node: "n1", udpEcho: [8080, 8081] });
      aks.pod("c", { node: "n1", udpEcho: [8080, 8081], labels: { app: "web" } });
      aks.pod("client", { node: "n0" });
    },
    {},
    0,
  );
}

/** Who `count` datagrams in a row reach, or why they die. */
function reached(net: Net, to: string, count: number): string {
  const sent = Array.from({ length: count }, (_, i) => net.at(net.now + ms(i + 1)).udp("client", to, "x"));
  net.run({ for: ms(count + 5) });
  return sent.map((s) => s.deliveredTo ?? s.dropReason ?? "nobody").join(" ");
}

test("K1.1 slices without a selector are the endpoints, several of them, by address and named port", (t) => {
  const net = pods();
  const ip = (name: string): string => net.pod(name).ip;
  const ports = [
    { name: "one", port: 80, protocol: "UDP" },
    { name: "two", port: 81, protocol: "UDP" },
  ];
  const at = (name: string, port: number): Fields => ({ ports: [{ name, port, protocol: "UDP" }] });
  const { objects, skipped } = net.apply(
    list(
      slice("svc-1", "svc", [{ addresses: [ip("a")] }], at("one", 8080)),
      slice("svc-2", "svc", [{ addresses: [ip("b")] }, { addresses: [ip("a")] }], at("one", 8080)),
      slice("svc-3", "svc", [{ addresses: [ip("b")] }], at("two", 8081)),
      service("svc", { ports }),
    ),
  );
  t.deepEqual(skipped, []);
  t.deepEqual(
    objects.map((o) => o.object),
    [1, 2, 3].map((i) => `endpointslice.discovery.k8s.io/svc-${i}`).concat("service/svc"),
  );
  t.is(reached(net, "svc:80", 4), "a b a b", "the address that stands in two slices counts once");
  t.is(reached(net, "svc:81", 2), "b b");
  t.deepEqual(
    net.endpointSlices("svc").map((s) => [s.ports[0]!.port, s.endpoints.map((e) => e.targetRef)]),
    [
      [8080, ["a"]],
      [8080, ["b", "a"]],
      [8081, ["b"]],
    ],
  );
  // Another answer, another Service, none.
  net.apply(list(slice("svc-2", "svc", [{ addresses: [ip("c")] }], at("one", 8080))));
  t.is(reached(net, "svc:80", 3), "c a c");
  net.soon.kubectl.delete("endpointslice/svc-1");
  t.is(reached(net, "svc:80", 2), "c c");
  net.soon.kubectl.delete("endpointslice/svc-2");
  t.is(reached(net, "svc:80", 1), "SERVICE_REJECT");
  end(t, net);
});

test("K1.3 conditions of slices: nil is ready, terminating serves when nobody is ready", (t) => {
  const net = pods();
  const [a, b, c] = ["a", "b", "c"].map((name) => ({ addresses: [net.pod(name).ip] }));
  const apply = (...endpoints: Fields[]): unknown => net.apply(list(slice("svc-1", "svc", endpoints)));
  net.apply(list(service("svc")));
  apply({ ...a, conditions: {} }, { ...b, conditions: { ready: false } }, { ...c, conditions: null });
  t.is(reached(net, "svc:80", 3), "a c a");
  const leaving = { ready: false, serving: true, terminating: true };
  apply({ ...a, conditions: { ready: false } }, { ...b, conditions: leaving });
  t.is(reached(net, "svc:80", 2), "b b");
  apply({ ...a, conditions: { ready: false } }, { ...b, conditions: { ...leaving, serving: false } });
  t.is(reached(net, "svc:80", 1), "SERVICE_REJECT");
  end(t, net);
});

test("K1.3 hints and nodes of slices: zones keep to themselves, a Local policy to its node", (t) => {
  const net = pods();
  const at = (name: string, nodeName: string, zone: string): Fields => ({
    addresses: [net.pod(name).ip],
    nodeName,
    zone,
    hints: { forZones: [{ name: zone }] },
  });
  const endpoints = [at("a", "n0", "east"), at("b", "n1", "west"), at("c", "n1", "nowhere")];
  net.apply(list(service("svc"), slice("svc-1", "svc", endpoints)));
  t.is(reached(net, "svc:80", 3), "a a a", "the client is in zone east");
  // One ready endpoint without a hint, and hints are off.
  const [first, second] = endpoints as [Fields, Fields, Fields];
  net.apply(list(slice("svc-1", "svc", [first, { ...second, hints: {} }])));
  t.is(reached(net, "svc:80", 2), "b a");
  net.apply(list(service("svc", { internalTrafficPolicy: "Local" })));
  t.is(reached(net, "svc:80", 2), "a a");
  end(t, net);
});

test("slices of another manager join the pods of a selector; who is both is one endpoint", (t) => {
  const net = pods();
  const endpoints = [{ addresses: [net.pod("a").ip] }, { addresses: [net.pod("c").ip] }];
  const { skipped } = net.apply(
    list(
      service("svc", { selector: { app: "web" }, ports: [{ port: 80, targetPort: 8080, protocol: "UDP" }] }),
      slice("svc-1", "svc", endpoints, managed("svc-1", "svc", "my-operator")),
    ),
  );
  t.deepEqual(skipped, []);
  t.is(reached(net, "svc:80", 4), "c a c a");
  // The pod is no longer selected: the slice still names it.
  net.soon.label("c", { app: "other" });
  t.is(reached(net, "svc:80", 3), "c a c");
  net.soon.label("c", { app: "web" });
  t.is(reached(net, "svc:80", 4).split(" ").sort().join(" "), "a a c c");
  end(t, net);
});

test("a headless Service without selector has the names its slices give", (t) => {
  const net = cluster((aks) => {
    aks.dns();
    aks.pod("client", { node: "n0" });
  });
  const endpoints = [
    { addresses: ["10.9.0.1"], hostname: "db-0" },
    { addresses: ["10.9.0.2"] },
    { addresses: ["10.9.0.3"], conditions: { ready: false } },
  ];
  const labels = { "kubernetes.io/service-name": "db", "service.kubernetes.io/headless": "" };
  const metadata = { name: "db-1", labels };
  net.apply(list(service("db", { clusterIP: "None" }), slice("db-1", "db", endpoints, { metadata })));
  const asked = ["db", "db-0.db", "10-9-0-2.db"].map((name) =>
    net.soon.resolve("client", `${name}.default.svc.cluster.local`),
  );
  net.run({ for: ms(20) });
  t.deepEqual(
    asked.map((one) => one.addresses),
    [["10.9.0.1", "10.9.0.2"], ["10.9.0.1"], ["10.9.0.2"]],
  );
  t.deepEqual(
    net.serviceInfo("db").ports[0]!.endpoints.map((e) => [e.ip, e.port, e.ready]),
    [
      ["10.9.0.1", 8080, true],
      ["10.9.0.2", 8080, true],
      ["10.9.0.3", 8080, false],
    ],
  );
  end(t, net);
});

test("in a dump an endpoint that is a pod has the pod's address here; the API server is ours", (t) => {
  const net = cluster((aks) => {
    aks.pod("client", { node: "n0" });
  });
  const pod = (name: string, podIP: string): Fields => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { app: "pg" } },
    spec: {
      nodeName: "n1",
      containers: [{ name: "pg", image: "pg", ports: [{ containerPort: 8080, protocol: "UDP" }] }],
    },
    status: { phase: "Running", podIP },
  });
  const api = { ports: [{ name: "https", port: 443, protocol: "TCP" }], clusterIP: "10.0.0.1" };
  const { skipped } = net.apply(
    list(
      slice("kubernetes", "kubernetes", [{ addresses: ["20.1.2.3"] }]),
      service("kubernetes", api),
      slice("primary-x", "primary", [{ addresses: ["10.244.7.7"] }]),
      {
        apiVersion: "v1",
        kind: "Endpoints",
        metadata: { name: "replica" },
        subsets: [
          {
            addresses: [{ ip: "10.244.7.8", targetRef: { kind: "Pod", name: "pg-1" } }],
            notReadyAddresses: [{ ip: "10.244.7.7" }],
            ports: [{ port: 8080, protocol: "UDP" }],
          },
        ],
      },
      pod("pg-0", "10.244.7.7"),
      pod("pg-1", "10.244.7.8"),
      service("primary"),
      service("replica"),
    ),
  );
  t.deepEqual(skipped, []);
  t.true(net.rolledOut({ within: sec(10) }));
  t.is(reached(net, "primary:80", 2), "pg-0 pg-0");
  t.is(reached(net, "replica:80", 2), "pg-1 pg-1");
  t.is(net.serviceInfo("kubernetes").ports[0]!.endpoints[0]!.ip, "10.224.0.66", "in the nodes' subnet");
  net.run({ for: sec(60) });
  t.true(
    net.clusters[0]!.control.nodes.every((n) => n.ready === "True"),
    "leases are renewed",
  );
  end(t, net);
});

test("what a dump's controller slices say otherwise than the selectors is told", (t) => {
  const net = pods();
  const { skipped } = net.apply(
    list(
      service("svc", { selector: { app: "web" }, ports: [{ port: 80, targetPort: 8080, protocol: "UDP" }] }),
      {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "d", labels: { app: "web" } },
        spec: { containers: [{ name: "d", image: "d", ports: [{ containerPort: 8080, protocol: "UDP" }] }] },
        status: { podIP: "10.244.7.7" },
      },
      slice(
        "svc-1",
        "svc",
        [
          { addresses: ["10.244.7.7"], conditions: { ready: false } },
          { addresses: ["10.244.7.9"], targetRef: { kind: "Pod", name: "gone" } },
          { addresses: ["10.9.9.9"] },
        ],
        {
          ...managed("svc-1", "svc", "endpointslice-controller.k8s.io"),
          ports: [{ name: "", port: 9090, protocol: "UDP" }],
        },
      ),
      slice("old-1", "old", [], managed("old-1", "old", "endpointslice-controller.k8s.io")),
    ),
  );
  t.deepEqual(
    skipped.map(({ path, message }) => [path.split(", ").pop(), message]),
    [
      ["EndpointSlice svc-1", "endpoints[0].conditions.ready is false; pod default/d is started anew here"],
      ["EndpointSlice svc-1", "endpoints[1] is left out: Service svc selects no pod default/gone here"],
      ["EndpointSlice svc-1", "endpoints[2] is left out: Service svc selects no 10.9.9.9 here"],
      ["EndpointSlice svc-1", "ports are left out: Service svc leads to 8080"],
      ["EndpointSlice old-1", `${SERVICE_LABEL} names no Service: there is no default/old`],
    ],
  );
  t.true(net.rolledOut({ within: sec(10) }));
  t.is(reached(net, "svc:80", 4), "c d c d");
  end(t, net);
});

test("what others in a dump own is made anew by them, and not twice", (t) => {
  const net = pods();
  const spec = { containers: [{ name: "a", image: "a", ports: [{ containerPort: 8080, protocol: "UDP" }] }] };
  const labels = { app: "shop" };
  const template = { metadata: { labels }, spec };
  const app = { replicas: 2, selector: { matchLabels: labels }, template };
  const by = (kind: string, name: string): Fields => ({
    ownerReferences: [{ kind, name, controller: true }],
  });
  const pod = (name: string, podIP: string, owner: Fields, more: Fields = {}): Fields => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { ...labels, ...more }, ...owner },
    spec,
    status: { podIP },
  });
  const { objects, skipped } = net.apply(
    list(
      { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "shop" }, spec: app },
      { apiVersion: "apps/v1", kind: "StatefulSet", metadata: { name: "db" }, spec: app },
      {
        apiVersion: "apps/v1",
        kind: "ReplicaSet",
        metadata: { name: "shop-5d", ...by("Deployment", "shop") },
        spec: app,
      },
      pod("shop-5d-x", "10.244.9.1", by("ReplicaSet", "shop-5d"), { "pod-template-hash": "5d" }),
      pod("db-0", "10.244.9.2", by("StatefulSet", "db")),
      pod("lone", "10.244.9.3", by("ReplicaSet", "of-nobody-here")),
      service("svc", { selector: labels, ports: [{ port: 80, targetPort: 8080, protocol: "UDP" }] }),
      slice(
        "svc-1",
        "svc",
        [1, 2, 3].map((i) => ({ addresses: [`10.244.9.${i}`] })),
        managed("svc-1", "svc", "endpointslice-controller.k8s.io"),
      ),
    ),
  );
  t.deepEqual(
    skipped.map(({ path, message }) => [path.split(", ").pop(), message]),
    [
      [
        "Deployment shop",
        "the Deployment makes what it owns anew: 2 of its objects in the manifest are left out",
      ],
      [
        "StatefulSet db",
        "the StatefulSet makes what it owns anew: 1 of its objects in the manifest are left out",
      ],
    ],
  );
  t.is(objects.length, 5);
  t.true(net.rolledOut({ within: sec(10) }));
  t.is(net.endpointSlices("svc")[0]!.endpoints.length, 5, "two, two and the one nobody here owns");
  end(t, net);
});

test("slices of IPv6 and of names, of no Service, and parts of no use are told and left out", (t) => {
  const net = pods();
  const { skipped } = net.apply(
    list(
      service("svc"),
      slice("v6", "svc", [{ addresses: ["2001:db8::1"] }], { addressType: "IPv6" }),
      slice("names", "svc", [{ addresses: ["db.example.com"] }], { addressType: "FQDN" }),
      slice("alone", "svc", [], { metadata: { name: "alone" } }),
      slice(
        "odd",
        "svc",
        [
          {
            addresses: ["10.9.0.1", "10.9.0.2"],
            nodeName: "far",
            hints: { forZones: [{ name: "east" }, { name: "west" }] },
          },
        ],
        { ports: [{ name: "" }] },
      ),
    ),
  );
  t.deepEqual(
    skipped.map(({ path, message }) => `${path.split(", ").pop()}: ${message}`),
    [
      "EndpointSlice v6: addressType IPv6 is not modelled: the slice is left out",
      "EndpointSlice names: addressType FQDN is not modelled: the slice is left out",
      "EndpointSlice alone: metadata.labels has no kubernetes.io/service-name: it belongs to no Service",
      "EndpointSlice odd: endpoints[0].nodeName names no machine of cluster aks: the endpoint is on none",
      "EndpointSlice odd: endpoints[0].addresses[1] kube-proxy takes the first only",
      "EndpointSlice odd: endpoints[0].hints.forZones has several: the first that is here counts",
      "EndpointSlice odd: ports[0] has no port number: kube-proxy ignores it",
    ],
  );
  t.is(reached(net, "svc:80", 1), "SERVICE_REJECT");
  end(t, net);
});

test("mistakes in slices and Endpoints, in the API server's words", (t) => {
  const net = pods();
  const of = (...objects: Fields[]): string[] =>
    linesOf(() => net.apply(list(...objects))).map((line) => line.replace(/^.*?(Slice|Endpoints) \w+: /, ""));
  t.deepEqual(of(slice("x", "svc", [{ addresses: [] }], { addressType: "IPv5" })), [
    'addressType: Unsupported value: "IPv5": supported values: "FQDN", "IPv4", "IPv6"',
    "endpoints[0].addresses: Required value: must contain at least 1 address",
  ]);
  const hints = { forZones: [{ name: "east" }, { name: "east" }] };
  const bad = ["0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.5", "10.0.0"].map((ip) => ({
    addresses: [ip],
  }));
  const ports = [
    { name: "a", port: 1 },
    { name: "a", port: 2, protocol: "ICMP" },
  ];
  t.deepEqual(of(slice("x", "svc", [...bad, { addresses: ["10.9.0.1"], hints }], { ports })), [
    'endpoints[0].addresses[0]: Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0 or ::)',
    `endpoints[1].addresses[0]: Invalid value: "127.0.0.1": ${LOOPBACK}`,
    'endpoints[2].addresses[0]: Invalid value: "169.254.1.1": ' +
      "may not be in the link-local range (169.254.0.0/16, fe80::/10)",
    'endpoints[3].addresses[0]: Invalid value: "224.0.0.5": ' +
      "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
    'endpoints[4].addresses[0]: Invalid value: "10.0.0": must be a valid IPv4 address',
    'endpoints[5].hints.forZones[1].name: Duplicate value: "east"',
    'ports[1].name: Duplicate value: "a"',
    'ports[1].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"',
  ]);
  const many = Array.from({ length: 1001 }, () => ({ addresses: ["10.9.0.1"] }));
  t.deepEqual(of(slice("x", "svc", many)), ["endpoints: Too many: 1001: must have at most 1000 items"]);
  t.deepEqual(of(slice("x", "svc", [{ addresses: "10.9.0.1" }])), [
    'endpoints[0].addresses: Invalid value: "string": must be of type array',
  ]);
  const subsets = [{ addresses: [{ ip: "127.0.0.1" }], ports: [{ port: 0 }] }, {}];
  t.deepEqual(of({ apiVersion: "v1", kind: "Endpoints", metadata: { name: "x" }, subsets }), [
    `subsets[0].addresses[0].ip: Invalid value: "127.0.0.1": ${LOOPBACK}`,
    "subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
    "subsets[1]: Required value: must specify `addresses` or `notReadyAddresses`",
  ]);
  end(t, net);
});
