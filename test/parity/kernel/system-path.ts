// Where the kernel's tools are. Never npm's PATH: a package of AVA's brings a program named nft, which takes
// `-f -` without complaint and leaves the namespace without a rule.

/** Environment of every tool the kernel arm runs. */
export const SYSTEM_ENV = {
  PATH: "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin",
  LC_ALL: "C",
};
