// What keeps this machine from measuring its kernel.

/** One line: what is missing, and where it is to be had. */
export class KernelUnavailable extends Error {
  override name = "KernelUnavailable";
  constructor(why: string) {
    super(`--beside kernel ${why}`);
  }
}
