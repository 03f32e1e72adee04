/** Names for containers that nobody named: two words that are easy to say. */

/** `bytes`: two random ones. */
export function containerName(bytes: Uint8Array): string {
  return `${ADJECTIVES[(bytes[0] ?? 0) % ADJECTIVES.length]}_${NOUNS[(bytes[1] ?? 0) % NOUNS.length]}`;
}

const ADJECTIVES = [
  "able", "ample", "brave", "brisk", "calm", "clear", "deep", "eager", "early", "fair", "fast", "fine", "firm", "fresh", "glad",
  "grand", "keen", "kind", "late", "light", "lucky", "mild", "neat", "noble", "plain", "proud", "quick", "quiet", "ready", "sharp",
  "smart", "solid", "still", "sunny", "swift", "tidy", "vivid", "warm", "wide", "wise",
];

const NOUNS = [
  "anchor", "barge", "bay", "beacon", "boom", "bow", "brig", "buoy", "canal", "cape", "cargo", "chart", "cleat", "coast", "cove",
  "crane", "crew", "deck", "dock", "ferry", "fleet", "galley", "gull", "harbor", "hatch", "helm", "hull", "island", "jetty", "keel",
  "lagoon", "lock", "mast", "moor", "oar", "pier", "pilot", "port", "quay", "reef", "rig", "rudder", "sail", "shoal", "sound",
  "spar", "stern", "strait", "tide", "tug", "wake", "wharf",
];
