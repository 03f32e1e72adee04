/** Signals by name or number, the real-time ones included: systemd is stopped by SIGRTMIN+3. @see signal(7) */
import { Failure } from "../core/failure.ts";

/** `TERM`, `SIGTERM`, `15`, `SIGRTMIN+3`. Failure "usage". */
export function parseSignal(text: string): number {
  const name = text.toUpperCase().replace(/^SIG/, "");
  const realTime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  const number = /^\d{1,2}$/.test(name)
    ? Number(name)
    : realTime !== null
      ? (realTime[1] === "MIN" ? RTMIN : RTMAX) + Number(`${realTime[2] ?? ""}${realTime[3] ?? "0"}`)
      : (NUMBERS[name] ?? 0);
  if (number < 1 || number > RTMAX)
    throw new Failure("usage", `Cannot use signal "${text}": wanted a name such as TERM or a number from 1 to 64`);
  return number;
}

export const SIGTERM = 15;
export const SIGKILL = 9;
export const SIGINT = 2;
/** What systemd takes as an order to shut down. */
export const SIGRTMIN_3 = 37;

/** As the C library shows them: the kernel's first two are glibc's own. */
const RTMIN = 34;
const RTMAX = 64;

const NUMBERS: Readonly<Record<string, number>> = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  ILL: 4,
  TRAP: 5,
  ABRT: 6,
  BUS: 7,
  FPE: 8,
  KILL: 9,
  USR1: 10,
  SEGV: 11,
  USR2: 12,
  PIPE: 13,
  ALRM: 14,
  TERM: 15,
  STKFLT: 16,
  CHLD: 17,
  CONT: 18,
  STOP: 19,
  TSTP: 20,
  TTIN: 21,
  TTOU: 22,
  URG: 23,
  XCPU: 24,
  XFSZ: 25,
  VTALRM: 26,
  PROF: 27,
  WINCH: 28,
  IO: 29,
  PWR: 30,
  SYS: 31,
};
