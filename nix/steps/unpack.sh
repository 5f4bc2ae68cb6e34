# Unpacks Debian packages, in order, into one tree. None of their scripts runs.
"$busybox" mkdir -p bin
"$busybox" --install -s "$PWD/bin"
PATH=$PWD/bin
mkdir "$out"
for package in $packages; do
  dpkg-deb -x "$package" "$out"
done
