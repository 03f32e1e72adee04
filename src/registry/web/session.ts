/**
 * Sessions of people who signed in on the web page, without a table: the cookie is their Authorization header, sealed with a
 * key that only this registry has. Each request is authenticated anew with it, so a user who is deleted is out at once, and any
 * replica over the same storage knows the key.
 *
 * @see NIST SP 800-38D (AES-GCM)
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { parseJsonObject } from "../../core/json.ts";
import type { Host } from "../../host/host.ts";
import type { Driver } from "../driver.ts";

export interface Sessions {
  /** Set-Cookie for someone with this Authorization header. */
  begin(authorization: string, options: { readonly secure: boolean }): Promise<string>;
  /** Set-Cookie that forgets. */
  end(): string;
  /** The Authorization header in a Cookie header; undefined when it holds none of ours, or one that ran out. */
  find(cookie: string | null): Promise<string | undefined>;
}

const NAME = "berth-session";
const LIFE_MS = 12 * 3600 * 1000;
const KEY_RECORD = "web/session-key";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export function createSessions(host: Pick<Host, "clock" | "random">, driver: Driver): Sessions {
  return {
    async begin(authorization, { secure }) {
      const text = JSON.stringify({ authorization, untilMs: host.clock.now() + LIFE_MS });
      const key = (await readKey(driver)) ?? (await makeKey(host, driver));
      const sealed = seal(text, key, host.random(NONCE_BYTES));
      return `${NAME}=${sealed}; Path=/; Max-Age=${LIFE_MS / 1000}; HttpOnly; SameSite=Strict${secure ? "; Secure" : ""}`;
    },
    end: () => `${NAME}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict`,
    async find(cookie) {
      const sealed = new RegExp(`(?:^|;) *${NAME}=([A-Za-z0-9_-]+)`).exec(cookie ?? "")?.[1];
      const key = sealed === undefined ? undefined : await readKey(driver);
      const text = sealed === undefined || key === undefined ? undefined : unseal(sealed, key);
      if (text === undefined) return undefined;
      const { authorization, untilMs } = parseJsonObject(text, "session");
      return Number(untilMs) > host.clock.now() ? String(authorization) : undefined;
    },
  };
}

async function readKey(driver: Driver): Promise<Buffer | undefined> {
  const record = await driver.getRecord(KEY_RECORD);
  return record === undefined ? undefined : Buffer.from(record, "hex");
}

/** Of two replicas that make one at the same moment the later wins: whoever signed in at the other does so again. */
async function makeKey(host: Pick<Host, "random">, driver: Driver): Promise<Buffer> {
  const key = Buffer.from(host.random(32));
  await driver.putRecord(KEY_RECORD, key.toString("hex"));
  return (await readKey(driver)) ?? key;
}

function seal(text: string, key: Buffer, nonce: Uint8Array): string {
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  return Buffer.concat([nonce, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]).toString("base64url");
}

function unseal(sealed: string, key: Buffer): string | undefined {
  const bytes = Buffer.from(sealed, "base64url");
  if (bytes.length <= NONCE_BYTES + TAG_BYTES) return undefined;
  const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, NONCE_BYTES));
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
  const text = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
  try {
    return Buffer.concat([text, decipher.final()]).toString("utf8");
  } catch {
    return undefined;
  }
}
