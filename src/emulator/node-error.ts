// Errors as Node's own sockets and resolver throw them: lib/internal/errors.js (UVException,
// UVExceptionWithHostPort, ExceptionWithHostPort, DNSException) of Node 20.

import { Errno, errnoName } from "../socket/errno.ts";

/** EAI_NONAME as libuv numbers it (UV_EAI_NONAME). */
const EAI_NONAME = -3008;

/** What libuv says of the errors that listen() answers with a sentence. */
const LISTEN_TEXTS: Readonly<Record<number, string>> = {
  [Errno.EADDRINUSE]: "address already in use",
  [Errno.EADDRNOTAVAIL]: "address not available",
};

export interface SocketError extends Error {
  code: string;
  errno: number;
  syscall: string;
  address?: string;
  port?: number;
}

export interface LookupError extends Error {
  code: string;
  errno: number;
  syscall: string;
  hostname: string;
}

/** @param errno of either sign */
export function socketError(syscall: string, errno: number, address?: string, port?: number): SocketError {
  const code = errnoName(errno);
  const text = syscall === "listen" ? LISTEN_TEXTS[Math.abs(errno)] : undefined;
  const where = address === undefined ? "" : ` ${address}:${port}`;
  const error = new Error(
    `${syscall} ${code}${text === undefined ? "" : `: ${text}`}${where}`,
  ) as SocketError;
  error.errno = -Math.abs(errno);
  error.code = code;
  error.syscall = syscall;
  if (address !== undefined) error.address = address;
  if (port !== undefined) error.port = port;
  return error;
}

/** getaddrinfo() knows no such name. */
export function lookupError(hostname: string): LookupError {
  const error = new Error(`getaddrinfo ENOTFOUND ${hostname}`) as LookupError;
  error.errno = EAI_NONAME;
  error.code = "ENOTFOUND";
  error.syscall = "getaddrinfo";
  error.hostname = hostname;
  return error;
}

/** An error that has no system call behind it: ERR_SOCKET_CLOSED, ERR_SERVER_NOT_RUNNING, … */
export function codedError(code: string, message: string): Error & { code: string } {
  return Object.assign(new Error(message), { code });
}
