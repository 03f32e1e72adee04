/**
 * Tokens: what the token server signs and the registry believes. Issuer and verifier are one program (or replicas that share a
 * key file), so the signature is an HMAC: as strong as needed and a hundred times cheaper to check than a key pair's.
 *
 * A token names its account's credential, hashed: a changed password or a revoked robot ends its tokens at once.
 *
 * @see RFC 7519; RFC 7515 (HS256); distribution "Token Authentication Implementation"
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { asCount, asString, parseJsonObject } from "../../core/json.ts";
import type { Account } from "./permissions.ts";
import { type Access, formatScope, parseScopes } from "./scope.ts";

/** "access" opens the registry, "refresh" only the token server. */
export type TokenUse = "access" | "refresh";

export interface TokenClaims {
  readonly use: TokenUse;
  /** undefined for an anonymous client's. */
  readonly account: string | undefined;
  readonly fingerprint: string;
  readonly scopes: readonly Access[];
  /** Seconds since the epoch. */
  readonly expires: number;
}

export interface Tokens {
  issue(use: TokenUse, account: Account | undefined, scopes: readonly Access[], lifeMs: number): string;
  /** undefined when it is forged, over, or for another use. */
  verify(token: string, use: TokenUse): TokenClaims | undefined;
  /** True when the account still has the credential that the token was issued for. */
  isOf(claims: TokenClaims, account: Account): boolean;
}

export const KEY_BYTES = 32;

/** The one header we write is the only one we read: no algorithm can be chosen by who presents a token. */
const HEADER = Buffer.from(JSON.stringify({ alg: "HS256" })).toString("base64url");
/** Enough to tell credentials apart; nobody can look for another with the same. */
const FINGERPRINT_BYTES = 12;
const TOKEN_CHARACTERS_MAX = 32 * 1024;
const KNOWN_MAX = 1000;

export function createTokens(key: Uint8Array, now: () => number): Tokens {
  const sign = (text: string): Buffer => createHmac("sha256", key).update(text).digest();
  const fingerprints = new Map<string, string>();
  const fingerprint = (account: Account | undefined): string => {
    if (account === undefined) return "";
    const text = `credential\0${account.name}\0${account.credential}`;
    return (
      fingerprints.get(text) ?? remember(fingerprints, text, sign(text).toString("base64url", 0, FINGERPRINT_BYTES))
    );
  };
  // A client sends its token with every request; the signature is checked with the first.
  const known = new Map<string, TokenClaims>();
  const check = (token: string): TokenClaims | undefined => {
    const end = token.lastIndexOf(".");
    if (token.length > TOKEN_CHARACTERS_MAX || !token.startsWith(`${HEADER}.`) || end <= HEADER.length)
      return undefined;
    const signature = Buffer.from(token.slice(end + 1), "base64url");
    const wanted = sign(token.slice(0, end));
    if (signature.length !== wanted.length || !timingSafeEqual(signature, wanted)) return undefined;
    const claims = parseClaims(Buffer.from(token.slice(HEADER.length + 1, end), "base64url").toString());
    return remember(known, token, claims);
  };
  return {
    issue(use, account, scopes, lifeMs) {
      // Short: a client gets it once and sends it with every request.
      const claims = {
        ...(use === "refresh" && { use }),
        ...(account !== undefined && { sub: account.name }),
        exp: Math.floor(now() / 1000) + Math.ceil(lifeMs / 1000),
        cred: fingerprint(account),
        scope: scopes.map(formatScope).join(" "),
      };
      const text = `${HEADER}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}`;
      return `${text}.${sign(text).toString("base64url")}`;
    },
    verify(token, use) {
      const claims = known.get(token) ?? check(token);
      return claims?.use === use && now() < claims.expires * 1000 ? claims : undefined;
    },
    isOf: (claims, account) => claims.account === account.name && claims.fingerprint === fingerprint(account),
  };
}

function remember<T>(known: Map<string, T>, key: string, value: T): T {
  if (known.size >= KNOWN_MAX) known.clear();
  known.set(key, value);
  return value;
}

/** Claims that we signed, so their form is certain. */
function parseClaims(text: string): TokenClaims {
  const claims = parseJsonObject(text, "token");
  return {
    use: claims["use"] === "refresh" ? "refresh" : "access",
    account: claims["sub"] === undefined ? undefined : asString(claims["sub"], "token.sub"),
    fingerprint: asString(claims["cred"], "token.cred"),
    expires: asCount(claims["exp"], "token.exp"),
    scopes: parseScopes([asString(claims["scope"], "token.scope")]),
  };
}
