#compdef authctl
# Completion of authctl in zsh. Read it from ~/.zshrc, after compinit:  source <(authctl completion zsh)
# compadd quotes every text that it inserts.
_authctl() {
    local typed=$PREFIX out
    local -a found
    [[ -n $compstate[quote] ]] || typed=${(Q)PREFIX}
    out=$(command authctl completion zsh -- "${(@Q)words[1,CURRENT-1]}" "$typed" 2>/dev/null)
    if [[ -n $out ]]; then
        found=("${(@f)out}")
        compadd -a found
    else
        _files
    fi
}
# The file is read by `source`, or loaded by compinit as the body of the function when it is called for the first time.
if [[ ${funcstack[1]} == _authctl ]]; then _authctl "$@"; else compdef _authctl authctl; fi
