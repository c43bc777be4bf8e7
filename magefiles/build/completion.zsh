#compdef keepmum
# keepmum: completion for zsh. source <(keepmum completion zsh)
_keepmum() {
  local -a targets
  if [[ $words[CURRENT] == -* && $CURRENT -gt 2 ]]; then
    targets=(${(f)"$($words[1] -h $words[2] 2>/dev/null | sed -n "s/^[[:space:]]*\(-[A-Za-z]*\)=.*/\1/p")"})
  else
    targets=(${(f)"$($words[1] -l 2>/dev/null | sed -n 's/^  *\([A-Za-z:]*\)\*\{0,1\} .*/\1/p')"})
  fi
  compadd -- $targets
}
compdef _keepmum keepmum
