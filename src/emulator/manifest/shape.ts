// The shape of an object of the Kubernetes API: which fields it has, of which types. Wrong types are
// mistakes; fields that no such object has are reported and skipped, as the API server warns of them (strict
// decoding).

import type { Problem } from "../errors.ts";
import { isFields } from "./documents.ts";
import { isQuantity } from "./quantity.ts";

export type Shape =
  | { is: "any" | "string" | "integer" | "boolean" | "quantity" | "intOrString" }
  | { is: "list"; of: Shape }
  | { is: "map"; of: Shape }
  | { is: "object"; fields: Readonly<Record<string, Shape>> };

/** What nobody here reads: taken as it is. */
export const any: Shape = { is: "any" };
export const string: Shape = { is: "string" };
export const integer: Shape = { is: "integer" };
export const boolean: Shape = { is: "boolean" };
export const quantity: Shape = { is: "quantity" };
export const intOrString: Shape = { is: "intOrString" };
export const list = (of: Shape): Shape => ({ is: "list", of });
export const map = (of: Shape): Shape => ({ is: "map", of });
export const object = (fields: Readonly<Record<string, Shape>>): Shape => ({ is: "object", fields });

const QUANTITY =
  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

export interface Findings {
  /** Mistakes: nothing is applied. */
  problems: Problem[];
  /** How many of them are about types, so that nothing more can be said of the object. */
  wrongTypes: number;
  /** Said and left out. */
  skipped: Problem[];
}

/** @param path field path such as "spec.replicas"; empty for the object itself */
export function checkShape(value: unknown, shape: Shape, where: string, path: string, out: Findings): void {
  // An explicit null is as if the field were not there.
  if (value === null || value === undefined || shape.is === "any") return;
  const wrong = (type: string): void => {
    out.wrongTypes++;
    const kind = Array.isArray(value) ? "array" : typeof value;
    const message = `${path}: Invalid value: "${kind}": must be of type ${type}`;
    out.problems.push({ path: where, message });
  };
  switch (shape.is) {
    case "string":
      return typeof value === "string" ? undefined : wrong("string");
    case "integer":
      return Number.isInteger(value) ? undefined : wrong("integer");
    case "boolean":
      return typeof value === "boolean" ? undefined : wrong("boolean");
    case "intOrString":
      return Number.isInteger(value) || typeof value === "string" ? undefined : wrong("integer or string");
    case "quantity":
      if (isQuantity(value)) return;
      out.problems.push({
        path: where,
        message: `${path}: Invalid value: ${JSON.stringify(value)}: ${QUANTITY}`,
      });
      return;
    case "list":
      if (!Array.isArray(value)) return wrong("array");
      for (const [i, item] of value.entries()) checkShape(item, shape.of, where, `${path}[${i}]`, out);
      return;
    case "map":
      if (!isFields(value)) return wrong("object");
      for (const [key, item] of Object.entries(value))
        checkShape(item, shape.of, where, `${path}.${key}`, out);
      return;
    case "object":
      return checkFields(value, shape.fields, where, path, out, wrong);
  }
}

function checkFields(
  value: unknown,
  fields: Readonly<Record<string, Shape>>,
  where: string,
  path: string,
  out: Findings,
  wrong: (type: string) => void,
): void {
  if (!isFields(value)) return wrong("object");
  for (const [key, item] of Object.entries(value)) {
    const at = path === "" ? key : `${path}.${key}`;
    const shape = Object.hasOwn(fields, key) ? fields[key] : undefined;
    if (shape === undefined) out.skipped.push({ path: where, message: `unknown field "${at}"` });
    else checkShape(item, shape, where, at, out);
  }
}
