// vnetem import azure: what az prints and an ARM template, in the documented schema with its fields, become
// topologies that run; what is not modelled is reported, field by field.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { importAzure, type Net, TopologyError, topologyFromJson } from "../../src/index.ts";
import { cleanUp, dir, vnetem } from "./command.ts";

const AZURE = fileURLToPath(new URL("../../../test/emulator/azure/", import.meta.url));
const file = (name: string) => ({ name, text: readFileSync(AZURE + name, "utf8") });

test.after.always(cleanUp);

test("lists of az network … -o json become a topology; what is not modelled is said", async (t) => {
  const out = join(dir, "az.ts");
  const leftOut = "is in none of the files: the peering is left out";
  const { code, stdout, stderr } = await vnetem(
    "import",
    "azure",
    `${AZURE}vnets.json`,
    `${AZURE}rest.json`,
    "-o",
    out,
  );
  t.is(code, 0, stderr);
  t.is(stdout, `wrote ${out}\n`);
  t.deepEqual(
    stderr
      .trimEnd()
      .split("\n")
      .map((line) => line.replaceAll(AZURE, "")),
    [
      "rest.json[0].securityRules[1]: the prefixes of service tag Storage are not in the export: add them",
      "rest.json[4]: none of its public addresses is in the files: the NAT gateway is left out",
      "vnets.json[0].enableDdosProtection: is not modelled",
      `vnets.json[0].virtualNetworkPeerings[1]: the peered VNet other ${leftOut}`,
      "rest.json[2].enableAcceleratedNetworking: is not modelled",
      "rest.json[2]: its public address pip is in none of the files",
    ],
  );
  t.is((await vnetem("run", out)).code, 0);
  const hop = await vnetem("diagnose", "next-hop", out, "web", "8.8.8.8");
  t.is(hop.stdout, "VirtualAppliance 10.0.1.4 (via-hub)\n");
  const flow = await vnetem("diagnose", "ip-flow", out, "web", "In", "443", "nva-nic-1:1000");
  t.is(flow.stdout, "Allow by securityRules/https of web-nsg\n");
  const connect = await vnetem("diagnose", "connect", out, "nva-nic-1", "web:443");
  t.true(connect.stdout.startsWith("Reachable\n"), connect.stdout);
});

test("an ARM template: parameters, variables, resourceId, children inside and beside", async (t) => {
  const { source, notes } = importAzure([file("template.json")]);
  t.deepEqual(notes, []);
  const out = join(dir, "arm.ts");
  writeFileSync(out, source);
  const matrix = await vnetem("diagnose", "matrix", out, "--json", "--proto", "udp", "--port", "5432");
  t.deepEqual(
    JSON.parse(matrix.stdout).map((c: Record<string, string>) => `${c.source} ${c.destination} ${c.access}`),
    ["front db Reachable", "db front Reachable"],
  );
  const other = await vnetem("diagnose", "ip-flow", out, "db", "In", "80", "front:1000");
  t.is(other.stdout, "Deny by securityRules/deny-rest of prod-nsg\n");
});

test("what cannot be read is listed, file by file", async (t) => {
  const error = t.throws(
    () =>
      importAzure([
        { name: "a.json", text: "{" },
        { name: "b.json", text: '[1, {"name": "x"}]' },
        {
          name: "c.json",
          text: '{"resources": [{"type": "Microsoft.Network/routeTables", "name": "[copyIndex()]"}]}',
        },
      ]),
    { instanceOf: TopologyError },
  );
  t.deepEqual(
    error?.problems
      .map(({ path, message }) => `${path}: ${message}`)
      .map((line) => line.replace(/(is no JSON).*/, "$1")),
    [
      "a.json: is no JSON",
      "b.json[0]: is no Azure resource",
      "b.json[1]: has no type and name of an Azure resource",
      "c.json[0].name: the expression [copyIndex()] is not evaluated",
    ],
  );
  const missing = await vnetem("import", "azure", "nowhere.json");
  t.is(missing.code, 2);
  t.regex(missing.stderr, /^vnetem: .*nowhere\.json/);
});

/** Imports a file as TypeScript and as JSON; both run, and are the same network. The JSON's, built here. */
async function both(t: ExecutionContext, name: string): Promise<Net> {
  const matrices: string[] = [];
  for (const out of [join(dir, `${name}.ts`), join(dir, `${name}-topology.json`)]) {
    const { code, stderr } = await vnetem("import", "azure", `${AZURE}${name}.json`, "-o", out);
    t.is(code, 0, stderr);
    const run = await vnetem("run", out);
    t.is(run.code, 0, run.stderr);
    matrices.push((await vnetem("diagnose", "matrix", out, "--json")).stdout);
  }
  t.is(matrices[0], matrices[1]);
  return topologyFromJson(JSON.parse(importAzure([file(`${name}.json`)]).json)).build();
}

const notes = (name: string) =>
  importAzure([file(name)]).notes.map(({ path, message }) => `${path}: ${message}`);

test("lists with every field Azure emits, endpoints and zones, as TypeScript and JSON", async (t) => {
  const missing = "are not in the export: add them";
  t.deepEqual(notes("az-lists.json"), [
    `az-lists.json[1].subnets[0].serviceEndpoints: the prefixes of service tag Storage ${missing}`,
    "az-lists.json[9]: what it stands for becomes host reports of the stand-in site azure-services",
    "az-lists.json[16].probes[0].noHealthyBackendsBehavior: is not modelled",
  ]);
  const net = await both(t, "az-lists");
  const { diagnose } = net;
  t.is(diagnose.nextHop("web-nic", "10.1.9.4").nextHopType, "InterfaceEndpoint");
  t.is(diagnose.connect("fw-nic", "10.1.9.4:443").connectionStatus, "Reachable");
  const ssh = { direction: "Inbound", protocol: "tcp", local: "22", remote: "admin-nic:40000" } as const;
  t.is(diagnose.ipFlow("web-nic", ssh).ruleName, "securityRules/from-admins");
  t.is(diagnose.ipFlow("web-nic", { ...ssh, remote: "fw-nic:40000" }).ruleName, "securityRules/no-ssh");
  t.deepEqual(net.spec.loadBalancers[0]?.rules?.https, {
    ...{ frontend: "front", backendPool: "web", protocol: "Tcp", frontendPort: 443, backendPort: 8443 },
    ...{ idleTimeoutInMinutes: 4, probe: "alive", loadDistribution: "SourceIP", enableTcpReset: true },
  });
  t.deepEqual(net.spec.loadBalancers[0]?.backendPools, { web: ["web-nic"] });
  t.deepEqual(net.spec.natGateways, [{ name: "nat", publicIps: ["pip-nat"], idleTimeoutInMinutes: 10 }]);
  const asked = net.soon.resolve("web-nic", "reports.privatelink.blob.core.windows.net");
  net.run({ for: 1e6 });
  t.deepEqual(asked.addresses, ["10.1.9.4"]);
});

test("a template as az group export writes it: children beside, expressions", async (t) => {
  t.deepEqual(notes("arm-export.json"), [
    "arm-export.json[8]: microsoft.compute/virtualmachines db0 is not modelled",
    "arm-export.json[5].enableAcceleratedNetworking: is not modelled",
    "arm-export.json[6].enableAcceleratedNetworking: is not modelled",
    "arm-export.json[7]: what it stands for becomes host secrets of the stand-in site azure-services",
  ]);
  const { diagnose } = await both(t, "arm-export");
  t.is(diagnose.connect("app0", "db0:5432").connectionStatus, "Reachable");
  const issue = (to: string) => diagnose.connect("app0", to).hops.flatMap((hop) => hop.issues)[0]?.context;
  t.is(issue("db0:80")?.find((c) => c.ruleName !== undefined)?.ruleName, "securityRules/rest");
  t.is(issue("10.50.2.10:443")?.[0]?.reason, "VNET_ENDPOINT_STATE");
});

test("a JSON topology of another shape is refused with every mistake", async (a) => {
  const out = join(dir, "bad.json");
  const bad = {
    vnets: [{ name: "a", addressSpace: "10.0.0.0/8", subnet: [] }, 7],
    nsgs: [
      {
        name: "n",
        rules: [{ name: "r", priority: "1", direction: "Inbound", access: "Deny", sourcePorts: [{}] }],
      },
    ],
    vms: { name: "x" },
    privateLinkServices: [{ name: "p", subnet: "a/b", natIps: "2" }],
  };
  writeFileSync(out, JSON.stringify(bad));
  const { code, stderr } = await vnetem("run", out);
  a.is(code, 2);
  a.deepEqual(
    stderr
      .trimEnd()
      .split("\n")
      .map((line) => line.replace("vnetem: ", "").trim())
      .filter((l) => l !== ""),
    [
      "vnets[0].addressSpace: is no list",
      'vnets[0].subnet: there is no such field; did you mean "subnets"?',
      "vnets[1]: is no object",
      "nsgs[0].rules[0].priority: is no number",
      "nsgs[0].rules[0].sourcePorts: is none of: number, string, list",
      "vms: is no list",
      "privateLinkServices[0].natIps: is none of: number, list",
      "privateLinkServices[0].target: is missing",
    ],
  );
  writeFileSync(out, "{");
  a.regex((await vnetem("run", out)).stderr, /bad\.json is no JSON/);
  a.regex((await vnetem("run", join(dir, "none.json"))).stderr, /cannot read .*none\.json: ENOENT/);
});
