// Manifests as text into objects: the documents of a YAML stream (JSON is YAML), with Lists taken apart. Each
// object knows how to say where it stands: file, document, kind and name.

import { parseAllDocuments } from "yaml";
import type { Problem } from "../errors.ts";

/** An object as it was written, of whatever kind. */
export interface ManifestObject {
  /** "app.yaml: document 2, Deployment web". */
  where: string;
  apiVersion: string;
  kind: string;
  name: string;
  namespace: string;
  value: Fields;
}

export type Fields = Readonly<Record<string, unknown>>;

export function readManifest(text: string, file: string, problems: Problem[]): ManifestObject[] {
  const objects: ManifestObject[] = [];
  const documents = parseAllDocuments(text, { prettyErrors: true });
  if (!Array.isArray(documents)) return objects;
  documents.forEach((document, i) => {
    const where = `${file}: document ${i + 1}`;
    for (const error of document.errors) {
      const line = error.linePos?.[0].line;
      const at = line === undefined ? where : `${where}, line ${line}`;
      problems.push({ path: at, message: error.message.split(/ at line |\n/)[0] as string });
    }
    if (document.errors.length === 0) take(document.toJS() as unknown, where, objects, problems);
  });
  return objects;
}

// kubectl skips documents that are empty.
function take(value: unknown, where: string, objects: ManifestObject[], problems: Problem[]): void {
  if (value === null || value === undefined) return;
  if (!isFields(value)) {
    problems.push({ path: where, message: "no object: apiVersion, kind and metadata are expected" });
    return;
  }
  const { kind, apiVersion, items } = value;
  if (typeof kind !== "string" || kind === "") {
    problems.push({ path: where, message: "Object 'Kind' is missing" });
    return;
  }
  if (typeof apiVersion !== "string" || apiVersion === "") {
    problems.push({ path: where, message: "Object 'apiVersion' is missing" });
    return;
  }
  if (kind.endsWith("List") && Array.isArray(items)) {
    const itemKind = kind.slice(0, -"List".length);
    items.forEach((item: unknown, i) => {
      const full = isFields(item) && itemKind !== "" ? { apiVersion, kind: itemKind, ...item } : item;
      take(full, `${where}, item ${i + 1}`, objects, problems);
    });
    return;
  }
  const metadata = isFields(value.metadata) ? value.metadata : {};
  const name = typeof metadata.name === "string" ? metadata.name : "";
  const namespace = typeof metadata.namespace === "string" ? metadata.namespace : "default";
  const label = name === "" ? kind : `${kind} ${name}`;
  objects.push({ where: `${where}, ${label}`, apiVersion, kind, name, namespace, value });
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
