// Rules of the API server about single fields, in its own words (apimachinery validation, field.Error).

import type { LabelSelector } from "../../cluster/labels.ts";
import type { Strings } from "./kinds.ts";

/** Notes a mistake at a field path: `spec.replicas: Invalid value: -1: must be …`. */
export type Say = (path: string, message: string) => void;

export const required = (say: Say, path: string, detail = ""): void =>
  say(path, detail === "" ? "Required value" : `Required value: ${detail}`);

export const invalid = (say: Say, path: string, value: unknown, detail: string): void =>
  say(path, `Invalid value: ${JSON.stringify(value)}: ${detail}`);

const LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`;
const QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE = `(${QUALIFIED})?`;
const SHORT = 63;
const LONG = 253;

const RULES = {
  label: {
    pattern: new RegExp(`^${LABEL}$`),
    most: SHORT,
    text:
      "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must " +
      "start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for " +
      `validation is '${LABEL}')`,
  },
  subdomain: {
    pattern: new RegExp(`^${SUBDOMAIN}$`),
    most: LONG,
    text:
      "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and " +
      "must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is " +
      `'${SUBDOMAIN}')`,
  },
  service: {
    pattern: /^[a-z]([-a-z0-9]*[a-z0-9])?$/,
    most: SHORT,
    text:
      "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an " +
      "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex " +
      "used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
  },
} as const;

export function checkName(say: Say, path: string, name: string | undefined, rule: keyof typeof RULES): void {
  if (name === undefined || name === "") {
    const detail = path === "metadata.name" ? "name or generateName is required" : "";
    return required(say, path, detail);
  }
  const { pattern, most, text } = RULES[rule];
  if (name.length > most) invalid(say, path, name, `must be no more than ${most} characters`);
  else if (!pattern.test(name)) invalid(say, path, name, text);
}

export function checkLabels(say: Say, path: string, labels: Strings | undefined): void {
  for (const [key, value] of Object.entries(labels ?? {})) {
    const [name = "", prefix = null] = key.split("/").reverse();
    const isKey =
      new RegExp(`^${QUALIFIED}$`).test(name) &&
      name.length <= SHORT &&
      (prefix === null || new RegExp(`^${SUBDOMAIN}$`).test(prefix));
    if (!isKey) {
      const detail =
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with " +
        "an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation " +
        `is '${QUALIFIED}')`;
      invalid(say, path, key, detail);
    }
    checkLabelValue(say, path, value);
  }
}

export function checkLabelValue(say: Say, path: string, value: string): void {
  if (new RegExp(`^${LABEL_VALUE}$`).test(value) && value.length <= SHORT) return;
  const detail =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and " +
    "must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', " +
    `regex used for validation is '${LABEL_VALUE}')`;
  invalid(say, path, value, detail);
}

export function notNegative(say: Say, path: string, value: number | undefined): void {
  if (value !== undefined && value < 0) invalid(say, path, value, "must be greater than or equal to 0");
}

export function supported(
  say: Say,
  path: string,
  value: string | undefined,
  values: readonly string[],
): void {
  if (value === undefined || values.includes(value)) return;
  const known = values.map((v) => JSON.stringify(v)).join(", ");
  say(path, `Unsupported value: ${JSON.stringify(value)}: supported values: ${known}`);
}

export function checkPort(say: Say, path: string, port: number | undefined): void {
  if (port === undefined) return required(say, path);
  if (port < 1 || port > 65_535) invalid(say, path, port, "must be between 1 and 65535, inclusive");
}

const PORT_NAME_MOST = 15;

/** IANA_SVC_NAME. */
export function checkPortName(say: Say, path: string, name: string): void {
  const tell = (detail: string): void => invalid(say, path, name, detail);
  if (name.length > PORT_NAME_MOST) tell(`must be no more than ${PORT_NAME_MOST} characters`);
  if (!/^[-a-z0-9]+$/.test(name))
    tell("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  else if (!/[a-z]/.test(name)) tell("must contain at least one letter (a-z)");
  if (name.includes("--")) tell("must not contain consecutive hyphens");
  if (name.startsWith("-") || name.endsWith("-")) tell("must not begin or end with a hyphen");
}

const PERCENT = /^[0-9]+%$/;

export function checkShare(say: Say, path: string, value: number | string | undefined): void {
  if (value === undefined) return;
  if (typeof value === "number") return notNegative(say, path, value);
  if (!PERCENT.test(value)) {
    const detail =
      "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%')";
    return invalid(say, path, value, detail);
  }
}

export function checkSelector(say: Say, path: string, selector: LabelSelector | undefined): void {
  for (const [i, one] of (selector?.matchExpressions ?? []).entries()) {
    const at = `${path}.matchExpressions[${i}]`;
    const { operator, values = [] } = one;
    if (operator === "In" || operator === "NotIn") {
      if (values.length === 0) {
        required(say, `${at}.values`, "must be specified when `operator` is 'In' or 'NotIn'");
      }
    } else if (operator === "Exists" || operator === "DoesNotExist") {
      if (values.length > 0) {
        say(`${at}.values`, "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
      }
    } else invalid(say, `${at}.operator`, operator, "not a valid selector operator");
  }
}
