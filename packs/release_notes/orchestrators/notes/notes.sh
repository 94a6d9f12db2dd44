# Notes in $5 from the commits of $1 after $2 up to $3, under the heading $4; the rest runs a child.
set -eu

repository=$1
from=$2
to=$3
title=$4
notes=$5
shift 5

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM

"$@" release_notes.collect repository="$repository" from="$from" to="$to" commits="$folder/commits"
"$@" release_notes.render commits="$folder/commits" title="$title" notes="$notes"
