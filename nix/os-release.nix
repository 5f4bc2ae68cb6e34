# What the image says that it is.
let version = (builtins.fromJSON (builtins.readFile ../package.json)).version;
in ''
  ID=sealed
  NAME="Sealed computation"
  VERSION_ID=${version}
  PRETTY_NAME="Sealed computation ${version}"
''
