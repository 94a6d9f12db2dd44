#!/bin/sh
# Greets somebody by name: the inputs arrive as the arguments that executor.yaml lists.
set -eu
printf 'Hello, %s!\n' "$1"
