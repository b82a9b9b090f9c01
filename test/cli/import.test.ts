// vnetem import azure: what az prints and an ARM template, in the documented schema with its fields, become
// topologies that run; what is not modelled is reported, field by field.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";
import { importAzure, TopologyError } from "../../src/index.ts";
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
      "rest.json[4]: natgateways nat is not modelled",
      "rest.json[0].securityRules[1]: the prefixes of service tag Storage are not in the export: add them",
      "vnets.json[0].enableDdosProtection: is not modelled",
      "vnets.json[0].subnets[0].serviceEndpoints: is not modelled",
      `vnets.json[0].virtualNetworkPeerings[1]: the peered VNet other ${leftOut}`,
      "rest.json[2].enableAcceleratedNetworking: is not modelled",
      "rest.json[2].ipConfigurations.publicIPAddress: is not modelled",
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
