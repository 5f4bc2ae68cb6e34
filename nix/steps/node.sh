# Runs a step in TypeScript: the image's own Node, under the loader of its own packages.
"$busybox" mkdir -p bin
"$busybox" --install -s "$PWD/bin"
export PATH=$PWD/bin
exec "$tools/usr/lib64/ld-linux-x86-64.so.2" --library-path "$tools/usr/lib/x86_64-linux-gnu" \
  "$bundle/usr/bin/node" --disable-warning=ExperimentalWarning "$script"
