/**
 * Logins: user and password, or robot and key, to an account. A password's success is remembered for a short time, because a
 * client sends it with every request and bcrypt is slow on purpose; what is remembered is a keyed hash, so nothing in memory
 * holds a password, and a changed entry ends it. Guessing is bounded: failures for each address, and checks that wait.
 */
import { hash } from "node:crypto";
import type { Host } from "../../host/host.ts";
import { BCRYPT_COST, parseHtpasswd } from "../htpasswd.ts";
import { createPasswordCheck, type PasswordCheck } from "./password-check.ts";
import type { Account } from "./permissions.ts";
import { clientOf, type RateLimiter, tooManyRequests } from "./rate-limit.ts";
import { findByKey, isLive, looksLikeKey, parseRobots, robotAccount } from "./robots.ts";
import { watchFile } from "./watched-file.ts";

export interface Logins {
  /**
   * undefined for wrong credentials. RegistryError 429 after too many of them from `address`; undefined for credentials that are no
   * guess, which are not counted.
   */
  check(user: string, password: string, address: string | undefined): Promise<Account | undefined>;
  /** The account that a key alone stands for. */
  byKey(key: string): Account | undefined;
  /** As it is now; undefined when it is gone. */
  find(name: string): Account | undefined;
}

export interface LoginOptions {
  readonly host: Pick<Host, "files" | "clock" | "random" | "threads">;
  /** Paths; undefined for none. */
  readonly htpasswd: string | undefined;
  readonly robots: string | undefined;
  /** Spent by each failure of an address. */
  readonly failures: RateLimiter;
  /** Instead of bcrypt. */
  readonly check?: PasswordCheck;
}

const SUCCESS_MS = 60_000;
const REMEMBERED_MAX = 10_000;
/** Different passwords that wait to be checked; each takes tens of milliseconds of a processor. */
const CHECKS_MAX = 32;

export function createLogins(options: LoginOptions): Logins {
  const { host, failures } = options;
  const { clock } = host;
  const users =
    options.htpasswd === undefined
      ? () => new Map<string, string>()
      : watchFile(host, options.htpasswd, { what: "users", mayBeMissing: false, parse: parseHtpasswd });
  const robots =
    options.robots === undefined
      ? () => []
      : watchFile(host, options.robots, { what: "robots", mayBeMissing: true, parse: parseRobots });
  // A file that lets nobody in is told where the server is started, not to the clients.
  users();
  robots();
  const matches = passwordChecker(host, options.check ?? createPasswordCheck(host));

  const checkPassword = async (user: string, password: string): Promise<Account | undefined> => {
    const all = users();
    const credential = all.get(user);
    const matched = await matches(user, password, credential ?? nobody(all));
    return matched && credential !== undefined ? { name: user, credential } : undefined;
  };
  const byKey = (key: string): Account | undefined => {
    const robot = findByKey(robots(), key, clock.now());
    return robot && robotAccount(robot);
  };
  return {
    byKey,
    async check(user, password, address) {
      const client = address === undefined ? undefined : clientOf(address);
      const waitMs = client === undefined ? 0 : failures.waitMs(client);
      if (waitMs > 0) throw tooManyRequests(waitMs, "too many failed logins");
      const account = looksLikeKey(password) ? byKey(password) : await checkPassword(user, password);
      if (account !== undefined && (account.grant === undefined || account.name === `robot:${user}`)) return account;
      if (client !== undefined) failures.spend(client);
      return undefined;
    },
    find(name) {
      if (name.startsWith("robot:")) {
        const robot = robots().find((each) => `robot:${each.name}` === name && isLive(each, clock.now()));
        return robot && robotAccount(robot);
      }
      const credential = users().get(name);
      return credential === undefined ? undefined : { name, credential };
    },
  };
}

function passwordChecker(
  host: Pick<Host, "clock" | "random">,
  check: PasswordCheck,
): (user: string, password: string, entry: string) => Promise<boolean> {
  const key = Buffer.from(host.random(32)).toString("hex");
  const remembered = new Map<string, number>();
  const running = new Map<string, Promise<boolean>>();
  return async (user, password, entry) => {
    const proof = hash("sha256", `${key}\0${entry}\0${user}\0${password}`);
    if ((remembered.get(proof) ?? Number.NEGATIVE_INFINITY) > host.clock.elapsed()) return true;
    let checking = running.get(proof);
    if (checking === undefined) {
      if (running.size >= CHECKS_MAX) throw tooManyRequests(1000, "too many logins at once");
      checking = check(password, entry).finally(() => running.delete(proof));
      running.set(proof, checking);
    }
    if (!(await checking)) return false;
    if (remembered.size >= REMEMBERED_MAX) remembered.clear();
    remembered.set(proof, host.clock.elapsed() + SUCCESS_MS);
    return true;
  };
}

/** An entry that no password matches, as slow to check as the others, so that the time to answer does not tell who exists. */
function nobody(users: ReadonlyMap<string, string>): string {
  const [first] = users.values();
  const cost = first?.slice(4, 6) ?? String(BCRYPT_COST);
  return `$2b$${cost}$6Ku3fTQ/c3rP6VflgXIhHuSfLjF8WOp6l2e582up7cxxnCBOiUPom`;
}
