// Network configurations: every mistake with its path, the version that is chosen, and what each plugin gets
// to read.

import test from "ava";
import { CniError } from "../../../src/cni/spec/error.ts";
import { deriveConfig, parsePluginConfig } from "../../../src/cni/spec/execution-config.ts";
import { parseNetworkConfigText } from "../../../src/cni/spec/network-config.ts";
import { CNI_VERSIONS, type CniVersion } from "../../../src/cni/spec/version.ts";

function refusal(run: () => unknown): CniError {
  try {
    run();
  } catch (error) {
    if (error instanceof CniError) return error;
    throw error;
  }
  throw new Error("accepted");
}

const list = {
  cniVersion: "1.0.0",
  name: "dbnet",
  plugins: [{ type: "bridge", ipam: { type: "host-local" } }, { type: "portmap" }],
};

test("A8.89 a bad network configuration is code 7 and tells every mistake with its path", (t) => {
  const text = JSON.stringify({
    cniVersion: "1.0.0",
    name: "-db",
    disableCheck: "maybe",
    plugins: [
      { type: "../bridge", ipMasq: 1, ipam: { subnet: "10.0.0.0/8" }, dns: { nameservers: ["x", 5] } },
      "portmap",
      { capabilities: { portMappings: "yes" } },
    ],
  });
  const error = refusal(() => parseNetworkConfigText(text));
  t.is(error.code, 7);
  for (const path of [
    "name",
    "disableCheck",
    "plugins[0].type",
    "plugins[0].ipMasq",
    "plugins[0].ipam.type",
    "plugins[0].dns.nameservers[0]",
    "plugins[0].dns.nameservers[1]",
    "plugins[1]",
    "plugins[2].type",
    "plugins[2].capabilities.portMappings",
  ]) {
    t.true(error.details.includes(`${path}: `), `${path} in ${error.details}`);
  }
});

const BAD: [string, string, number][] = [
  ["no JSON", "{", 6],
  ["empty input", "", 6],
  ["a list instead of an object", "[]", 6],
  ["null", "null", 6],
  ["no name", JSON.stringify({ ...list, name: undefined }), 7],
  ["empty name", JSON.stringify({ ...list, name: "" }), 7],
  ["name is a number", JSON.stringify({ ...list, name: 7 }), 7],
  ["no plugins", JSON.stringify({ ...list, plugins: undefined }), 7],
  ["empty plugins", JSON.stringify({ ...list, plugins: [] }), 7],
  ["plugins is an object", JSON.stringify({ ...list, plugins: {} }), 7],
  ["version is a number", JSON.stringify({ ...list, cniVersion: 1 }), 7],
  ["version nobody has", JSON.stringify({ ...list, cniVersion: "0.9.0" }), 1],
  ["version of the future", JSON.stringify({ ...list, cniVersion: "2.0.0" }), 1],
  ["no version at all in the text", JSON.stringify({ ...list, cniVersion: "one" }), 6],
  ["only future versions", JSON.stringify({ ...list, cniVersion: "1.2.0", cniVersions: ["2.0.0"] }), 1],
  ["cniVersions with a non-version", JSON.stringify({ ...list, cniVersions: ["x"] }), 7],
];

for (const [title, text, code] of BAD) {
  test(`A8.89 ${title} is code ${code}`, (t) => t.is(refusal(() => parseNetworkConfigText(text)).code, code));
}

const VERSIONS: [string, object, CniVersion][] = [
  ["none", {}, "0.1.0"],
  ["one", { cniVersion: "0.4.0" }, "0.4.0"],
  ["the highest of several", { cniVersions: ["0.3.1", "1.1.0", "1.0.0"] }, "1.1.0"],
  ["both fields together", { cniVersion: "1.0.0", cniVersions: ["0.3.1"] }, "1.0.0"],
  ["newer ones are passed over", { cniVersion: "1.0.0", cniVersions: ["1.0.0", "1.9.0"] }, "1.0.0"],
];

for (const [title, fields, version] of VERSIONS) {
  test(`version negotiation: ${title}`, (t) => {
    const text = JSON.stringify({ ...list, cniVersion: undefined, ...fields });
    t.is(parseNetworkConfigText(text).cniVersion, version);
  });
}

test("words for booleans, as libcni reads them", (t) => {
  const config = parseNetworkConfigText(JSON.stringify({ ...list, disableCheck: "TRUE", disableGC: false }));
  t.true(config.disableCheck);
  t.false(config.disableGC);
});

// SPEC.md's own example: bridge, tuning with mac, portmap.
const example = parseNetworkConfigText(
  JSON.stringify({
    cniVersion: "1.1.0",
    name: "dbnet",
    plugins: [
      { type: "bridge", bridge: "cni0", keyA: ["some", "more"], ipam: { type: "host-local" } },
      { type: "tuning", capabilities: { mac: true, off: false }, sysctl: { "net.core.somaxconn": "500" } },
      {
        type: "portmap",
        capabilities: { portMappings: true },
        "cni.dev/x": 1,
        prevResult: {},
        runtimeConfig: {},
      },
    ],
  }),
);
const capabilityArgs = {
  mac: "00:11:22:33:44:66",
  portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
  off: 1,
};

test("S4 the first plugin reads name and version besides its own keys, which stay untouched", (t) => {
  t.deepEqual(deriveConfig(example, example.plugins[0], { capabilityArgs }), {
    cniVersion: "1.1.0",
    name: "dbnet",
    type: "bridge",
    bridge: "cni0",
    keyA: ["some", "more"],
    ipam: { type: "host-local" },
  });
});

test("S4 runtimeConfig holds what is declared and offered, capabilities go, prevResult comes", (t) => {
  const prevResult = { ips: [] };
  t.deepEqual(deriveConfig(example, example.plugins[1], { capabilityArgs, prevResult }), {
    cniVersion: "1.1.0",
    name: "dbnet",
    type: "tuning",
    sysctl: { "net.core.somaxconn": "500" },
    runtimeConfig: { mac: "00:11:22:33:44:66" },
    prevResult,
  });
});

test("S3 what only the runtime may write is not taken from the list", (t) => {
  t.deepEqual(deriveConfig(example, example.plugins[2], {}), {
    cniVersion: "1.1.0",
    name: "dbnet",
    type: "portmap",
  });
});

test("S7 valid attachments for GC", (t) => {
  const validAttachments = [{ containerID: "a", ifname: "eth0" }];
  const config = deriveConfig(example, example.plugins[0], { validAttachments });
  t.deepEqual(config["cni.dev/valid-attachments"], validAttachments);
  t.deepEqual(parsePluginConfig(config, CNI_VERSIONS).validAttachments, validAttachments);
});

test("a plugin tells every mistake of its configuration", (t) => {
  const source = {
    cniVersion: "1.1.0",
    name: "",
    type: "bridge",
    ipam: {},
    runtimeConfig: [],
    "cni.dev/valid-attachments": [{ containerID: 1 }, "x"],
    prevResult: {
      cniVersion: "1.1.0",
      interfaces: [{}],
      ips: [{ address: "10.0.0.1", interface: 4 }],
      routes: [{ dst: "10.0.0.0/8", scope: 9 }],
    },
  };
  const error = refusal(() => parsePluginConfig(source, CNI_VERSIONS));
  t.is(error.code, 7);
  for (const path of [
    "name",
    "runtimeConfig",
    "cni.dev/valid-attachments[0].containerID",
    "cni.dev/valid-attachments[0].ifname",
    "cni.dev/valid-attachments[1]",
    "prevResult.interfaces[0].name",
    "prevResult.ips[0].address",
    "prevResult.ips[0].interface",
    "prevResult.routes[0].scope",
  ]) {
    t.true(error.details.includes(`${path}: `), `${path} in ${error.details}`);
  }
});

test("a configuration in a version the plugin does not speak is code 1", (t) => {
  const source = { cniVersion: "1.1.0", name: "n", type: "azure-vnet" };
  const error = refusal(() => parsePluginConfig(source, CNI_VERSIONS.slice(0, -1)));
  t.is(error.code, 1);
  t.regex(error.details, /config is "1.1.0", supported are 0.1.0, .*1.0.0/);
});
