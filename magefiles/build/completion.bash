# keepmum: completion for bash. source <(keepmum completion bash)
_keepmum() {
  local word words
  word=${COMP_WORDS[COMP_CWORD]}
  if [[ $word == -* && $COMP_CWORD -gt 1 ]]; then
    words=$("${COMP_WORDS[0]}" -h "${COMP_WORDS[1]}" 2>/dev/null | sed -n "s/^[[:space:]]*\(-[A-Za-z]*\)=.*/\1/p")
  else
    words=$("${COMP_WORDS[0]}" -l 2>/dev/null | sed -n 's/^  *\([A-Za-z:]*\)\*\{0,1\} .*/\1/p')
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//:}
complete -F _keepmum keepmum
