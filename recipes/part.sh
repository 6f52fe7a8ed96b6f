# For other recipes to read in: part NAME COMMAND … runs a command and says how long it took.
part() {
    local begin=$SECONDS name=$1
    shift
    "$@"
    echo "== $name: $((SECONDS - begin)) s"
}
