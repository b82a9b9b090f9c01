// What keeps an emulation from being plugged into the real world: a package, a right, a device, a name that
// is in use.

/** One line for the user, with what would help. */
export class AttachError extends Error {
  override name = "AttachError";
}
