/**
 * Node's http, https and tls, loaded at their first use. An `import` of node:http reads every one of its exports, and one of them
 * loads Node's whole fetch implementation: 60 ms at the start of every command.
 */

export function httpModule(): typeof import("node:http") {
  return process.getBuiltinModule("node:http");
}

export function httpsModule(): typeof import("node:https") {
  return process.getBuiltinModule("node:https");
}

export function tlsModule(): typeof import("node:tls") {
  return process.getBuiltinModule("node:tls");
}
