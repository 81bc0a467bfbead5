# Completion of authctl in fish. Read it from ~/.config/fish/config.fish:  authctl completion fish | source
# fish quotes every text that it inserts.
function __authctl_words
    set -l token (commandline -ct)
    set -l typed (string unescape -- $token; or string trim --left --chars '\'"' -- $token)
    set -l found (command authctl completion fish -- (commandline -opc) "$typed" 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path "$typed"
    end
end
complete -c authctl -f -a '(__authctl_words)'
