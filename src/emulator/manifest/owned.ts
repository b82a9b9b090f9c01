// Objects of a dump that others in it own: ReplicaSets of a Deployment, pods of all that make pods. Their
// owner makes them anew here, so applying both would make them twice.

import type { Problem } from "../errors.ts";
import { isFields, type ManifestObject } from "./documents.ts";

/** Those that are owned by an object of the manifest, and a line about each owner. */
export function ownedObjects(objects: readonly ManifestObject[], skipped: Problem[]): Set<ManifestObject> {
  const byName = new Map(objects.map((o) => [`${o.kind}/${o.namespace}/${o.name}`, o]));
  const counts = new Map<ManifestObject, number>();
  const owned = new Set<ManifestObject>();
  for (const object of objects) {
    const owner = ownersOf(object).flatMap((key) => byName.get(key) ?? [])[0];
    if (owner === undefined) continue;
    owned.add(object);
    counts.set(owner, (counts.get(owner) ?? 0) + 1);
  }
  for (const [{ where, kind }, count] of counts) {
    const message = `makes what it owns anew: ${count} of its objects in the manifest are left out`;
    skipped.push({ path: where, message: `the ${kind} ${message}` });
  }
  return owned;
}

// Its controller; a pod's ReplicaSet is seldom dumped, and its Deployment's name is in its own.
function ownersOf({ namespace, value }: ManifestObject): string[] {
  const metadata = isFields(value.metadata) ? value.metadata : {};
  const list: unknown[] = Array.isArray(metadata.ownerReferences) ? metadata.ownerReferences : [];
  const owner = list.find((one) => isFields(one) && one.controller === true);
  if (!isFields(owner)) return [];
  const { kind, name } = owner;
  const labels = isFields(metadata.labels) ? metadata.labels : {};
  const hash = labels["pod-template-hash"];
  const isHashed =
    kind === "ReplicaSet" &&
    typeof name === "string" &&
    typeof hash === "string" &&
    name.endsWith(`-${hash}`);
  const deployment = isHashed ? [`Deployment/${namespace}/${name.slice(0, -hash.length - 1)}`] : [];
  return [...deployment, `${String(kind)}/${namespace}/${String(name)}`];
}
