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
compdef _authctl authctl
