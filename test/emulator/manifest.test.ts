// Manifests applied to a cluster: what people wrote for a real one runs here as it stands, and what is wrong
// with one is said as the API server says it, all at once.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { sec } from "../../src/emulator/units.ts";
import { findRoot } from "../tidy/source.ts";
import { cluster, end, linesOf } from "./kit.ts";

const FIXTURES = join(findRoot(), "test/emulator/manifests");
const SHOP = readFileSync(join(FIXTURES, "shop.yaml"), "utf8");

/** Public manifests of others, beside the repository and no part of it: a test for each one that is there. */
const PUBLIC = process.env.VNETEM_MANIFESTS ?? join(findRoot(), "../shared/manifests");
const publicOnes = existsSync(PUBLIC) ? readdirSync(PUBLIC).filter((name) => name.endsWith(".yaml")) : [];

for (const name of publicOnes) {
  test(`${name}, unchanged: every Deployment becomes ready, every Service answers`, (t) => {
    const net = cluster(() => {}, {}, 3);
    const { objects } = net.apply(readFileSync(join(PUBLIC, name), "utf8"), { file: name });
    t.true(objects.length > 0);
    t.true(net.rolledOut({ within: sec(300) }));
    const tried = net.tryServices();
    t.true(tried.length > 0);
    for (const { service, port, protocol, answer } of tried) {
      t.is(answer, "answered", `${service} ${port}/${protocol}`);
    }
    t.deepEqual(
      net.skipped.filter(({ message }) => !message.startsWith("kind ServiceAccount is not")),
      [],
    );
    end(t, net);
  });
}

test("one of each kind becomes ready, and its Services answer", (t) => {
  const net = cluster(() => {}, {}, 3);
  const { objects, skipped } = net.apply(SHOP);
  t.deepEqual(skipped, []);
  t.deepEqual(
    objects.map((o) => `${o.object} ${o.result}`),
    [
      "namespace/shop created",
      "deployment.apps/web created",
      "service/web created",
      "statefulset.apps/db created",
      "service/db created",
      "daemonset.apps/agent created",
      "service/agent created",
      "service/cache created",
      "pod/probe created",
      "networkpolicy.networking.k8s.io/db created",
    ],
  );
  t.true(net.rolledOut({ within: sec(60) }));
  t.deepEqual(
    net.tryServices().map((s) => `${s.service} ${s.port}/${s.protocol} ${s.answer}`),
    [
      "shop/web 80/TCP answered",
      "shop/web 9102/TCP answered",
      // The node is not among those the policy lets in, unless it is the pod's own.
      "shop/db 5432/TCP answered",
      "shop/agent 8125/UDP answered",
    ],
  );
  const pods = net.podInfos("db").map((pod) => pod.name);
  t.deepEqual(pods, ["db-0", "db-1"]);
  t.deepEqual(new Set(net.podInfos("agent").map((pod) => pod.node)), new Set(["n0", "n1", "n2"]));
  // The init container, the startup probe at 0 s, the readiness probes at 0 s and 10 s (every 10 s, once 4 s
  // have passed) make the web pods the last.
  const web = net.clusters[0]!.control.deployments.get("shop/web")!;
  t.is(Math.max(...[...web.sets[0]!.pods].map((pod) => pod.readySince)), sec(12));
  end(t, net);
});

const WEB = (more = "", image = "web:1"): string => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: a, image: "${image}", ports: [{ containerPort: 80 }] }] }
${more}
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { type: NodePort, selector: { app: web }, ports: [{ port: 80 }] }
`;

test("applied again it is unchanged or configured; a Service keeps its address and its NodePort", (t) => {
  const net = cluster(() => {});
  net.apply(WEB());
  t.true(net.rolledOut({ within: sec(5) }));
  const { clusterIP, ports } = net.serviceInfo("web");
  t.deepEqual(
    net.apply(WEB()).objects.map((o) => o.result),
    ["unchanged", "unchanged"],
  );
  const changed = WEB("", "web:2").replace(
    "ports: [{ port: 80 }]",
    "ports: [{ port: 80 }, { port: 81, name: b }]",
  );
  t.deepEqual(
    linesOf(() => net.apply(changed)),
    ["manifest: document 2, Service web: spec.ports[0].name: Required value"],
  );
  const named = changed.replace("{ port: 80 }, {", "{ port: 80, name: a }, {");
  t.deepEqual(
    net.apply(named).objects.map((o) => o.result),
    ["configured", "configured"],
  );
  const after = net.serviceInfo("web");
  t.is(after.clusterIP, clusterIP);
  t.deepEqual([after.ports[0]!.nodePort, after.ports[1]!.nodePort], [ports[0]!.nodePort, 30087]);
  t.true(net.rolledOut({ within: sec(120) }));
  t.is(net.clusters[0]!.control.deployments.get("default/web")!.sets.length, 2);
  end(t, net);
});

test("mistakes are listed by file, document, path and rule, and then nothing is applied", (t) => {
  const net = cluster(() => {});
  const bad = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: Web }
spec:
  replicas: -1
  selector: { matchLabels: { app: web } }
  strategy: { type: Recreate, rollingUpdate: { maxSurge: 0, maxUnavailable: 0 } }
  template:
    metadata: { labels: { app: other } }
    spec:
      containers:
        - { name: a, image: web, ports: [{ containerPort: 70000 }, { name: Web, containerPort: 1 }] }
        - { name: a, resources: { requests: { cpu: 2, memory: lots } } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: two }
spec:
  replicas: "3"
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: three }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: other } }
    spec:
      restartPolicy: Never
      containers: [{ name: a, readinessProbe: {}, ports: [{ containerPort: 0 }] }]
---
apiVersion: v1
kind: Service
metadata: { name: 1web }
spec: { type: Balancer, selector: { app: web }, ports: [{ port: 80, nodePort: 1 }] }
---
apiVersion: v1
kind: Service
metadata: { name: ok }
spec: { clusterIP: 10.9.9.9, ports: [{ port: 80, nodePort: 30000 }] }
---
kind: Service
---
apiVersion: v1
kind: Pod
metadata: [
`;
  const at = (i: number, kind: string, text: string): string => `app.yaml: document ${i}, ${kind}: ${text}`;
  const C = "spec.template.spec.containers";
  const lines = linesOf(() => net.apply(bad, { file: "app.yaml" }));
  const expected = [
    "app.yaml: document 6: Object 'apiVersion' is missing",
    "app.yaml: document 7, line 48: Flow sequence in block collection must be sufficiently indented",
    at(
      1,
      "Deployment Web",
      'spec.template.spec.containers[1].resources.requests.memory: Invalid value: "lots"',
    ),
    at(
      1,
      "Deployment Web",
      'metadata.name: Invalid value: "Web": a lowercase RFC 1123 subdomain must consist of',
    ),
    at(1, "Deployment Web", "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
    at(
      1,
      "Deployment Web",
      C + "[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535",
    ),
    at(1, "Deployment Web", C + '[0].ports[1].name: Invalid value: "Web": must contain only alpha-numeric'),
    at(1, "Deployment Web", C + '[1].name: Duplicate value: "a"'),
    at(1, "Deployment Web", C + "[1].image: Required value"),
    at(
      1,
      "Deployment Web",
      'spec.template.metadata.labels: Invalid value: {"app":"other"}: `selector` does not',
    ),
    at(
      1,
      "Deployment Web",
      "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is",
    ),
    at(
      1,
      "Deployment Web",
      "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when",
    ),
    at(2, "Deployment two", 'spec.replicas: Invalid value: "string": must be of type integer'),
    at(
      3,
      "Deployment three",
      'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Al',
    ),
    at(3, "Deployment three", C + "[0].image: Required value"),
    at(
      3,
      "Deployment three",
      C + "[0].ports[0].containerPort: Invalid value: 0: must be between 1 and 65535, inc",
    ),
    at(3, "Deployment three", C + "[0].readinessProbe: Required value: must specify a handler type"),
    at(
      3,
      "Deployment three",
      'spec.template.metadata.labels: Invalid value: {"app":"other"}: `selector` does not',
    ),
    at(
      4,
      "Service 1web",
      'metadata.name: Invalid value: "1web": a DNS-1035 label must consist of lower case',
    ),
    at(
      4,
      "Service 1web",
      'spec.type: Unsupported value: "Balancer": supported values: "ClusterIP", "External',
    ),
    at(5, "Service ok", "spec.clusterIP: 10.9.9.9 lies outside 10.0.0.0/16"),
    at(5, "Service ok", 'spec.nodePort: may not be used when type is "ClusterIP"'),
  ];
  t.deepEqual(
    lines.map((line, i) => (line.startsWith(expected[i] ?? "-") ? expected[i] : line)),
    expected,
  );
  t.is(net.clusters[0]!.services.length + net.clusters[0]!.control.deployments.size, 0);
  end(t, net);
});

test("what is not known is skipped and said, never fatal", (t) => {
  const net = cluster(() => {});
  const { objects, skipped } = net.apply(`${WEB("  replica: 3\n")}
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: web }
---
apiVersion: extensions/v1beta1
kind: Deployment
metadata: { name: old }
`);
  t.is(objects.length, 2);
  t.deepEqual(
    skipped.map(({ path, message }) => `${path}: ${message}`),
    [
      'manifest: document 1, Deployment web: unknown field "spec.replica"',
      "manifest: document 3, ServiceAccount web: kind ServiceAccount is not modelled",
      "manifest: document 4, Deployment old: " +
        'no matches for kind "Deployment" in version "extensions/v1beta1"; it is apps/v1',
    ],
  );
  end(t, net);
});

test("kubectl get -o json: a List with the fields only a server fills in", (t) => {
  const net = cluster(() => {});
  const metadata = { uid: "6d5c", resourceVersion: "17", creationTimestamp: "2026-01-01T00:00:00Z" };
  const items = [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { ...metadata, name: "web", namespace: "default" },
      spec: {
        clusterIP: "10.0.4.7",
        clusterIPs: ["10.0.4.7"],
        ipFamilies: ["IPv4"],
        ipFamilyPolicy: "SingleStack",
        internalTrafficPolicy: "Cluster",
        sessionAffinity: "None",
        type: "ClusterIP",
        selector: { app: "web" },
        ports: [{ port: 80, protocol: "TCP", targetPort: "http" }],
      },
      status: { loadBalancer: {} },
    },
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { ...metadata, name: "web-7d9c-x2x4q", namespace: "default", labels: { app: "web" } },
      spec: {
        containers: [
          { name: "a", image: "web", ports: [{ name: "http", containerPort: 8080, protocol: "TCP" }] },
        ],
        nodeName: "n1",
        dnsPolicy: "ClusterFirst",
        priority: 0,
        tolerations: [
          {
            effect: "NoExecute",
            key: "node.kubernetes.io/not-ready",
            operator: "Exists",
            tolerationSeconds: 300,
          },
        ],
      },
      status: { phase: "Running", podIP: "10.224.0.40" },
    },
    {
      apiVersion: "v1",
      kind: "Node",
      metadata: { ...metadata, name: "n0", labels: { disk: "ssd" } },
      spec: {
        podCIDR: "10.244.0.0/24",
        providerID: "azure:///subscriptions/x",
        unschedulable: true,
        taints: [
          {
            key: "node.kubernetes.io/unschedulable",
            effect: "NoSchedule",
            timeAdded: "2026-01-01T00:00:00Z",
          },
          { key: "team", value: "shop", effect: "NoExecute" },
        ],
      },
      status: { allocatable: { cpu: "1900m", memory: "4Gi", pods: "30" }, capacity: { cpu: "2" } },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: {
        ...metadata,
        name: "web-x7k2p",
        namespace: "default",
        labels: {
          "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
          "kubernetes.io/service-name": "web",
        },
      },
      addressType: "IPv4",
      endpoints: [{ addresses: ["10.224.0.40"], conditions: { ready: true }, nodeName: "n1" }],
      ports: [{ name: "", port: 8080, protocol: "TCP" }],
    },
    { apiVersion: "v1", kind: "Node", metadata: { ...metadata, name: "elsewhere" }, spec: {} },
  ];
  const { objects, skipped } = net.apply(
    JSON.stringify({ apiVersion: "v1", kind: "List", items, metadata: {} }),
  );
  t.deepEqual(skipped, [
    {
      path: "manifest: document 1, item 5, Node elsewhere",
      message: "metadata.name names no machine of cluster aks",
    },
  ]);
  t.deepEqual(
    objects.map((o) => o.object),
    ["service/web", "pod/web-7d9c-x2x4q", "node/n0", "endpointslice.discovery.k8s.io/web-x7k2p"],
  );
  const n0 = net.clusters[0]!.control.nodes[0]!;
  t.deepEqual([n0.labels.disk, n0.cordoned, n0.cpu, n0.memory], ["ssd", true, 1900, 4 * 2 ** 30]);
  t.deepEqual(
    n0.taints.map(({ key, effect }) => `${key}:${effect}`),
    ["team:NoExecute", "node.kubernetes.io/unschedulable:NoSchedule"],
  );
  t.true(net.rolledOut({ within: sec(10) }));
  t.is(net.pod("web-7d9c-x2x4q").node, "n1");
  t.deepEqual(
    net.tryServices().map((s) => s.answer),
    ["answered"],
  );
  t.is(net.clusterIp("web"), "10.0.4.7");
  end(t, net);
});

test("exec probes ask the script; a container that is not healthy leaves the Service", (t) => {
  const net = cluster(() => {});
  net.apply(SHOP);
  const asked: string[] = [];
  net.clusters[0]!.control.exec = (_pod, container, command) => {
    asked.push(`${container}: ${command.join(" ")}`);
    return 1;
  };
  t.false(net.rolledOut({ within: sec(60) }));
  t.true(asked.includes("metrics: metrics --check"));
  t.true(net.serviceInfo("web").ports[0]!.endpoints.every((e) => !e.ready));
  const { list } = net.clusters[0]!.control.events;
  const unhealthy = list.filter((e) => e.reason === "Unhealthy");
  t.is(unhealthy.length, 3);
  t.is(unhealthy[0]!.message, "Readiness probe failed: command failed with exit code 1");
  end(t, net);
});
