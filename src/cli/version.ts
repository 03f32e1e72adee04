/** The program's version, as package.json has it (tools/tidy.ts checks that they agree). */
export const VERSION = "0.1.0";
