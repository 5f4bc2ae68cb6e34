# Everything that comes from outside, each named by its digest. Nothing is fetched while something is built: `nix/build`
# puts these files into the store first, and a file that is not there stops the build by its name.
let
  lock = builtins.fromJSON (builtins.readFile ./lock.json);
  npmList = import ./npm.nix;

  fixed = name: attributes: derivation ({
    inherit name;
    system = "x86_64-linux";
    builder = "builtin:fetchurl";
    url = "file:///this-input-is-put-into-the-store-by-nix-build/${name}";
    outputHashMode = "flat";
    preferLocalBuild = true;
  } // attributes);
  debian = { name, sha256, ... }: fixed "${name}.deb" { outputHashAlgo = "sha256"; outputHash = sha256; };
  named = use: builtins.filter (package: package.use == use) lock.packages;
in
rec {
  # The one program that runs before anything is unpacked.
  busybox = fixed "busybox" {
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    outputHash = lock.builder.nar_sha256;
  };
  image = map debian (named "image");
  # The stub of the unified kernel image is of one that is a tool otherwise.
  imagePackages = named "image" ++ builtins.filter ({ name, ... }: name == "systemd-boot-efi") (named "tools");
  tools = map debian (named "tools");
  npm = map
    ({ path, file, integrity, spec, ... }: {
      inherit path file spec;
      archive = fixed file { outputHashAlgo = null; outputHash = integrity; };
    })
    npmList;

  # Bundled into our programs, as far as they import it; esbuild is the one that bundles.
  npmPackages = map ({ name, version, ... }: { inherit name version; }) (builtins.filter ({ name, ... }: builtins.match "@esbuild/.*" name == null) npmList);

  # What `nix/build` asks for.
  list = {
    busybox = busybox.outPath;
    debian = builtins.listToAttrs (map (package: { inherit (package) name; value = (debian package).outPath; }) lock.packages);
    npm = map ({ file, spec, archive, ... }: { inherit file spec; path = archive.outPath; }) npm;
  };
}
