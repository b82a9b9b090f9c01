// CNI_ARGS: "KEY=VALUE;KEY2=VALUE2". Mirrors libcni pkg/types/args.go: a pair has exactly one "=", and a key
// the plugin does not know is an error unless IgnoreUnknown says otherwise.

/** The pairs in order of appearance, or the text of what is wrong. A repeated key keeps its last value. */
export function parseArgs(text: string): Map<string, string> | string {
  const pairs = new Map<string, string>();
  if (text === "") return pairs;
  for (const pair of text.split(";")) {
    const parts = pair.split("=");
    if (parts.length !== 2 || parts[0] === "") return `CNI_ARGS: invalid pair "${pair}"`;
    pairs.set(parts[0], parts[1]);
  }
  return pairs;
}

/** What is wrong with the keys: those neither known nor ignored; empty when nothing is. */
export function unknownArgs(pairs: ReadonlyMap<string, string>, known: readonly string[]): string {
  const ignore = pairs.get("IgnoreUnknown")?.toLowerCase() ?? "0";
  if (!["0", "1", "true", "false"].includes(ignore))
    return `CNI_ARGS: IgnoreUnknown "${ignore}" is no boolean`;
  if (ignore === "1" || ignore === "true") return "";
  const unknown = [...pairs.keys()].filter((key) => key !== "IgnoreUnknown" && !known.includes(key));
  return unknown.length === 0 ? "" : `CNI_ARGS: unknown args ${unknown.join(", ")}`;
}
