/** The entry of the worker thread that checks passwords (see password-check.ts): one at a time, an answer each. */
import { compareSync } from "bcryptjs";
import { connectToParent } from "../../host/worker.ts";
import type { PasswordAnswer, PasswordQuestion } from "./password-check.ts";

/** An entry that bcrypt cannot read is nobody's password. */
function matches(password: string, entry: string): boolean {
  try {
    return compareSync(password, entry);
  } catch {
    return false;
  }
}

const answer = connectToParent((message) => {
  const { id, password, entry } = message as PasswordQuestion;
  answer({ id, matches: matches(password, entry) } satisfies PasswordAnswer);
});
