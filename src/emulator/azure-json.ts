// Azure resources from JSON, whichever way they were exported: one resource or a list as `az network … -o
// json` prints them (properties at the top), or an ARM template (properties nested, names and references as
// expressions). Everything comes out alike: type, name, properties.
// Of ARM's expressions these are evaluated: parameters() with a default value, variables(), resourceId() by
// its last argument, and concat() of those. Absent: copy loops, conditions, linked templates.

import type { Problem } from "./errors.ts";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export interface AzureResource {
  /** Such as "virtualNetworks", in lower case; children as "virtualNetworks/subnets". */
  type: string;
  name: string;
  /** Name of the resource it is a part of; "" for none. */
  parent: string;
  properties: JsonObject;
  /** Where it is: file and place. */
  path: string;
}

const PROVIDER = "microsoft.network/";

/** Reads one file. Problems are what cannot be read. */
export function readAzureJson(file: string, text: string, problems: Problem[]): AzureResource[] {
  let document: Json;
  try {
    document = JSON.parse(text) as Json;
  } catch (error) {
    problems.push({ path: file, message: `is no JSON: ${(error as Error).message}` });
    return [];
  }
  const template = isObject(document) && Array.isArray(document.resources);
  const scope = new Scope(template ? (document as JsonObject) : {}, problems);
  const list = template ? (document as JsonObject).resources : document;
  const resources = Array.isArray(list) ? list : [list];
  return resources.flatMap((resource, i) => {
    const at = Array.isArray(list) ? `${file}[${i}]` : file;
    return readResource(resource, at, "", "", scope, problems);
  });
}

function readResource(
  given: Json,
  path: string,
  parentType: string,
  parentName: string,
  scope: Scope,
  problems: Problem[],
): AzureResource[] {
  if (!isObject(given)) {
    problems.push({ path, message: "is no Azure resource" });
    return [];
  }
  const resource = scope.resolve(given, path) as JsonObject;
  const own = textOf(resource.type) || typeOfId(textOf(resource.id));
  if (own === "" || typeof resource.name !== "string") {
    problems.push({ path, message: "has no type and name of an Azure resource" });
    return [];
  }
  const lower = own.toLowerCase();
  const short = lower.startsWith(PROVIDER) ? lower.slice(PROVIDER.length) : lower;
  const nested = parentType !== "" && !short.includes("/");
  const type = nested ? `${parentType}/${short}` : short;
  const name = nested && !resource.name.includes("/") ? `${parentName}/${resource.name}` : resource.name;
  const parent = nested ? parentName : parentOf(textOf(resource.id), name);
  const found: AzureResource[] = [{ type, name, parent, properties: flatten(resource), path }];
  const children = Array.isArray(given.resources) ? given.resources : [];
  children.forEach((child, i) => {
    found.push(...readResource(child, `${path}.resources[${i}]`, type, name, scope, problems));
  });
  return found;
}

/** What lies under "properties" comes up beside name and id, at every depth. */
function flatten(value: JsonObject): JsonObject {
  const out: JsonObject = {};
  for (const [key, inner] of Object.entries(value)) {
    if (key === "properties" && isObject(inner)) Object.assign(out, flatten(inner));
    else out[key] = flattenAny(inner);
  }
  return out;
}

function flattenAny(value: Json): Json {
  if (Array.isArray(value)) return value.map(flattenAny);
  return isObject(value) ? flatten(value) : value;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function textOf(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}

/** "…/virtualNetworks/prod/subnets/nodes" as ["prod", "nodes"]; a bare name as itself. */
export function namesOfId(id: string): string[] {
  const parts = id.split("/").filter((part) => part !== "");
  const at = parts.findIndex((part) => part.toLowerCase() === "microsoft.network");
  if (at < 0) return parts.slice(-2);
  return parts.slice(at + 1).filter((_, i) => i % 2 === 1);
}

/** "…/Microsoft.Network/a/x/b/y" is a part a/b of x. */
function typeOfId(id: string): string {
  const match = /\/providers\/Microsoft\.Network\/(.+)$/i.exec(id);
  const types = (match?.[1] ?? "").split("/").filter((_, i) => i % 2 === 0);
  return types.length === 0 || types[0] === "" ? "" : `Microsoft.Network/${types.join("/")}`;
}

function parentOf(id: string, name: string): string {
  const names = namesOfId(id);
  if (names.length > 1) return names.at(-2) as string;
  return name.includes("/") ? (name.split("/")[0] as string) : "";
}

/** Parameters and variables of a template. */
class Scope {
  private readonly template: JsonObject;
  private readonly problems: Problem[];

  constructor(template: JsonObject, problems: Problem[]) {
    this.template = template;
    this.problems = problems;
  }

  resolve(value: Json, path: string): Json {
    if (Array.isArray(value)) return value.map((inner, i) => this.resolve(inner, `${path}[${i}]`));
    if (isObject(value)) {
      return Object.fromEntries(
        Object.entries(value)
          .filter(([key]) => key !== "resources")
          .map(([key, inner]) => [key, key === "dependsOn" ? [] : this.resolve(inner, `${path}.${key}`)]),
      );
    }
    if (typeof value !== "string" || !/^\[[^[].*\]$/.test(value)) return value;
    const result = this.expression(value.slice(1, -1).trim(), path);
    if (result !== undefined) return result;
    this.problems.push({ path, message: `the expression ${value} is not evaluated` });
    return "";
  }

  private expression(text: string, path: string): Json | undefined {
    const literal = /^'([^']*)'$/.exec(text);
    if (literal !== null) return literal[1] as string;
    const call = /^(\w+)\((.*)\)$/.exec(text);
    if (call === null) return undefined;
    const args = argumentsOf(call[2] as string).map((arg) => this.expression(arg, path));
    const last = args.at(-1);
    switch ((call[1] as string).toLowerCase()) {
      case "parameters":
        return this.named("parameters", last, path, "defaultValue");
      case "variables":
        return this.named("variables", last, path, null);
      case "resourceid":
        return args.includes(undefined) ? undefined : `${args.slice(1).map(String).join("/")}`;
      case "concat":
        return args.includes(undefined) ? undefined : args.map(String).join("");
      default:
        return undefined;
    }
  }

  private named(kind: string, name: Json | undefined, path: string, field: string | null): Json | undefined {
    const list = this.template[kind];
    const found = isObject(list) && typeof name === "string" ? list[name] : undefined;
    const value = field === null ? found : isObject(found) ? found[field] : undefined;
    return value === undefined ? undefined : this.resolve(value, path);
  }
}

/** Splits at the commas that are in no bracket and no quotes. */
function argumentsOf(text: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let quoted = false;
  let from = 0;
  for (let i = 0; i <= text.length; i++) {
    const c = text[i];
    if (c === "'") quoted = !quoted;
    if (!quoted && c === "(") depth++;
    if (!quoted && c === ")") depth--;
    if (i < text.length && (quoted || depth > 0 || c !== ",")) continue;
    found.push(text.slice(from, i).trim());
    from = i + 1;
  }
  return found;
}
