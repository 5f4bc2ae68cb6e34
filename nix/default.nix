# The measured image, from locked inputs alone: packages unpacked, programs bundled, a read-only root under dm-verity,
# and a unified kernel image whose command line names the root's hash.
{
  # "debug" writes to the serial port; it is another image, and answers to no policy.
  console ? "production",
  # A file: public key in PEM of who signs which images open a state partition (see nix/keys).
  policyKey,
  # Of this image: it takes over the state of all lower ones, and none of these opens it again.
  securityVersion ? "1",
}:
let
  inputs = import ./inputs.nix;
  contents = import ./contents.nix {
    inherit console;
    policyKey = builtins.readFile policyKey;
    securityVersion = builtins.fromJSON securityVersion;
  };
  # Salt of the hash tree: any fixed value does, the same image has the same hash.
  salt = builtins.hashString "sha256" "sealed/verity/v1";
  inherit (builtins.fromJSON (builtins.readFile ../package.json)) version;
  json = name: value: builtins.toFile name (builtins.toJSON value);

  # One step: a script of steps/ under busybox, in Nix's sandbox.
  step = name: script: attributes: derivation ({
    inherit name;
    system = "x86_64-linux";
    builder = "${inputs.busybox}/busybox";
    busybox = "${inputs.busybox}/busybox";
    args = [ "sh" "-eu" script ];
  } // attributes);
  unpack = name: packages: step name ./steps/unpack.sh { inherit packages; };
  # A step in TypeScript: the image's own Node, under the image's own loader.
  program = name: script: attributes: step name ./steps/node.sh ({
    inherit tools bundle;
    script = "${./steps}/${script}";
  } // attributes);

  matches = pattern: text: builtins.match pattern text != null;
  # The rooms as they are compiled, without their tests.
  source = builtins.path {
    name = "source";
    path = ../.;
    filter = path: type:
      let
        relative = builtins.substring (builtins.stringLength (toString ../. + "/")) (-1) path;
        inRoom = matches "(protocol|embassy|gateway|workloads)(/.*)?" relative;
        test = matches ".*(\\.test\\.ts|/test-support|/fuzz|/vectors|\\.md|/node_modules|/model)" relative;
      in (inRoom && !test) || relative == "tsconfig.base.json";
  };

  tools = unpack "tools" (inputs.image ++ inputs.tools);
  packages = unpack "packages" inputs.image;
  bundle = step "bundle" ./steps/bundle.sh {
    inherit source;
    programs = contents.bundles;
    paths = map ({ path, ... }: path) inputs.npm;
    archives = map ({ archive, ... }: archive) inputs.npm;
  };
  root = program "root" "make-root.ts" {
    inherit packages salt source;
    contents = json "contents.json" contents.root;
    base = json "base.json" contents.base;
  };
  initrd = program "initrd" "make-initrd.ts" {
    inherit packages;
    init = ./steps/init.sh;
    modules = json "modules.json" contents.initrdModules;
  };
  uki = program "uki.efi" "make-uki.ts" {
    inherit packages root initrd;
    settings = json "settings.json" {
      inherit salt;
      parameters = contents.commandLine;
    };
  };
  image = program "image" "make-disk.ts" {
    inherit root uki source;
    # What reference-values.json says beside what is measured.
    about = json "about.json" {
      inherit version;
      security_version = builtins.fromJSON securityVersion;
      packages = map ({ name, version, ... }: { inherit name version; }) inputs.imagePackages ++ inputs.npmPackages;
    };
  };
in
{
  inherit tools packages bundle root initrd uki image;
}
