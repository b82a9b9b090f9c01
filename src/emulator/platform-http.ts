// The pages of the platform: instance metadata at 169.254.169.254 (azure.md V62) and the VM agent's at
// 168.63.129.16 (V60): what azure-vnet-ipam and cloud-init read of the NIC that asks.
// Absent: everything that says nothing about the network: identity, attested data, scheduled events, goal
// states; POST.

import { formatIpv4, formatMac } from "../wire/address.ts";
import type { Net } from "./net.ts";

const VERSIONS = ["2021-02-01", "2023-07-01"];

/** The response to a request head, as bytes in latin1; null when it is no HTTP. */
export function answerHttp(net: Net, nic: number, metadata: boolean, head: string): string | null {
  const [line = "", ...headers] = head.split("\r\n");
  const request = /^([A-Z]+) (\S+) HTTP\/1\.[01]$/.exec(line);
  if (request === null) return null;
  const [, method, target] = request as unknown as [string, string, string];
  if (method !== "GET") return response(405, "text/plain", "");
  const [path = "", query = ""] = target.split("?");
  const asked = new URLSearchParams(query);
  if (!metadata) return agentPage(net, nic, path, asked);
  const named = headers.some((h) => /^metadata:\s*true\s*$/i.test(h));
  return metadataPage(net, nic, path.replace(/\/$/, ""), asked, named);
}

function metadataPage(net: Net, nic: number, path: string, asked: URLSearchParams, named: boolean): string {
  if (!named) return json(400, { error: "Bad request. Required metadata header not specified" });
  if (!asked.has("api-version")) {
    const error = "Bad request. api-version was not specified in the request";
    return json(400, { error, "newest-versions": VERSIONS });
  }
  const { vnet, k } = net.walk;
  const network = networkOf(net, nic);
  const compute = {
    name: k.ns.name[k.dev.ns[vnet.nics.dev[nic]]],
    osType: "Linux",
    provider: "Microsoft.Compute",
  };
  if (path === "/metadata/instance") return json(200, { compute, network });
  if (path === "/metadata/instance/network") return json(200, network);
  if (path === "/metadata/instance/compute") return json(200, compute);
  return json(404, { error: "Not found" });
}

function networkOf(net: Net, nic: number) {
  const { nics, subnets } = net.walk.vnet;
  const subnet = nics.subnet[nic];
  const ipAddress = addressesOf(net, nic).map((privateIpAddress) => ({
    privateIpAddress,
    publicIpAddress: "",
  }));
  const prefix = { address: formatIpv4(subnets.network[subnet]), prefix: String(subnets.length[subnet]) };
  const macAddress = formatMac(nics.macHi[nic], nics.macLo[nic]).replaceAll(":", "").toUpperCase();
  return { interface: [{ ipv4: { ipAddress, subnet: [prefix] }, ipv6: { ipAddress: [] }, macAddress }] };
}

/** V80: the primary one first. */
function addressesOf(net: Net, nic: number): string[] {
  const { nics, configs } = net.walk.vnet;
  const found: string[] = [];
  for (let c = nics.primary[nic]; c >= 0; c = configs.next[c]) found.push(formatIpv4(configs.addr[c]));
  return found;
}

function agentPage(net: Net, nic: number, path: string, asked: URLSearchParams): string {
  if (path === "/" && asked.get("comp")?.toLowerCase() === "versions") {
    const versions = "<Preferred><Version>2015-04-05</Version></Preferred>";
    return xml(`<Versions>${versions}<Supported><Version>2015-04-05</Version></Supported></Versions>`);
  }
  const { nics, subnets } = net.walk.vnet;
  if (path !== "/machine/plugins/" && path !== "/machine/plugins") return response(404, "text/plain", "");
  if (asked.get("type") !== "getinterfaceinfov1") return response(404, "text/plain", "");
  const subnet = nics.subnet[nic];
  const addresses = addressesOf(net, nic).map(
    (address, i) => `<IPAddress Address="${address}" IsPrimary="${i === 0}"/>`,
  );
  const prefix = `${formatIpv4(subnets.network[subnet])}/${subnets.length[subnet]}`;
  const mac = formatMac(nics.macHi[nic], nics.macLo[nic]).replaceAll(":", "").toUpperCase();
  const inside = `<IPSubnet Prefix="${prefix}">${addresses.join("")}</IPSubnet>`;
  return xml(
    `<Interfaces><Interface MacAddress="${mac}" IsPrimary="true">${inside}</Interface></Interfaces>`,
  );
}

function json(status: number, value: unknown): string {
  return response(status, "application/json; charset=utf-8", JSON.stringify(value));
}

function xml(body: string): string {
  return response(200, "text/xml; charset=utf-8", `<?xml version="1.0" encoding="utf-8"?>${body}`);
}

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
};

function response(status: number, type: string, body: string): string {
  const head = [
    `HTTP/1.1 ${status} ${REASONS[status]}`,
    `Content-Type: ${type}`,
    `Content-Length: ${body.length}`,
  ];
  return `${head.join("\r\n")}\r\n\r\n${body}`;
}
