/** For tests: where temporary directories are made. tools/test.ts chooses memory, where directories and syncs cost little. */
export const SCRATCH = process.env["TMPDIR"] ?? "/tmp";
