# keepmum: completion for fish. keepmum completion fish | source
function __keepmum_words
  set -l tokens (commandline -opc)
  if string match -q -- '-*' (commandline -ct); and test (count $tokens) -gt 1
    $tokens[1] -h $tokens[2] 2>/dev/null | sed -n "s/^[[:space:]]*\(-[A-Za-z]*\)=.*/\1/p"
  else
    $tokens[1] -l 2>/dev/null | sed -n 's/^  *\([A-Za-z:]*\)\*\{0,1\} .*/\1/p'
  end
end
complete -c keepmum -f -a '(__keepmum_words)'
