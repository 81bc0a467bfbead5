# Completion of authctl in bash. Read it from ~/.bashrc:  source <(authctl completion bash)
# The answer is text that bash inserts and never runs; characters that bash would run or expand come with a backslash.
_authctl() {
    mapfile -t COMPREPLY < <(command authctl completion bash -- "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null)
}
complete -o default -F _authctl authctl
