// Reading untrusted JSON: objects, and fields of a wanted type whose absence or wrongness becomes a Problem
// with its path.

import { CniCode, CniError, type Problems } from "./error.ts";

export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Parses text that must be one JSON object; code 6 otherwise. */
export function parseObject(text: string, what: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CniError(CniCode.DECODE_FAILURE, `failed to decode ${what}`, (error as Error).message);
  }
  if (isObject(value)) return value;
  throw new CniError(
    CniCode.DECODE_FAILURE,
    `failed to decode ${what}`,
    `not a JSON object: ${typeName(value)}`,
  );
}

export function typeName(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

/** `a.b`, `a[0]`, or just the key at the top. */
export function at(path: string, key: string | number): string {
  if (typeof key === "number") return `${path}[${key}]`;
  return path === "" ? key : `${path}.${key}`;
}

export function optionalString(
  from: JsonObject,
  key: string,
  path: string,
  problems: Problems,
): string | undefined {
  const value = from[key];
  if (value === undefined || typeof value === "string") return value;
  problems.add(at(path, key), `must be a string, is ${typeName(value)}`);
  return undefined;
}

export function requiredString(from: JsonObject, key: string, path: string, problems: Problems): string {
  const value = optionalString(from, key, path, problems);
  if (from[key] === undefined) problems.add(at(path, key), "is missing");
  else if (value === "") problems.add(at(path, key), "is empty");
  return value ?? "";
}

/** True, false, or the words "true" and "false" as libcni reads them. */
export function optionalBoolean(from: JsonObject, key: string, path: string, problems: Problems): boolean {
  const value = from[key];
  if (value === undefined) return false;
  if (typeof value === "boolean") return value;
  if (typeof value === "string" && /^(?:true|false)$/i.test(value)) return value.toLowerCase() === "true";
  problems.add(at(path, key), `must be true or false, is ${JSON.stringify(value)}`);
  return false;
}

export function optionalObject(
  from: JsonObject,
  key: string,
  path: string,
  problems: Problems,
): JsonObject | undefined {
  const value = from[key];
  if (value === undefined) return undefined;
  if (isObject(value)) return value;
  problems.add(at(path, key), `must be an object, is ${typeName(value)}`);
  return undefined;
}

/** null counts as absent: Go writes empty slices so. */
export function optionalArray(from: JsonObject, key: string, path: string, problems: Problems): unknown[] {
  const value = from[key];
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value;
  problems.add(at(path, key), `must be a list, is ${typeName(value)}`);
  return [];
}

export function stringList(from: JsonObject, key: string, path: string, problems: Problems): string[] {
  const out: string[] = [];
  for (const [i, value] of optionalArray(from, key, path, problems).entries()) {
    if (typeof value === "string") out.push(value);
    else problems.add(at(at(path, key), i), `must be a string, is ${typeName(value)}`);
  }
  return out;
}

/** A whole number of at least `least`. */
export function optionalInteger(
  from: JsonObject,
  key: string,
  path: string,
  problems: Problems,
  least = 0,
): number | undefined {
  const value = from[key];
  if (value === undefined) return undefined;
  if (typeof value === "number" && Number.isInteger(value) && value >= least) return value;
  problems.add(at(path, key), `must be a whole number of at least ${least}, is ${JSON.stringify(value)}`);
  return undefined;
}
