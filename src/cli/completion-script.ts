/**
 * formatCompletion(): what a shell loads. It asks `berth internal complete` at every Tab, so that it never goes out of date; a single
 * line `:files` means that the shell shall offer files.
 */
export type Shell = "bash" | "zsh" | "fish";

export const SHELLS: readonly Shell[] = ["bash", "zsh", "fish"];

export function formatCompletion(shell: Shell): string {
  return SCRIPTS[shell];
}

/** bash cuts words at `:` and `=`, which image names and flags hold: what it has cut off is not to be offered again. */
const BASH = `_berth() {
  local line="\${COMP_LINE:0:COMP_POINT}" current cut=""
  local -a words found
  read -ra words <<< "$line"
  if [[ $line == *[[:space:]] ]]; then words+=(""); fi
  current="\${words[-1]}"
  mapfile -t found < <("$1" internal complete -- "\${words[@]:1}" 2>/dev/null)
  if [[ \${found[0]-} == :files ]]; then
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "\${COMP_WORDS[COMP_CWORD]#=}")
    return
  fi
  if [[ $current == *[:=]* && $COMP_WORDBREAKS == *:* ]]; then cut="\${current%"\${current##*[:=]}"}"; fi
  COMPREPLY=("\${found[@]#"$cut"}")
}
complete -F _berth berth bootc
`;

/** A file of $fpath is read at the first Tab, as the function that it defines: it has to answer this Tab too. */
const ZSH = `#compdef berth bootc
_berth() {
  local -a found
  found=("\${(@f)$("$words[1]" internal complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ $found[1] == :files ]]; then
    compset -P '--*='
    _files
  else
    compadd -Q -a found
  fi
}
if [[ $funcstack[1] == _berth ]]; then _berth; else compdef _berth berth bootc; fi
`;

const FISH = `function __berth_complete
  set -l words (commandline -opc)
  set -l found ($words[1] internal complete -- $words[2..] (commandline -ct) 2>/dev/null)
  if test "$found[1]" = :files
    set -l flag (string match -r -- '^--[^=]*=' (commandline -ct))
    for path in (__fish_complete_path (string replace -- "$flag" '' (commandline -ct)))
      printf '%s\\n' "$flag$path"
    end
  else
    printf '%s\\n' $found
  end
end
complete -c berth -f -a '(__berth_complete)'
complete -c bootc -f -a '(__berth_complete)'
`;

const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH };
