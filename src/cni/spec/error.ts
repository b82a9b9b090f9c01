// The error object that every CNI operation answers with (SPEC.md 1.1.0, section 5, "Error"; azure.md S11),
// its codes, and the list of mistakes behind an "invalid network config".

export const CniCode = {
  INCOMPATIBLE_VERSION: 1,
  /** The message names the key and the value. */
  UNSUPPORTED_FIELD: 2,
  /** The container does not exist: the runtime need not call DEL. */
  UNKNOWN_CONTAINER: 3,
  /** The message names the variables. */
  INVALID_ENVIRONMENT: 4,
  IO_FAILURE: 5,
  DECODE_FAILURE: 6,
  INVALID_CONFIG: 7,
  TRY_AGAIN_LATER: 11,
  /** STATUS: cannot serve ADD. */
  NOT_AVAILABLE: 50,
  /** STATUS: cannot serve ADD, and containers already attached may have lost connectivity. */
  LIMITED_CONNECTIVITY: 51,
  /** azure-vnet's only code of its own; also azure-ipam's "cannot make the request". */
  AZURE: 100,
  /** azure-ipam: CNS did not give an address. */
  AZURE_IPAM_REQUEST: 201,
  /** azure-ipam: CNS gave something that is no address. */
  AZURE_IPAM_RESPONSE: 202,
  /** What the reference plugins answer for any other failure (pkg/types ErrInternal). */
  INTERNAL: 999,
} as const;

export type CniCode = (typeof CniCode)[keyof typeof CniCode];

export interface ErrorObject {
  cniVersion: string;
  code: number;
  msg: string;
  details?: string;
}

export class CniError extends Error {
  override name = "CniError";
  readonly code: number;
  readonly details: string;

  constructor(code: number, msg: string, details = "") {
    super(msg);
    this.code = code;
    this.details = details;
  }

  toObject(cniVersion: string): ErrorObject {
    const object: ErrorObject = { cniVersion, code: this.code, msg: this.message };
    if (this.details !== "") object.details = this.details;
    return object;
  }

  /** One line for people. */
  describe(): string {
    return this.details === "" ? this.message : `${this.message}: ${this.details}`;
  }
}

/** One mistake in a configuration and where it stands, such as `plugins[1].type`. */
export interface Problem {
  path: string;
  text: string;
}

/** Collects every mistake before anything is refused. */
export class Problems {
  readonly list: Problem[] = [];

  add(path: string, text: string): void {
    this.list.push({ path, text });
  }

  /** Throws code 7 with all mistakes, in the order they were found. */
  refuse(what: string): void {
    if (this.list.length === 0) return;
    throw new CniError(CniCode.INVALID_CONFIG, `invalid ${what}`, this.toString());
  }

  toString(): string {
    return this.list.map((p) => (p.path === "" ? p.text : `${p.path}: ${p.text}`)).join("; ");
  }
}

export function unsupportedField(key: string, value: unknown): CniError {
  const msg = `unsupported field in network configuration: ${key}: ${JSON.stringify(value)}`;
  return new CniError(CniCode.UNSUPPORTED_FIELD, msg);
}
