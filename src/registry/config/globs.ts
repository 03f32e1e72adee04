/** Globs as values of the configuration, refused when they are read. */
import { compileGlob, GLOB } from "../access/glob.ts";
import { compileTagGlob, TAG_GLOB } from "../upkeep/tag-glob.ts";
import { type Field, parsed } from "./fields.ts";

/** A glob of repositories. */
export function repositoryGlob(description: string): Field<string> {
  return checked(description, GLOB, compileGlob);
}

export function tagGlob(description: string): Field<string> {
  return checked(description, TAG_GLOB, compileTagGlob);
}

function checked(description: string, pattern: RegExp, compile: (pattern: string) => RegExp): Field<string> {
  return parsed(description, pattern.source, (value) => {
    compile(value);
    return value;
  });
}
