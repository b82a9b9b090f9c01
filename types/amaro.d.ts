// Types for amaro 0.1 (it ships none): the one call src/cli/topology-hooks.ts makes.

declare module "amaro" {
  /** Throws text, not an Error: a reason and a frame of source lines. */
  export function transformSync(
    source: string,
    options: { mode: "strip-only"; filename?: string },
  ): { code: string; map?: string };
}
