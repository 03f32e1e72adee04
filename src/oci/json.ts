/** The JSON readers under the name that they had before rings without oci/ needed them; they live in core/json.ts. */
export {
  asArray,
  asCount,
  asObject,
  asString,
  asStringMap,
  type JsonObject,
  optional,
  parseJsonObject,
} from "../core/json.ts";
